"""Pools of workers: the interface that flows rent from, and the pool of this very process.

`RayPool` (infra.ray_pool) and `LocalPool` pass the same tests; the latter needs no Ray, renders with the same `Worker`
in threads, and serves unit tests and one-process runs.
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

from infra.storage import Storage
from infra.worker import FrameReport, FrameTask, SegmentReport, SegmentTask, Worker, WorkerProgress

__all__ = ["LocalPool", "Pool", "PoolWorker", "Roster", "WorkerLost"]


class WorkerLost(Exception):
    """The process or machine under a worker is gone. What it was doing may or may not have been committed."""


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

    @contextmanager
    def lease(self, prefer: str | None = None) -> Iterator[PoolWorker]:
        """Rent a free worker, waiting for one. `prefer` names the one that has this video's state in memory."""

    def progress(self) -> list[WorkerProgress]:
        """What every worker is doing."""

    def stop(self) -> None:
        """Stop all frames in progress between two steps."""

    def close(self) -> None:
        """Stop and let go of everything."""


class Roster:
    """Who is free. Waiting callers are served first come, first served."""

    def __init__(self, workers: list[PoolWorker]) -> None:
        self._free: queue.Queue[PoolWorker] = queue.Queue()
        for worker in workers:
            self._free.put(worker)

    @contextmanager
    def lease(self, prefer: str | None = None) -> Iterator[PoolWorker]:
        worker = self._free.get()
        if prefer is not None and worker.name != prefer:
            worker = self._swap(worker, prefer)
        try:
            yield worker
        finally:
            self._free.put(worker)

    def _swap(self, got: PoolWorker, prefer: str) -> PoolWorker:
        """Trade `got` for the preferred worker if that one is free as well."""
        with self._free.mutex:
            for place, other in enumerate(self._free.queue):
                if other.name == prefer:
                    self._free.queue[place] = got
                    return other
        return got


class LocalPool:
    """Workers in this process, `size` of them, each rendering in the thread that rents it."""

    def __init__(self, output: Storage, *, size: int = 1, device: str = "auto", threads: int = 1,
                 make: Callable[..., Worker] = Worker) -> None:  # fmt: skip
        self.size = size
        self._workers = [make(output, device=device, threads=threads) for _ in range(size)]
        for number, worker in enumerate(self._workers):
            worker.name = f"{worker.name}/{number}"
        self._roster = Roster(list(self._workers))

    @contextmanager
    def lease(self, prefer: str | None = None) -> Iterator[PoolWorker]:
        """Rent a free worker, waiting for one."""
        with self._roster.lease(prefer) as worker:
            yield worker

    def progress(self) -> list[WorkerProgress]:
        """What every worker is doing."""
        return [worker.progress() for worker in self._workers]

    def stop(self) -> None:
        """Stop all frames in progress between two steps."""
        for worker in self._workers:
            worker.stop()

    def close(self) -> None:
        """Nothing to let go of but the frames in progress."""
        self.stop()
