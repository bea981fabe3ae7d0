"""What a video was before its latest re-runs, and those of the videos that it continues.

That it is to be replaced was said when these were asked for: whoever renders it next, since the re-run was killed, is
asked no more. Pure: plans in, plans out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice, product

from renderers.frame_plan.video_plan import VideoPlan

__all__ = ["GENERATIONS", "earlier_plans", "parent_takes"]

# Decisions of re-runs that a video may be behind and still be this one, plans that it may have had before them, and
# videos that it may continue one after the other: each plan is a walk over its frames.
LATEST_RETAKES, EARLIER_PLANS, GENERATIONS = 32, 64, 32


def earlier_plans(plan: VideoPlan, parent_digests: Iterable[str] = ()) -> Iterator[VideoPlan]:
    """The plans that a video had before its latest re-runs, the nearest first, and with each of `parent_digests`,
    earlier takes of the frame that it continues, in the place of the present one."""
    kept = range(len(plan.retakes), max(-1, len(plan.retakes) - LATEST_RETAKES - 1), -1)
    parents = [plan.parent]
    if plan.parent is not None:
        parents += [replace(plan.parent, digest=digest) for digest in parent_digests]
    every = (replace(plan, retakes=plan.retakes[:count], parent=parent) for parent, count in product(parents, kept))
    yield from islice(every, 1, EARLIER_PLANS + 1)  # the first is the present one


def parent_takes(line: Sequence[VideoPlan], frame: int) -> tuple[str, ...]:
    """The digests that frame `frame` of the first of `line` had before the latest re-runs of it and of those that it
    continues, which follow it in `line`, parent after child."""
    takes: tuple[str, ...] = ()
    for number in reversed(range(len(line))):
        plan = line[number]
        child = line[number - 1].parent if number else None
        wanted = frame if child is None else child.frame
        digests = (_digest(it, wanted) for it in (plan, *earlier_plans(plan, takes)))
        takes = tuple(dict.fromkeys(digests))[1:]  # the first is the present one
    return takes


def _digest(plan: VideoPlan, frame: int) -> str:
    return next(islice(plan.walk(), frame, None)).digest
