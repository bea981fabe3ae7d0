"""What a job may ask of a cluster that grows and shrinks by itself: decisions only; the clock, the nodes and what the
cluster's autoscaler says are arguments.

An actor that Ray has no room for is a demand that the autoscaler sees, and that ends with the actor or its driver: no
list of wishes is kept anywhere, which several runs would have to agree on and which a driver that dies would leave
behind. What the autoscaler could add at most it does not tell; but it tells what it can't place. So a job claims some
actors more than there is room for until some are refused.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from infra.workers.room import Size, described, room_for_actors

__all__ = ["Claim", "Coming", "Growth", "Scaling", "Spare"]

# Actors that are claimed beyond the room that there is, where no person has said how many there may be; on large
# clusters as many again as fit on them now. Fewer once some were refused: then it is a look whether that holds.
STEP, STEP_AGAIN = 64, 8
# The autoscaler looks every five seconds: what it says meanwhile is still about claims that were withdrawn.
SETTLE_SECONDS = 15.0
# Its limits are a file, which people edit; nodes that were not to be had may be again.
TRY_AGAIN_SECONDS = 300.0
# Work comes in turns: an actor that goes at once would be missed a moment later, and a node's start costs a minute.
SPARE_SECONDS = 30.0


@dataclass(frozen=True)
class Coming:
    """Nodes on their way: `number` of one `kind`."""

    kind: str
    number: int


@dataclass(frozen=True)
class Scaling:
    """What a cluster's autoscaler says: how many actors of a size it can't place, and which nodes are on their way.
    `unplaced` are the actors that Ray has no room for yet."""

    unplaced: Mapping[Size, int] = field(default_factory=dict)
    refused: Mapping[Size, int] = field(default_factory=dict)
    coming: tuple[Coming, ...] = ()

    def waits_for(self, size: Size) -> str:
        """Say in a phrase what an actor of this size waits for."""
        if self.coming:
            nodes = ", ".join(f"{it.number} {it.kind}".rstrip() for it in self.coming)
            return f"nodes that are on their way ({nodes})"
        if self.refused.get(size):
            return f"the autoscaler, which can add no node for an actor of {described(size)} now"
        return "the autoscaler, which has been asked for nodes"


@dataclass(frozen=True)
class Claim:
    """A job's actors of a size: `asked` are all that it has by now, those included that wait for a node; `named` how
    many there may be, if a person has said it."""

    size: Size
    asked: int
    named: int = 0


@dataclass(frozen=True)
class _Limit:
    actors: int
    since: float


@dataclass
class Growth:
    """How many actors a cluster may come to hold, as the autoscaler's answers tell in time."""

    _limits: dict[Size, _Limit] = field(default_factory=dict)
    _refused: set[Size] = field(default_factory=set)

    def nodes(
        self, scaling: Scaling, claims: Iterable[Claim], nodes: Sequence[Mapping[str, float]], now: float
    ) -> list[dict[str, float]]:
        """Return what may be claimed beside `nodes`, the living, as nodes of one actor each."""
        claims = list(claims)
        more: list[dict[str, float]] = []
        for size in sorted({claim.size for claim in claims}):
            equal = [claim for claim in claims if claim.size == size]
            room = room_for_actors(nodes, *size)
            self._learn(size, scaling.refused.get(size, 0), sum(claim.asked for claim in equal), room, now)
            limit = self._limits.get(size)
            if limit is not None:
                number = max(0, limit.actors - room)
            elif size in self._refused:
                number = max(STEP_AGAIN, room)
            else:
                number = max(STEP, room, sum(claim.named for claim in equal))
            more += [{"CPU": size[0], "GPU": float(math.ceil(size[1]))}] * number
        return more

    def _learn(self, size: Size, refused: int, asked: int, room: int, now: float) -> None:
        known = self._limits.get(size)
        if known is not None and now - known.since < SETTLE_SECONDS:
            return
        if refused:
            # one stays, so that the autoscaler sees that somebody would have a node
            self._limits[size] = _Limit(max(1, room, asked - refused), now)
            self._refused.add(size)
        elif known is not None and now - known.since > TRY_AGAIN_SECONDS:
            del self._limits[size]


@dataclass
class Spare:
    """Which actors are to go although nobody else wants them: their node can be given back. On a cluster that does not
    shrink they stay, with their models, for they may be needed again."""

    _since: float | None = None

    def keep(self, share: int, wanted: int, now: float) -> int:
        """Return how many of a share to have, of which `wanted` could be kept busy."""
        if share <= wanted:
            self._since = None
            return share
        if self._since is None:
            self._since = now
        return share if now - self._since < SPARE_SECONDS else wanted
