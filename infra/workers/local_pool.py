"""The pool of this very process: it needs no Ray, renders with the same `Worker` in threads, and serves tests and
one-process runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from infra.storage.storage import ReadingPolicy, Storage
from infra.workers.leases import Leases
from infra.workers.pool import PoolWorker, Standing
from infra.workers.renderers import LoadedModels
from infra.workers.tasks import WorkerProgress
from infra.workers.worker import Worker
from renderers.registry import Registry

if TYPE_CHECKING:  # imports torch
    from renderers.hardware import Precision

__all__ = ["LocalPool"]


class LocalPool:
    """Workers in this process, `size` of them, each rendering in the thread that rents it."""

    def __init__(
        self,
        output: Storage,
        *,
        size: int = 1,
        device: str = "auto",
        threads: int = 1,
        precision: Precision = "auto",
        graphs: bool = True,
        batch: int | None = None,
        registry: Registry | None = None,
        source: str | None = None,
        reading: ReadingPolicy | None = None,
        make: Callable[..., Worker] = Worker,
    ) -> None:
        """`device` to `source` are as for `LoadedModels`; `reading` says what rows may name; `make` makes each
        worker, called as `Worker` is."""
        self.capacity = size
        self.max_batch = batch or 1
        how: dict[str, Any] = {
            "device": device, "threads": threads, "precision": precision, "graphs": graphs, "batch": batch,
            "source": source,
        }  # fmt: skip
        given: dict[str, Any] = {"registry": registry, "reading": reading}
        self._workers = [make(output, LoadedModels(registry, **how), **given) for _ in range(size)]
        for number, worker in enumerate(self._workers):
            worker.name = f"{worker.name}/{number}"
        self._drained: dict[str, PoolWorker | None] = {}  # by name; None: it has not left yet
        self._leases = Leases(list(self._workers), left=self._leave)

    @property
    def size(self) -> int:
        """How many workers there are."""
        return len(self.names)

    @property
    def lost(self) -> str:
        """Nothing: threads are there as long as their process."""
        return ""

    @property
    def waiting(self) -> str:
        """Nothing: this machine is here."""
        return ""

    @property
    def names(self) -> tuple[str, ...]:
        """Who these are."""
        return tuple(worker.name for worker in self._workers if worker.name not in self._drained)

    @property
    def places(self) -> dict[str, str]:
        """This machine."""
        return {worker.name: worker.host for worker in self._workers if worker.name not in self._drained}

    def leave(self, place: str) -> bool:
        """Nothing: there is no other."""
        return False

    @property
    def free(self) -> tuple[str, ...]:
        """Who of them nobody rents or waits for."""
        return self._leases.free

    @contextmanager
    def lease(
        self, prefer: str | None = None, exclude: frozenset[str] = frozenset(), turn: int = 0
    ) -> Iterator[PoolWorker]:  # fmt: skip
        """Rent a free worker, waiting for one."""
        with self._leases.lease(prefer, exclude, turn) as worker:
            yield worker

    def pin(self, worker: PoolWorker) -> AbstractContextManager[None]:
        """See `Pool.pin`."""
        return self._leases.pin(worker)

    def want(self, workers: int) -> None:
        """Nothing: there is nobody to let go to."""

    def progress(self) -> list[WorkerProgress]:
        """Ask what every worker is doing."""
        return [replace(worker.progress(), name=worker.name) for worker in self._workers]

    def restart(self, process: str) -> None:
        """Nothing: a thread can't be ended from outside."""

    def standings(self) -> dict[str, Standing]:
        """Return where each worker stands."""
        here = {worker.name for worker in self._leases.everyone()}
        return {worker.name: self._standing(worker.name, here) for worker in self._workers}

    def _standing(self, name: str, here: set[str]) -> Standing:
        if name not in self._drained:
            return "there"
        return "leaving" if name in here else "drained"

    def drain(self, name: str) -> bool:
        """See `Pool.drain`."""
        if name not in self.names:
            return False
        self._drained[name] = None
        return self._leases.let_go(name)

    def allow(self, name: str) -> bool:
        """See `Pool.allow`."""
        if name not in self._drained:
            return False
        kept = self._leases.keep(name)
        worker = self._drained.pop(name)
        if not kept and worker is not None:
            worker.retiring = False
            self._leases.add(worker)
        return True

    def _leave(self, worker: PoolWorker) -> None:
        if worker.name in self._drained:
            self._drained[worker.name] = worker

    def restart_worker(self, name: str) -> bool:
        """Nothing: a thread can't be ended from outside."""
        return False

    def prioritise(self, priority: int) -> None:
        """Nothing: there is nobody to compete with."""

    def stop(self) -> None:
        """Stop all frames in progress between two steps."""
        self._leases.close()
        for worker in self._workers:
            worker.stop()

    def close(self) -> None:
        """Nothing to let go of but the frames in progress."""
        self.stop()
