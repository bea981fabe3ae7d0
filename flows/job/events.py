"""What is heard of a job while it runs, and how its failures are recorded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from flows.job.state import VideoRun
from flows.retry_and_quarantine.records import FailureRecord, record_failure
from infra.storage.storage import Storage

__all__ = ["FailureLog", "JobEvents"]


def _nothing(*_: object) -> None:
    pass


def _no_address() -> str:
    return ""


@dataclass(frozen=True)
class JobEvents:
    """What the caller of `run_job` wants to hear, and what it knows better.

    `failed` gets the record of every failed attempt, in the thread of the chunk or stitch that failed.
    `log_address` gives the address of that thread's log, which the record names ('': there is none).
    `lacking` gets a sentence for each machine whose workers can't do their part, in the thread that found it.
    `tick` is called at least once a second in the thread of `run_job`.
    """

    failed: Callable[[FailureRecord], None] = _nothing
    log_address: Callable[[], str] = _no_address
    lacking: Callable[[str], None] = _nothing
    tick: Callable[[], None] = _nothing


class FailureLog:
    """Records failed attempts: in storage, in the video's run, and with whoever wants to hear of them."""

    def __init__(self, output: Storage, events: JobEvents) -> None:
        self._output, self._events = output, events

    def lacking(self, message: str) -> None:
        """Say what a machine lacks."""
        self._events.lacking(message)

    def record(
        self, run: VideoRun, frame: int | None, error: Exception, attempt: int, worker: str, seconds: float
    ) -> None:
        """Record an attempt at a frame (None: at a segment or the stitch) that failed."""
        digest = run.work.content if frame is None else run.work.frames[frame].digest
        record = record_failure(
            self._output, error, video=run.work.video_id, frame=frame, digest=digest, attempt=attempt,
            worker=worker, seconds=seconds, log=self._events.log_address(),
        )  # fmt: skip
        run.failed(record)
        self._events.failed(record)
