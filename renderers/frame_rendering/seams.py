"""How visible the joins of a video are: the seam score.

The change from one frame to the next is what is left after the camera's move is undone (`warp.frame_change`). A seam
scores its change over the median change of all other pairs: a join that nobody sees scores about what any pair of a
chain does. Pure: no picture is looked at here.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

__all__ = ["seam_scores"]


def seam_scores(changes: Mapping[int, float], seams: Sequence[int]) -> dict[int, float]:
    """The score of each of `seams` of which the change is known: `changes` holds those from frame `t - 1` to frame `t`,
    by `t`. Without a pair that is no seam there is nothing to compare with, and no score."""
    others = [change for frame, change in changes.items() if frame not in set(seams)]
    usual = statistics.median(others) if others else 0.0
    return {seam: changes[seam] / usual for seam in seams if seam in changes} if usual else {}
