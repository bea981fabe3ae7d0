"""Putting and reading the documents of runs. One that can't be read counts as none: it must not end whoever looks, who
may be told of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from flows.runs.record import RunRecord, RunRequest, RunState
from infra.storage.layout import RUNS, run_record_key, run_request_key, run_state_key
from infra.storage.storage import ObjectInfo, ObjectMissing, PlaceForbidden, SourceRefused, Storage

__all__ = [
    "StoredRun",
    "put_record",
    "put_request",
    "put_state",
    "read_record",
    "read_requests",
    "read_run",
    "read_state",
    "run_documents",
    "run_names",
    "stored_runs",
]

PARALLEL_READS = 16
#: A record has some 50 bytes for each video.
MOST_BYTES = 128 << 20
#: It has two of them for each video; a value takes up to a hundred times its one sign in memory.
MOST_COMMAS = 4_000_000

Document = TypeVar("Document", bound=BaseModel)
#: Hears of each document that is there and can't be read: a sentence for people.
Tell = Callable[[str], None]


def _nobody(_: str) -> None:
    """Hears nothing."""


@dataclass(frozen=True)
class StoredRun:
    """A run as it lies in storage; `state` None: it was begun and not heard of since."""

    record: RunRecord
    state: RunState | None

    @property
    def ended(self) -> bool:
        """Whether it says itself that it has ended."""
        return self.state is not None and self.state.phase == "ended"

    def alive(self, now: datetime | None = None) -> bool:
        """Return whether it was heard of lately and has not ended."""
        state = self.state or RunState(run=self.record.run, updated=self.record.began)
        return not self.ended and not state.silent(now or datetime.now(UTC))

    def phases(self) -> list[str]:
        """Return the letter of `RunState.phases` for each video of its record. A run calls all rendered whose turn has
        come; those that nobody draws wait for a worker."""
        videos = self.record.videos
        letters = (self.state.phases if self.state is not None else "").ljust(len(videos), "w")
        drawn = {worker.video_id for worker in self.state.workers} if self.state is not None else set[str]()
        return [
            "w" if letter == "r" and video.video_id not in drawn else letter
            for video, letter in zip(videos, letters, strict=False)
        ]


def put_record(output: Storage, record: RunRecord) -> None:
    """Put what a run is to do."""
    output.put(run_record_key(record.run), record.model_dump_json(by_alias=True).encode(), existing="replace")


def put_state(output: Storage, state: RunState) -> int:
    """Put where a run stands; return the size in bytes."""
    data = state.model_dump_json(by_alias=True).encode()
    output.put(run_state_key(state.run), data, existing="replace")
    return len(data)


def put_request(output: Storage, request: RunRequest, stamp: str) -> None:
    """Ask something of a run; `stamp` names the request, and puts requests in order."""
    data = request.model_dump_json(by_alias=True).encode()
    output.put(run_request_key(request.run, stamp), data, existing="keep")


def read_requests(output: Storage, run: str, known: Collection[str] = ()) -> tuple[tuple[str, RunRequest | None], ...]:
    """Return what was asked of a run, oldest first, by its stamp, but for what is `known`; None: it can't be read.

    Raises:
        StorageError: the folder of its requests can't be listed or read.
    """
    folder = run_request_key(run, "")[: -len("/.json")]
    keys = [info.key for info in output.list(folder, ours=True)]
    stamps = [key[len(folder) + 1 : -len(".json")] for key in keys if key.endswith(".json")]
    new = [stamp for stamp in stamps if stamp not in known]
    return tuple((stamp, _read(output, run_request_key(run, stamp), RunRequest)) for stamp in new)


def stored_runs(output: Storage, *, latest: int | None = None, tell: Tell = _nobody) -> tuple[StoredRun, ...]:
    """Return the runs of an output, oldest first; only so many of the `latest` where a number is given. `tell` is
    called in several threads.

    Raises:
        StorageError: the output can't be listed or read.
    """
    names = run_names(output, tell)
    names = names[-latest:] if latest is not None else names
    with ThreadPoolExecutor(PARALLEL_READS, thread_name_prefix="runs") as threads:
        return tuple(_present(threads.map(lambda name: read_run(output, name, tell), names)))


def run_names(output: Storage, tell: Tell = _nobody) -> list[str]:
    """Return the names of the runs' folders, oldest first.

    Raises:
        StorageError: the output can't be listed.
    """
    return sorted({info.key.split("/")[2] for info in run_documents(output, tell) if info.key.count("/") >= 3})


def run_documents(output: Storage, tell: Tell = _nobody) -> Iterator[ObjectInfo]:
    """Yield what lies in the folders of runs; not of those that this account may not enter, of which `tell` hears.

    Raises:
        StorageError: the output can't be listed.
    """
    try:
        yield from list(output.list(RUNS, ours=True))
        return
    except PlaceForbidden:
        runs = output.child(RUNS).folders()  # none of them may be listed where this can't be
    for run in runs:
        try:
            yield from list(output.list(f"{RUNS}/{run}", ours=True))
        except PlaceForbidden as error:
            tell(f"what a run has left of itself is passed over, with the bad rows that it may name: {error}")


def read_run(output: Storage, run: str, tell: Tell = _nobody) -> StoredRun | None:
    """Return a run by the name of its folder; None if there is none that can be read."""
    record = read_record(output, run, tell)
    return StoredRun(record, read_state(output, run, tell)) if record is not None else None


def read_record(output: Storage, run: str, tell: Tell = _nobody) -> RunRecord | None:
    """Return what a run is to do; None if that can't be read."""
    return _read(output, run_record_key(run), RunRecord, tell)


def read_state(output: Storage, run: str, tell: Tell = _nobody) -> RunState | None:
    """Return where a run stands; None if that can't be read."""
    return _read(output, run_state_key(run), RunState, tell)


def _present(found: Iterator[StoredRun | None]) -> Iterator[StoredRun]:
    return (run for run in found if run is not None)


def _read(output: Storage, key: str, kind: type[Document], tell: Tell = _nobody) -> Document | None:
    try:
        data = output.read(key, most=MOST_BYTES)
        if data.count(b",") <= MOST_COMMAS:
            return kind.model_validate_json(data)
        why = "damaged"
    except ObjectMissing:
        return None
    except SourceRefused as error:
        why = f"not read ({error.message})"
    except (ValidationError, RecursionError):
        why = "damaged"
    tell(f"what a run has left of itself, '{key}', is {why}: it is passed over, with the bad rows that it may name")
    return None
