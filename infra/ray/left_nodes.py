"""Nodes on which a pool has no actors, since they lack what its job needs (flows/retry_and_quarantine/lacks.py)."""

from __future__ import annotations

from collections.abc import Iterable

from infra.ray.cluster import leaving_nodes  # before Ray: sets its environment
from infra.ray.guest import LABEL
from infra.ray.worker import RayWorker
from infra.workers.room import room_for_actors

import ray  # isort: skip

__all__ = ["LeftNodes"]

# By which Ray itself labels each node.
NODE_ID = "ray.io/node-id"


class LeftNodes:
    """The nodes that a pool of actors of `cpus` and `gpus` has left. Safe to use from any thread: a set is replaced
    whole."""

    def __init__(self, cpus: float, gpus: float) -> None:
        self._size = cpus, gpus
        self._ids: frozenset[str] = frozenset()

    def add(self, node: str) -> bool:
        """Leave one more, if there is room for an actor beside them all; return whether there is."""
        left = self._ids | {node}
        if not node or not self._room_beside(left):
            return False
        self._ids = left
        return True

    def at_most(self, actors: int) -> int:
        """Ask for no more actors than there is room for elsewhere: others would wait for ever. Where the other nodes
        have gone, come back: a frame that fails and says what is lacking is better than none for ever."""
        room = self._room_beside(self._ids) if self._ids else actors
        if not room:
            self._ids = frozenset()
        return min(actors, room) if room else actors

    def of(self, workers: Iterable[RayWorker]) -> frozenset[str]:
        """Name those of `workers` that are there: none of them is to be kept once it was let go."""
        return frozenset(worker.name for worker in workers if worker.node in self._ids)

    @property
    def options(self) -> dict[str, dict[str, str]]:
        """What Ray is told of each new actor."""
        return {"label_selector": {NODE_ID: f"!in({','.join(sorted(self._ids))})"}} if self._ids else {}

    def _room_beside(self, left: frozenset[str]) -> int:
        out = left | leaving_nodes()
        nodes = (node for node in ray.nodes() if node["Alive"] and node["NodeID"] not in out)
        return room_for_actors([node["Resources"] for node in nodes if LABEL not in node["Labels"]], *self._size)
