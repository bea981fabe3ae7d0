"""The actors of one pool: how they come up, are lost and come back, and go. `RayPool` says how many there are to be.

Only its keeper's thread calls what is here, `everyone` excepted; other threads meet the leases only.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

from infra import metrics
from infra.ray.cluster import leaving_nodes  # before Ray: sets its environment
from infra.ray.worker import RayWorker
from infra.workers.leases import Leases
from infra.workers.pool import PoolWorker, Standing

import ray  # isort: skip
import ray.exceptions  # isort: skip

__all__ = ["RayActors"]

RETRY_SECONDS = 1.0  # between two questions to an actor that is between two lives
# One that takes longer to come up waits for room that others hold: nobody should wait for it in turn.
LATE_SECONDS = 120.0


@dataclass(eq=False)
class _Rising:
    """An actor whose process is starting, for the first time or again; `asked` is the reference to its first answer."""

    worker: RayWorker
    asked: Any
    again: bool
    since: float
    ask_at: float = 0.0


class RayActors:
    """Actors that `make` makes, given a name; in `leases` once they can be rented."""

    def __init__(self, make: Callable[[str], RayWorker]) -> None:
        self._make, self._number = make, 0
        self._all: dict[str, RayWorker] = {}
        self._late: frozenset[str] = frozenset()
        self._leaving_nodes: frozenset[str] = frozenset()
        self._rising: list[_Rising] = []
        self._left: queue.SimpleQueue[PoolWorker] = queue.SimpleQueue()
        self._known: tuple[str, ...] = ()
        self.leases = Leases(left=self._left.put, coming=lambda: self.names)

    @property
    def names(self) -> tuple[str, ...]:
        """Those that work or will soon, first ones and lost ones that come back included. For any thread."""
        late = self._late
        return tuple(w.name for w in list(self._all.values()) if not w.retiring and w.name not in late)

    @property
    def places(self) -> dict[str, str]:
        """The node of each of these, '' of one that is starting. For any thread."""
        names = set(self.names)
        return {worker.name: worker.node for worker in list(self._all.values()) if worker.name in names}

    @property
    def number(self) -> int:
        """How many there are that stay, however long they have waited for a place. For any thread."""
        return sum(not worker.retiring for worker in list(self._all.values()))

    def everyone(self) -> list[RayWorker]:
        """List those whose processes are up, as far as is known."""
        return cast("list[RayWorker]", self.leases.everyone())

    def standings(self) -> dict[str, Standing]:
        """Return where each of them stands. For any thread."""
        up = {worker.name for worker in self.everyone()}
        return {worker.name: _standing(worker, up) for worker in list(self._all.values())}

    def fit(self, number: int, drained: Collection[str] = (), *, whole_nodes: bool = False) -> None:
        """Have as many as that: start some, or let go of those that do the least harm, so that `whole_nodes` become
        free if that is of use. Those `drained` go in any case."""
        more = number - self.number
        if more > 0:
            for _ in range(more - self.leases.recall(more, {*drained, *self._on_nodes_that_leave()})):
                self._rising.append(self._new())
        # of those that are starting the latest go first: the others are nearer to work
        while more < 0 and self._rising:
            self._end(self._rising.pop().worker)
            more += 1
        if more < 0:
            self.leases.retire(-more, last=self._on_busy_nodes() if whole_nodes else ())

    def welcome(self) -> None:
        """Offer those that have come up."""
        now = time.monotonic()
        for rising in [rising for rising in self._rising if rising.asked is None and now >= rising.ask_at]:
            rising.asked = rising.worker.awake()
        self._late = frozenset(rising.worker.name for rising in self._rising if now - rising.since > LATE_SECONDS)
        asked = {rising.asked: rising for rising in self._rising if rising.asked is not None}
        ready, _ = ray.wait(list(asked), num_returns=len(asked), timeout=0) if asked else ([], [])
        for reference in ready:
            rising = asked[reference]
            try:
                rising.worker.node = ray.get(reference)
            except ray.exceptions.ActorUnavailableError:
                rising.asked, rising.ask_at = None, now + RETRY_SECONDS
                continue
            except ray.exceptions.RayError:
                # One that never came up is offered all the same: whoever rents it learns why, and the job's own
                # rules say how often. One that will not come back is replaced.
                if rising.again:
                    self._end(rising.worker)
                    self._rising[self._rising.index(rising)] = self._new()
                    continue
            self._rising.remove(rising)
            rising.worker.lost = False
            self._late -= {rising.worker.name}
            self.leases.add(rising.worker)

    def announce(self) -> None:
        """Have those who wait for an actor look again when those that will come are others."""
        if self._known != self.names:
            self._known = self.names
            self.leases.wake()

    def clear_up(self, *, may_return: bool) -> None:
        """See to those that have left the leases: lost ones may come back, retired ones end."""
        while not self._left.empty():
            worker = cast(RayWorker, self._left.get())
            if worker.lost and not worker.asked:
                metrics.count(metrics.WORKERS_LOST)
            if worker.lost and not worker.retiring and may_return:
                self._rising.append(_Rising(worker, None, again=True, since=time.monotonic()))
            else:
                self._end(worker)

    def miss_nodes(self) -> None:
        """Take free ones off whose node is gone, before somebody rents them; and let go of those whose node is about to
        leave, after what they do: others come in their place elsewhere."""
        alive = {node["NodeID"] for node in ray.nodes() if node["Alive"]}
        self._leaving_nodes = leaving_nodes()
        for worker in self.everyone():
            if worker.node and worker.node not in alive:
                worker.lost = True
        for name in self._on_nodes_that_leave():
            self.leases.let_go(name)
        self.leases.sweep()

    def _on_nodes_that_leave(self) -> list[str]:
        return [worker.name for worker in self.everyone() if worker.node in self._leaving_nodes]

    def _on_busy_nodes(self) -> set[str]:
        """Name those whose nodes have somebody rented: of the others, whole nodes become free."""
        free = set(self.leases.free)
        busy = {worker.node for worker in self.everyone() if worker.name not in free}
        return {worker.name for worker in self.everyone() if worker.node in busy}

    def end(self) -> None:
        """End all processes at once."""
        self.clear_up(may_return=False)
        for worker in list(self._all.values()):
            self._end(worker)

    def _new(self) -> _Rising:
        worker = self._make(f"actor-{self._number}")
        self._number += 1
        self._all[worker.name] = worker
        return _Rising(worker, worker.awake(), again=False, since=time.monotonic())

    def _end(self, worker: RayWorker) -> None:
        self._all.pop(worker.name, None)
        with suppress(Exception):  # it may be gone already
            worker.kill()


def _standing(worker: RayWorker, up: Collection[str]) -> Standing:
    if worker.retiring:
        return "leaving"
    return "starting" if worker.name not in up or worker.lost else "there"
