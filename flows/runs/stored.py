"""Putting and reading the documents of runs. One that can't be read counts as none: it must not end whoever looks."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from flows.runs.record import RunRecord, RunState
from infra.storage.layout import RUNS, run_record_key, run_state_key
from infra.storage.storage import ObjectMissing, Storage

__all__ = ["StoredRun", "put_record", "put_state", "read_run", "stored_runs"]

PARALLEL_READS = 16

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


def stored_runs(output: Storage, *, latest: int | None = None) -> tuple[StoredRun, ...]:
    """Return the runs of an output, oldest first; only so many of the `latest` where a number is given.

    Raises:
        StorageError: the output can't be listed or read.
    """
    names = sorted({info.key.split("/")[2] for info in output.list(RUNS) if info.key.count("/") >= 3})
    names = names[-latest:] if latest is not None else names
    with ThreadPoolExecutor(PARALLEL_READS, thread_name_prefix="runs") as threads:
        return tuple(_present(threads.map(lambda name: read_run(output, name), names)))


def read_run(output: Storage, run: str) -> StoredRun | None:
    """Return a run by the name of its folder; None if there is none that can be read."""
    record = _read(output, run_record_key(run), RunRecord)
    return StoredRun(record, _read(output, run_state_key(run), RunState)) if record is not None else None


def _present(found: Iterator[StoredRun | None]) -> Iterator[StoredRun]:
    return (run for run in found if run is not None)


def _read(output: Storage, key: str, kind: type[Document]) -> Document | None:
    try:
        return kind.model_validate_json(output.read(key))
    except (ObjectMissing, ValidationError):
        return None
