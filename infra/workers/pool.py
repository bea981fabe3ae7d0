"""What flows rent from: pools of workers, the workers themselves as they are seen from outside, and how they are lost.

`RayPool` (infra.ray.pool) and `LocalPool` (infra.workers.local_pool) pass the same tests.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Literal, Protocol

from infra.workers.tasks import FrameReport, FrameTask, SegmentReport, SegmentTask, WorkerProgress
from manifests.errors import ErrorKind, NightreelError

__all__ = ["Pool", "PoolWorker", "Standing", "WorkerLost", "WorkerOutOfMemory", "WorkerStalled"]

#: Where a worker stands: its process is on its way, it can be rented, it leaves after its work, it is kept out.
Standing = Literal["starting", "there", "leaving", "drained"]


class WorkerLost(NightreelError):
    """The process or machine under a worker is gone. What it was doing may or may not have been committed."""

    kind = ErrorKind.INFRASTRUCTURE


class WorkerOutOfMemory(WorkerLost):
    """The machine ended a worker because memory ran out."""

    kind = ErrorKind.OUT_OF_MEMORY


class WorkerStalled(WorkerLost):
    """A worker made no progress and was restarted."""

    kind = ErrorKind.STALLED


class PoolWorker(Protocol):
    """A rented worker: calls block until the work is done."""

    name: str
    retiring: bool
    """its pool wants it back before the next piece of work"""
    lost: bool
    """its process is gone: whoever gives it back gives back nothing"""

    def render_frame(self, task: FrameTask) -> FrameReport:
        """See `Worker.render_frame`. Raises WorkerLost too."""

    def render_frames(self, tasks: Sequence[FrameTask]) -> list[Exception | None]:
        """See `Worker.render_frames`. Raises WorkerLost."""

    def commit(self, task: FrameTask) -> FrameReport:
        """See `Worker.commit`; may be called while something else is. Raises WorkerLost too."""

    def encode_segment(self, task: SegmentTask) -> SegmentReport:
        """See `Worker.encode_segment`. Raises WorkerLost too."""


class Pool(Protocol):
    """Workers for rent."""

    @property
    def size(self) -> int:
        """How many workers it has now, those on their way included; changes from moment to moment, down to 0."""

    @property
    def capacity(self) -> int:
        """How many it could come to have."""

    @property
    def lost(self) -> str:
        """Why no worker of it will ever work again, '' while one may."""

    @property
    def waiting(self) -> str:
        """What it waits for while it has no worker and machines have to come first, '' otherwise."""

    @property
    def max_batch(self) -> int:
        """Up to how many frames a worker should be given at once, of as many videos or gaps between keyframes."""

    @property
    def names(self) -> tuple[str, ...]:
        """Who these are."""

    @property
    def places(self) -> Mapping[str, str]:
        """On which machine each of these is, '' where that is not known yet."""

    def leave(self, place: str) -> bool:
        """Have no workers on a machine any more, if there is room for one on another. Return whether there is."""

    @property
    def free(self) -> tuple[str, ...]:
        """Who of them nobody rents or waits for."""

    @contextmanager
    def lease(
        self, prefer: str | None = None, exclude: frozenset[str] = frozenset(), turn: int = 0
    ) -> Iterator[PoolWorker]:  # fmt: skip
        """Rent a free worker, waiting for one that is not among `exclude` where there is any such; of those who wait,
        whoever has the lowest `turn` comes first. `prefer` names the one that has this video's state in memory. Once
        the pool is stopped or closed nobody waits: the worker rented fails at whatever it is asked."""

    def pin(self, worker: PoolWorker) -> AbstractContextManager[None]:
        """Keep a rented worker from leaving for as long as the context lasts, also after it was given back: whoever
        rents it next renders, while it encodes for this caller."""

    def want(self, workers: int) -> None:
        """Say how many workers could be kept busy now. More are let go if somebody else wants them."""

    def progress(self) -> list[WorkerProgress]:
        """Ask what every worker is doing; those that do not answer are left out."""

    def restart(self, process: str) -> None:
        """Give the worker of a process (`WorkerProgress.worker`) that hangs a new one: its work fails with
        WorkerStalled."""

    def standings(self) -> dict[str, Standing]:
        """Return where each worker stands, those included that were drained."""

    def drain(self, name: str) -> bool:
        """Let a worker finish its frame, then leave; nobody takes its place here until `allow`, so that others may have
        it. Return whether there is such a worker."""

    def allow(self, name: str) -> bool:
        """Take back that a worker was drained: it stays, or another comes in its place. Return whether it was."""

    def restart_worker(self, name: str) -> bool:
        """Give a worker a new process because a person asks for it: its work fails with WorkerLost, and is tried again.
        Return whether that can be done."""

    def prioritise(self, priority: int) -> None:
        """Compete with other jobs under another priority from now on."""

    def stop(self) -> None:
        """Stop all frames in progress between two steps."""

    def close(self) -> None:
        """Stop and let go of everything."""
