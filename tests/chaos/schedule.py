"""What goes wrong in a chaos run, and when: decided beforehand from a seed, so that a run can be repeated.

The clock of a schedule is the number of frames that lie in storage, not seconds: a slow machine suffers the same faults
at the same places as a fast one.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal, get_args

__all__ = ["KINDS", "Fault", "FaultSchedule", "Kind"]

Kind = Literal["actor killed", "storage burst", "frame damaged", "node replaced", "driver killed", "fair share killed"]
KINDS: tuple[Kind, ...] = get_args(Kind)

# Of a hundred faults. A job lives with dead actors and a flaky storage; nodes and drivers die now and then.
SHARES: dict[Kind, int] = {
    "actor killed": 40, "storage burst": 22, "frame damaged": 20, "node replaced": 8, "driver killed": 6,
    "fair share killed": 4,
}  # fmt: skip
# Before and after which share of the frames nothing happens: the job begins and ends.
FIRST, LAST = 0.03, 0.92


@dataclass(frozen=True)
class Fault:
    """One fault, due once `after` frames are committed. `chance` in [0, 1) chooses its victim among those there are."""

    after: int
    kind: Kind
    chance: float


@dataclass(frozen=True)
class FaultSchedule:
    """The faults of one run, in the order in which they are due."""

    seed: int
    faults: tuple[Fault, ...]

    @classmethod
    def of(cls, seed: int, faults: int, frames: int) -> FaultSchedule:
        """`faults` faults spread over a job of `frames`, every kind among them where there are enough."""
        dice = random.Random(seed)
        kinds = _kinds(faults)
        dice.shuffle(kinds)
        begin, end = frames * FIRST, frames * LAST
        moments = sorted(int(begin + dice.random() * (end - begin)) for _ in kinds)
        pairs = zip(moments, kinds, strict=True)
        return cls(seed, tuple(Fault(moment, kind, dice.random()) for moment, kind in pairs))


def _kinds(number: int) -> list[Kind]:
    """So many kinds, one of each first, then by their shares: whichever is the furthest behind its own."""
    taken = dict.fromkeys(SHARES, 0)
    for _ in range(number):
        taken[min(SHARES, key=lambda kind: (taken[kind] > 0, taken[kind] / SHARES[kind]))] += 1
    return [kind for kind, times in taken.items() for _ in range(times)]
