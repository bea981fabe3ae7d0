"""Putting and reading the documents of runs. One that can't be read counts as none: it must not end whoever looks."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from flows.runs.record import RunRecord, RunRequest, RunState
from infra.storage.layout import RUNS, run_record_key, run_request_key, run_state_key
from infra.storage.storage import ObjectMissing, SourceRefused, Storage

__all__ = [
    "StoredRun",
    "put_record",
    "put_request",
    "put_state",
    "read_record",
    "read_requests",
    "read_run",
    "read_state",
    "run_names",
    "stored_runs",
]

PARALLEL_READS = 16
#: A record has some 50 bytes for each video.
MOST_BYTES = 128 << 20

Document = TypeVar("Document", bound=BaseModel)


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
    stamps = [info.key[len(folder) + 1 : -len(".json")] for info in output.list(folder) if info.key.endswith(".json")]
    new = [stamp for stamp in stamps if stamp not in known]
    return tuple((stamp, _read(output, run_request_key(run, stamp), RunRequest)) for stamp in new)


def stored_runs(output: Storage, *, latest: int | None = None) -> tuple[StoredRun, ...]:
    """Return the runs of an output, oldest first; only so many of the `latest` where a number is given.

    Raises:
        StorageError: the output can't be listed or read.
    """
    names = run_names(output)
    names = names[-latest:] if latest is not None else names
    with ThreadPoolExecutor(PARALLEL_READS, thread_name_prefix="runs") as threads:
        return tuple(_present(threads.map(lambda name: read_run(output, name), names)))


def run_names(output: Storage) -> list[str]:
    """Return the names of the runs' folders, oldest first.

    Raises:
        StorageError: the output can't be listed.
    """
    return sorted({info.key.split("/")[2] for info in output.list(RUNS) if info.key.count("/") >= 3})


def read_run(output: Storage, run: str) -> StoredRun | None:
    """Return a run by the name of its folder; None if there is none that can be read."""
    record = read_record(output, run)
    return StoredRun(record, read_state(output, run)) if record is not None else None


def read_record(output: Storage, run: str) -> RunRecord | None:
    """Return what a run is to do; None if that can't be read."""
    return _read(output, run_record_key(run), RunRecord)


def read_state(output: Storage, run: str) -> RunState | None:
    """Return where a run stands; None if that can't be read."""
    return _read(output, run_state_key(run), RunState)


def _present(found: Iterator[StoredRun | None]) -> Iterator[StoredRun]:
    return (run for run in found if run is not None)


def _read(output: Storage, key: str, kind: type[Document]) -> Document | None:
    try:
        return kind.model_validate_json(output.read(key, most=MOST_BYTES))
    except (ObjectMissing, SourceRefused, ValidationError, RecursionError):
        return None
