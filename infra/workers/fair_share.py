"""Who may hold how many actors on a cluster that several jobs want: decisions only; the clock and the nodes are
arguments.

A share is a claim, not an actor: what is claimed and still in use by another job is waited for in Ray's own queue. The
shares of all jobs fit on the nodes together, and no actor needs more than its own, so that nobody waits in a circle.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby

from infra.workers.room import Room
from infra.workers.scaling import Claim, Growth, Scaling

__all__ = ["FORGET_SECONDS", "Demand", "FairShares", "shares"]

FORGET_SECONDS = 15.0  # without a message from a job, and it has lost its share


@dataclass(frozen=True)
class Demand:
    """What a job says of itself: how many actors it could keep busy and how many it has, of which size.

    `since` (seconds since 1970) says who came first; `last_seen` is the receiver's, seconds of its own clock. `asked`
    are all actors that it has, those included that Ray has had no room for, for however long, `named` how many it may
    have if a person has said it; it `grows` where the cluster has an autoscaler. Fewer than `least` are of no use to
    it: it is given so many together, or none.
    """

    job: str
    wanted: int
    held: int = 0
    priority: int = 0
    since: float = 0.0
    last_seen: float = 0.0
    cpus: float = 1.0
    gpus: float = 0.0
    asked: int = 0
    named: int = 0
    grows: bool = False
    least: int = 1


def shares(
    nodes: Sequence[Mapping[str, float]], demands: Iterable[Demand], now: float, *, forget: float = FORGET_SECONDS
) -> dict[str, int]:
    """Decide how many actors each job may have, by the nodes' resources ("CPU", "GPU"); silent jobs are left out.

    Every job gets one first, or its `least`, for as long as there are any: the highest priority and then the earliest
    before others; but those that hold their `least` before all, since they can't give a part of it back. What is left
    goes to the highest priority, in equal parts among equals, and so on down. What nobody wants stays with those who
    have it: an idle actor holds its models, and may be needed again.
    """
    live = [demand for demand in demands if now - demand.last_seen <= forget]
    live.sort(key=lambda demand: (-demand.priority, demand.since, demand.job))
    room = Room(nodes)
    given = dict.fromkeys((demand.job for demand in live), 0)

    def give(demand: Demand, most: int) -> bool:
        if given[demand.job] >= most or not room.take(demand.cpus, demand.gpus):
            return False
        given[demand.job] += 1
        return True

    for demand in sorted(live, key=lambda it: it.least < 2 or it.held < it.least):
        if demand.least < 2:
            give(demand, min(demand.wanted, 1))
            continue
        rest = room.copy()
        if all(rest.take(demand.cpus, demand.gpus) for _ in range(demand.least)):
            room, given[demand.job] = rest, demand.least
    live = [demand for demand in live if demand.least < 2 or given[demand.job]]
    wishes: tuple[Callable[[Demand], int], ...] = (lambda demand: demand.wanted, lambda demand: demand.held)
    for wish in wishes:
        for _, equals in groupby(live, key=lambda demand: demand.priority):
            taking = list(equals)
            while taking:
                taking = [demand for demand in taking if give(demand, wish(demand))]
    return given


@dataclass
class FairShares:
    """The demands of all jobs of a cluster, as they come in."""

    _demands: dict[str, Demand] = field(default_factory=dict)
    _growth: Growth = field(default_factory=Growth)

    def update(
        self, demand: Demand, nodes: Sequence[Mapping[str, float]], now: float, scaling: Scaling | None = None
    ) -> int:
        """Take a job's demand at the time `now`; returns its share, of the `nodes` that live and of those that an
        autoscaler may add, if there is one (`scaling` is what it says)."""
        self._demands[demand.job] = replace(demand, last_seen=now)
        if scaling is not None:
            claims = [Claim((it.cpus, it.gpus), it.asked, it.named) for it in self._demands.values()]
            nodes = [*nodes, *self._growth.nodes(scaling, claims, nodes, now)]
        given = shares(nodes, self._demands.values(), now)
        self._demands = {job: known for job, known in self._demands.items() if job in given}
        return given[demand.job]

    def leave(self, job: str) -> None:
        """Forget a job that has ended."""
        self._demands.pop(job, None)
