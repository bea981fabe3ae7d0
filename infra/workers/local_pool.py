"""The pool of this very process: it needs no Ray, renders with the same `Worker` in threads, and serves tests and
one-process runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

from infra.storage.storage import Storage
from infra.workers.leases import Leases
from infra.workers.pool import PoolWorker
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
        make: Callable[..., Worker] = Worker,
    ) -> None:
        """`device` to `registry` are as for `LoadedModels`; `make` makes each worker, called as `Worker` is."""
        self.size = self.capacity = size
        self.max_batch = batch or 1
        how: dict[str, Any] = {
            "device": device, "threads": threads, "precision": precision, "graphs": graphs, "batch": batch,
        }  # fmt: skip
        self._workers = [make(output, LoadedModels(registry, **how), registry=registry) for _ in range(size)]
        for number, worker in enumerate(self._workers):
            worker.name = f"{worker.name}/{number}"
        self.names = tuple(worker.name for worker in self._workers)
        self._leases = Leases(list(self._workers))

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
        return [worker.progress() for worker in self._workers]

    def restart(self, process: str) -> None:
        """Nothing: a thread can't be ended from outside."""

    def stop(self) -> None:
        """Stop all frames in progress between two steps."""
        self._leases.close()
        for worker in self._workers:
            worker.stop()

    def close(self) -> None:
        """Nothing to let go of but the frames in progress."""
        self.stop()
