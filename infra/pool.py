"""Pools of workers: the interface that flows rent from, and the pool of this very process.

`RayPool` (infra.ray_pool) and `LocalPool` pass the same tests; the latter needs no Ray, renders with the same `Worker`
in threads, and serves unit tests and one-process runs.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from infra.storage import Storage
from infra.worker import FrameReport, FrameTask, SegmentReport, SegmentTask, Worker, WorkerProgress

__all__ = ["LocalPool", "Pool", "PoolWorker", "Roster", "WorkerLost", "WorkerOutOfMemory", "WorkerStalled"]


class WorkerLost(Exception):
    """The process or machine under a worker is gone. What it was doing may or may not have been committed."""


class WorkerOutOfMemory(WorkerLost):
    """The machine ended a worker because memory ran out."""


class WorkerStalled(WorkerLost):
    """A worker did not get on and was restarted."""


class PoolWorker(Protocol):
    """A rented worker: calls block until the work is done."""

    name: str

    def render_frame(self, task: FrameTask) -> FrameReport:
        """See `Worker.render_frame`. Raises WorkerLost too."""

    def encode_segment(self, task: SegmentTask) -> SegmentReport:
        """See `Worker.encode_segment`. Raises WorkerLost too."""


class Pool(Protocol):
    """Workers for rent."""

    size: int
    names: tuple[str, ...]

    @contextmanager
    def lease(self, prefer: str | None = None, exclude: frozenset[str] = frozenset()) -> Iterator[PoolWorker]:
        """Rent a free worker, waiting for one that is not among `exclude` (never all of `names`). `prefer` names the
        one that has this video's state in memory."""

    def progress(self) -> list[WorkerProgress]:
        """What every worker is doing; those that do not answer are left out."""

    def restart(self, process: str) -> None:
        """Give the worker of a process (`WorkerProgress.worker`) that hangs a new one: its work fails with
        WorkerStalled."""

    def stop(self) -> None:
        """Stop all frames in progress between two steps."""

    def close(self) -> None:
        """Stop and let go of everything."""


@dataclass(eq=False)
class _Waiting:
    """Somebody at the door."""

    exclude: frozenset[str]


class Roster:
    """Who is free. Waiting callers are served first come, first served, as far as who is free suits them."""

    def __init__(self, workers: list[PoolWorker]) -> None:
        self._free = list(workers)
        self._queue: list[_Waiting] = []
        self._changed = threading.Condition()

    @contextmanager
    def lease(self, prefer: str | None = None, exclude: frozenset[str] = frozenset()) -> Iterator[PoolWorker]:
        worker = self._take(prefer, _Waiting(exclude))
        try:
            yield worker
        finally:
            with self._changed:
                self._free.append(worker)
                self._changed.notify_all()

    def _take(self, prefer: str | None, me: _Waiting) -> PoolWorker:
        with self._changed:
            self._queue.append(me)
            try:
                while not (offered := self._offered(me)):
                    self._changed.wait()
                worker = next((worker for worker in offered if worker.name == prefer), offered[0])
                self._free.remove(worker)
                return worker
            finally:
                self._queue.remove(me)
                self._changed.notify_all()

    def _offered(self, me: _Waiting) -> list[PoolWorker]:
        """Those of the free that suit `me`, unless all of them will go to callers who came before."""
        ahead = self._queue[: self._queue.index(me)]
        before = sum(any(worker.name not in other.exclude for worker in self._free) for other in ahead)
        if before >= len(self._free):
            return []
        return [worker for worker in self._free if worker.name not in me.exclude]


class LocalPool:
    """Workers in this process, `size` of them, each rendering in the thread that rents it."""

    def __init__(self, output: Storage, *, size: int = 1, device: str = "auto", threads: int = 1,
                 make: Callable[..., Worker] = Worker) -> None:  # fmt: skip
        self.size = size
        self._workers = [make(output, device=device, threads=threads) for _ in range(size)]
        for number, worker in enumerate(self._workers):
            worker.name = f"{worker.name}/{number}"
        self.names = tuple(worker.name for worker in self._workers)
        self._roster = Roster(list(self._workers))

    @contextmanager
    def lease(self, prefer: str | None = None, exclude: frozenset[str] = frozenset()) -> Iterator[PoolWorker]:
        """Rent a free worker, waiting for one."""
        with self._roster.lease(prefer, exclude) as worker:
            yield worker

    def progress(self) -> list[WorkerProgress]:
        """What every worker is doing."""
        return [worker.progress() for worker in self._workers]

    def restart(self, process: str) -> None:
        """Nothing: a thread can't be ended from outside."""

    def stop(self) -> None:
        """Stop all frames in progress between two steps."""
        for worker in self._workers:
            worker.stop()

    def close(self) -> None:
        """Nothing to let go of but the frames in progress."""
        self.stop()
