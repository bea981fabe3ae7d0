"""Who is free of a pool's workers, who waits for one, and whose turn it is."""

from __future__ import annotations

import bisect
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from infra.workers.pool import PoolWorker, WorkerLost
from infra.workers.tasks import FrameReport, FrameTask, SegmentReport, SegmentTask

__all__ = ["Leases"]


@dataclass(eq=False)
class _Waiting:
    """Somebody at the door."""

    exclude: frozenset[str]
    turn: int
    prefer: str | None
    worker: PoolWorker | None = None
    served: threading.Event = field(default_factory=threading.Event)


class Leases:
    """Who is free. Waiting callers are served by their places, and among equals first come, first served, as far as who
    is free suits them.

    Workers come (`add`) and go (`retire`) while others work: one that is rented goes when it is given back, and so does
    one that was lost. `left` is called with each that has gone, in whatever thread that happens; `coming` names those
    that a caller may wait for although they are not here (call `wake` when it changes). Neither may call back.
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
        self._pins: Counter[PoolWorker] = Counter()
        self._leaving: list[PoolWorker] = []  # as soon as nobody pins them
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
        """List all that are free or rented, those about to go included."""
        with self._lock:
            return [*self._free, *self._rented, *self._leaving]

    @contextmanager
    def lease(
        self, prefer: str | None = None, exclude: frozenset[str] = frozenset(), turn: int = 0
    ) -> Iterator[PoolWorker]:  # fmt: skip
        """See `Pool.lease`."""
        worker = self._take(_Waiting(exclude, turn, prefer))
        try:
            yield worker
        finally:
            self._give_back(worker)

    @contextmanager
    def pin(self, worker: PoolWorker) -> Iterator[None]:
        """See `Pool.pin`."""
        with self._lock:
            self._pins[worker] += 1
        try:
            yield
        finally:
            with self._lock:
                self._pins[worker] -= 1
                goes = worker in self._leaving and not self._pins[worker]
                if goes:
                    self._leaving.remove(worker)
            if goes:
                self._left(worker)

    def add(self, worker: PoolWorker) -> None:
        """Offer one more, or one that has come back."""
        with self._lock:
            self._free.append(worker)
            self._serve()

    def retire(self, number: int, last: Collection[str] = ()) -> None:
        """Let so many go: free ones at once, the latest first and those of `last` after all others, then rented ones
        when they are given back."""
        with self._lock:
            order = [worker for worker in reversed(self._free) if worker.name not in last]
            order += [worker for worker in reversed(self._free) if worker.name in last]
            leaving = order[:number]
            self._free = [worker for worker in self._free if worker not in leaving]
            rented = [worker for worker in reversed(self._rented) if self._stays(worker)][: number - len(leaving)]
            for worker in (*leaving, *rented):
                worker.retiring = True
            self._serve()
        for worker in leaving:
            self._leave(worker)

    def let_go(self, name: str) -> bool:
        """Let one go, at once or when it is given back; gives whether it is here to stay so far."""
        with self._lock:
            worker = next((worker for worker in self._staying() if worker.name == name), None)
            if worker is None:
                return False
            worker.retiring = True
            free = worker in self._free
            if free:
                self._free.remove(worker)
            self._serve()
        if free:
            self._leave(worker)
        return True

    def keep(self, name: str) -> bool:
        """Keep one that is rented and was to go; gives whether there is such a one."""
        with self._lock:
            kept = [worker for worker in self._rented if worker.retiring and not worker.lost and worker.name == name]
            for worker in kept:
                worker.retiring = False
            return bool(kept)

    def recall(self, number: int, never: Collection[str] = ()) -> int:
        """Keep up to so many of the rented that were to go, none of `never`; gives how many."""
        with self._lock:
            leaving = (worker for worker in self._rented if worker.retiring and not worker.lost)
            kept = [worker for worker in leaving if worker.name not in never][:number]
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
            waits = self._pins[worker] > 0
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
