"""Pools of workers: the interface that flows rent from, and the pool of this very process.

`RayPool` (infra.ray_pool) and `LocalPool` pass the same tests; the latter needs no Ray, renders with the same `Worker`
in threads, and serves unit tests and one-process runs.
"""

from __future__ import annotations

import bisect
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from infra.storage import Storage
from infra.tasks import FrameReport, FrameTask, SegmentReport, SegmentTask, WorkerProgress
from infra.worker import Worker

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
    def together(self) -> int:
        """Up to how many frames of as many videos a worker should be given at once."""

    @property
    def names(self) -> tuple[str, ...]:
        """Who these are."""

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

    def aside(self, worker: PoolWorker) -> AbstractContextManager[None]:
        """Keep a rented worker from leaving for as long as the context lasts, also after it was given back: whoever
        rents it next renders, while it encodes for this caller."""

    def want(self, workers: int) -> None:
        """Say how many workers could be kept busy now. More are let go if somebody else wants them."""

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
    turn: int
    prefer: str | None
    worker: PoolWorker | None = None
    served: threading.Event = field(default_factory=threading.Event)


class Roster:
    """Who is free. Waiting callers are served by their places, and among equals first come, first served, as far as who
    is free suits them.

    Workers come (`add`) and go (`retire`) while others work: one that is rented goes when it is given back, and so does
    one that was lost. `left` hears of each that has gone, in whatever thread that happens; `coming` names those that a
    caller may wait for although they are not here (call `wake` when it changes). Neither may call back.
    """

    def __init__(
        self,
        workers: Iterable[PoolWorker] = (),
        *,
        left: Callable[[PoolWorker], None] = lambda _: None,
        coming: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        self._free, self._rented = list(workers), list[PoolWorker]()
        self._left, self._coming = left, coming
        self._aside: Counter[PoolWorker] = Counter()
        self._leaving: list[PoolWorker] = []  # as soon as nobody has them aside
        self._queue: list[_Waiting] = []
        self._lock = threading.Lock()
        self._closed = False

    @property
    def names(self) -> tuple[str, ...]:
        """Who is here to stay, free or rented."""
        with self._lock:
            return tuple(worker.name for worker in self._staying())

    @property
    def free(self) -> tuple[str, ...]:
        """Who is free, while nobody waits."""
        with self._lock:
            return () if self._queue else tuple(worker.name for worker in self._free if self._stays(worker))

    def everyone(self) -> list[PoolWorker]:
        """All that are free or rented, those about to go included."""
        with self._lock:
            return [*self._free, *self._rented, *self._leaving]

    @contextmanager
    def lease(
        self, prefer: str | None = None, exclude: frozenset[str] = frozenset(), turn: int = 0
    ) -> Iterator[PoolWorker]:  # fmt: skip
        worker = self._take(_Waiting(exclude, turn, prefer))
        try:
            yield worker
        finally:
            self._give_back(worker)

    @contextmanager
    def aside(self, worker: PoolWorker) -> Iterator[None]:
        with self._lock:
            self._aside[worker] += 1
        try:
            yield
        finally:
            with self._lock:
                self._aside[worker] -= 1
                goes = worker in self._leaving and not self._aside[worker]
                if goes:
                    self._leaving.remove(worker)
            if goes:
                self._left(worker)

    def add(self, worker: PoolWorker) -> None:
        """Offer one more, or one that has come back."""
        with self._lock:
            self._free.append(worker)
            self._serve()

    def retire(self, number: int) -> None:
        """Let so many go: free ones at once, the latest first, then rented ones when they are given back."""
        with self._lock:
            leaving = list(reversed(self._free))[:number]
            self._free = [worker for worker in self._free if worker not in leaving]
            rented = [worker for worker in reversed(self._rented) if self._stays(worker)][: number - len(leaving)]
            for worker in (*leaving, *rented):
                worker.retiring = True
            self._serve()
        for worker in leaving:
            self._leave(worker)

    def recall(self, number: int) -> int:
        """Keep up to so many of the rented that were to go; gives how many."""
        with self._lock:
            kept = [worker for worker in self._rented if worker.retiring and not worker.lost][:number]
            for worker in kept:
                worker.retiring = False
            return len(kept)

    def sweep(self) -> None:
        """Take off those who were lost while they were free."""
        with self._lock:
            leaving = [worker for worker in self._free if worker.lost]
            self._free = [worker for worker in self._free if not worker.lost]
            self._serve()
        for worker in leaving:
            self._leave(worker)

    def wake(self) -> None:
        """Have those who wait look again."""
        with self._lock:
            self._serve()

    def close(self) -> None:
        """Keep nobody waiting any more."""
        with self._lock:
            self._closed = True
            for caller in self._queue:
                caller.served.set()
            self._queue.clear()

    def _take(self, me: _Waiting) -> PoolWorker:
        with self._lock:
            if self._closed:
                return _Nobody()
            bisect.insort(self._queue, me, key=lambda waiting: waiting.turn)
            self._serve()
        me.served.wait()
        return me.worker or _Nobody()

    def _serve(self) -> None:
        """Give the free to those who wait, one look at each: hundreds may wait, and all be free at the same moment."""
        if not (self._free and self._queue):
            return
        names = {*self._coming(), *(worker.name for worker in self._staying())}
        waiting, self._queue = self._queue, []
        for caller in waiting:
            choosy = not names <= caller.exclude  # whom it waits for may have left since it came: then anybody will do
            suiting = [worker for worker in self._free if not choosy or worker.name not in caller.exclude]
            if not suiting:
                self._queue.append(caller)
                continue
            caller.worker = next((worker for worker in suiting if worker.name == caller.prefer), suiting[0])
            self._free.remove(caller.worker)
            self._rented.append(caller.worker)
            caller.served.set()

    def _give_back(self, worker: PoolWorker) -> None:
        with self._lock:
            if worker not in self._rented:
                return
            self._rented.remove(worker)
            goes = not self._stays(worker)
            if not goes:
                self._free.append(worker)
            self._serve()
        if goes:
            self._leave(worker)

    def _leave(self, worker: PoolWorker) -> None:
        with self._lock:
            waits = self._aside[worker] > 0
            if waits:
                self._leaving.append(worker)
        if not waits:
            self._left(worker)

    def _staying(self) -> list[PoolWorker]:
        return [worker for worker in (*self._free, *self._rented) if self._stays(worker)]

    @staticmethod
    def _stays(worker: PoolWorker) -> bool:
        return not (worker.retiring or worker.lost)


class _Nobody:
    """What is rented from a closed pool: fails at everything, as a lost worker does."""

    name, retiring, lost = "nobody", False, True

    def render_frame(self, task: FrameTask) -> FrameReport:
        raise WorkerLost("the pool of workers was stopped")

    def render_frames(self, tasks: Sequence[FrameTask]) -> list[Exception | None]:
        raise WorkerLost("the pool of workers was stopped")

    def commit(self, task: FrameTask) -> FrameReport:
        raise WorkerLost("the pool of workers was stopped")

    def encode_segment(self, task: SegmentTask) -> SegmentReport:
        raise WorkerLost("the pool of workers was stopped")


class LocalPool:
    """Workers in this process, `size` of them, each rendering in the thread that rents it."""

    def __init__(self, output: Storage, *, size: int = 1, device: str = "auto", threads: int = 1,
                 batch: int | None = None, make: Callable[..., Worker] = Worker) -> None:  # fmt: skip
        self.size = self.capacity = size
        self.together = batch or 1
        self._workers = [make(output, device=device, threads=threads, batch=batch) for _ in range(size)]
        for number, worker in enumerate(self._workers):
            worker.name = f"{worker.name}/{number}"
        self.names = tuple(worker.name for worker in self._workers)
        self._roster = Roster(list(self._workers))

    @property
    def free(self) -> tuple[str, ...]:
        """Who of them nobody rents or waits for."""
        return self._roster.free

    @contextmanager
    def lease(
        self, prefer: str | None = None, exclude: frozenset[str] = frozenset(), turn: int = 0
    ) -> Iterator[PoolWorker]:  # fmt: skip
        """Rent a free worker, waiting for one."""
        with self._roster.lease(prefer, exclude, turn) as worker:
            yield worker

    def aside(self, worker: PoolWorker) -> AbstractContextManager[None]:
        """See `Pool.aside`."""
        return self._roster.aside(worker)

    def want(self, workers: int) -> None:
        """Nothing: there is nobody to let go to."""

    def progress(self) -> list[WorkerProgress]:
        """What every worker is doing."""
        return [worker.progress() for worker in self._workers]

    def restart(self, process: str) -> None:
        """Nothing: a thread can't be ended from outside."""

    def stop(self) -> None:
        """Stop all frames in progress between two steps."""
        self._roster.close()
        for worker in self._workers:
            worker.stop()

    def close(self) -> None:
        """Nothing to let go of but the frames in progress."""
        self.stop()
