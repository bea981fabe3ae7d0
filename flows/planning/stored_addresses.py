"""By which formulas the frames of a video are addressed: those of its frames in storage, if it has any.

A release may address frames in another way than the one before. What lies in storage stays where it is then, and a
video that was begun is gone on with as it was: only frames that are missing or changed are rendered. Pure: a plan and
keys in, a plan out.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from infra.storage.layout import frame_of, frames_present
from renderers.frame_plan.video_plan import OLDER_ALGORITHMS, VideoPlan

__all__ = ["as_stored"]


def as_stored(plan: VideoPlan, keys: Collection[str]) -> tuple[VideoPlan, set[int]]:
    """`plan`, addressed as most of its frames under `keys` are, and which those are.

    It is left as it is where no older formulas find more frames, or where they can't express all that the row asks for.
    """
    present = frames_present(keys, plan.digests)
    # where the plan accounts for all frames that are there, no older formulas find more
    if sum(frame_of(key) is not None for key in keys) <= len(present):
        return plan, present
    for algorithm in OLDER_ALGORITHMS:
        if algorithm != plan.algorithm and plan.expressible(algorithm):
            older = replace(plan, algorithm=algorithm)
            found = frames_present(keys, older.digests)
            if len(found) > len(present):
                plan, present = older, found
    return plan, present
