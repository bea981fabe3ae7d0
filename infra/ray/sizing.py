"""How many actors a pool has: what its job could keep busy, what the cluster gives it, and whether that one grows.

A cluster that grows is asked for nodes by actors that wait, so it is asked for as many as are wanted; on one that does
not, actors that wait would only say that there is no room. No thread here: a pool asks from its own.
"""

from __future__ import annotations

from infra.ray.autoscaler import Autoscaler  # before Ray: sets its environment
from infra.ray.cluster import alive_nodes
from infra.ray.left_nodes import LeftNodes
from infra.ray.placing import check_room, wants_gpus
from infra.settings import InfraSettings
from infra.workers.room import Size, room_for_actors

__all__ = ["Sizing"]

# A frame that failed is tried on another actor, so that a job with work for one wants a second.
LEAST_WANTED = 2
# Of one pool.
MOST_ACTORS = 10_000
# For how many a job's work is cut where nobody knows how many there will be, NIGHTREEL_ACTORS being unset.
GROWN_ACTORS = 32


class Sizing:
    """The numbers of one pool on the cluster that this process has joined. `want`: what its job could keep busy now."""

    def __init__(self, settings: InfraSettings, want: int | None, *, alone: bool) -> None:
        """`alone`: the cluster is this pool's own, and never grows. `want` None is as many as there may be.

        Raises:
            RayUnavailable: there is no room for one actor even when nobody else is there, and no autoscaler.
        """
        self.want = MOST_ACTORS if want is None else want
        self.in_vain = ""
        self._settings = settings
        self._autoscaler = None if alone else Autoscaler.of(settings)
        self.uses_gpus = wants_gpus(settings, self._autoscaler)
        self.gpus_per_actor = settings.gpus_per_actor if self.uses_gpus else 0.0
        if self._autoscaler is None:
            check_room(settings, self.of_one)
        self.left = LeftNodes(*self.of_one)

    @property
    def of_one(self) -> Size:
        """What one actor has."""
        return self._settings.cpus_per_actor, self.gpus_per_actor

    @property
    def grows(self) -> bool:
        """Whether an autoscaler may add nodes."""
        return self._autoscaler is not None

    @property
    def capacity(self) -> int:
        """Actors that there would be if nobody else used the cluster; on one that grows, a guess unless it is set."""
        room = room_for_actors(alive_nodes(), *self.of_one)
        if self.grows:
            return self._settings.actors or max(room, GROWN_ACTORS)
        return min(self._settings.actors or room, room)

    @property
    def alone(self) -> int:
        """Actors for the job where nobody else is."""
        return min(self.capacity, self._wanted)

    def asked(self, drained: int) -> int:
        """Return what to say that the job wants, with so many actors drained."""
        return self._without(drained, min(self._wanted, self._most))

    def needed(self, share: int, drained: int) -> int:
        """Return how many actors to have of a share."""
        if self._autoscaler is None:
            return self._without(drained, self.left.at_most(share))
        return self._without(drained, self._autoscaler.keep(share, min(self._wanted, self._most)))

    def look(self) -> None:
        """Hear what the autoscaler says now, if there is one."""
        if self._autoscaler is not None:
            self._autoscaler.look()

    def waiting(self, *, waits: bool) -> str:
        """Say what a pool without an actor waits for; '' where it does not, or where nodes never come."""
        return self._autoscaler.waiting(self.of_one) if self._autoscaler is not None and waits else ""

    def judge(self, *, waits: bool) -> None:
        """Give up, in `in_vain`, once a pool has waited for a node for too long; it `waits` now, or not."""
        if self._autoscaler is None:
            return
        if self._autoscaler.waited(waits=waits) > self._autoscaler.patience:
            self.in_vain = self._autoscaler.refusal(self.of_one)

    @property
    def _wanted(self) -> int:
        if self.grows:  # a node would be started for the second
            return self.want
        return self.want and max(self.want, LEAST_WANTED)

    @property
    def _most(self) -> int:
        return self._settings.actors or MOST_ACTORS

    def _without(self, drained: int, actors: int) -> int:
        """Leave the places of those that were drained to others."""
        if not drained:
            return actors
        return max(0, min(actors, (self._most if self.grows else self.capacity) - drained))
