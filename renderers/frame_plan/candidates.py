"""Best of several starts: what of it the plan knows."""

from __future__ import annotations

import math

from manifests.schema import ManifestRow

__all__ = ["exam_step"]


def exam_step(row: ManifestRow) -> int:
    """The number of steps that each of the `candidates` of a resolved row's first frame takes before the best of them
    goes on; all of them but one at most."""
    return max(1, min(math.ceil(row.candidates_share * row.steps_first), row.steps_first - 1))
