"""What changes in time, against what it may be."""

from __future__ import annotations

from functools import lru_cache

from manifests.schema.expressions import names_of_video
from manifests.schema.keyframes import REMEMBERED_LENGTH, Keyframes
from manifests.schema.timeline import Timeline

__all__ = ["check_values"]


def check_values(text: str, frames: int, timeline: Timeline, low: float, high: float) -> None:
    """Raise KeyframeError where keyframes lie outside `low..high` in a video of `frames` frames (of a long one not all
    are looked at)."""
    check = _checked if len(text) <= REMEMBERED_LENGTH else _checked.__wrapped__
    check(text, frames, timeline.only(names_of_video(text)), low, high)


@lru_cache(maxsize=4096)
def _checked(text: str, frames: int, timeline: Timeline, low: float, high: float) -> None:
    Keyframes.parse(text, timeline).check(frames, low, high)
