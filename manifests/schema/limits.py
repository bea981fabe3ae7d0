"""What changes in time, against what it may be."""

from __future__ import annotations

from functools import lru_cache

from manifests.schema.expressions import KeyframeError, names_of_video
from manifests.schema.keyframes import REMEMBERED_LENGTH, Keyframes
from manifests.schema.timeline import Timeline

__all__ = ["check_values", "check_within"]

# At which shares of a frame's steps a value is looked at before it is planned.
_SHARES = (0.25, 0.5, 0.75, 0.99)


def check_values(text: str, frames: int, timeline: Timeline, low: float, high: float) -> None:
    """Raise KeyframeError where keyframes lie outside `low..high` in a video of `frames` frames (of a long one not all
    are looked at)."""
    check = _checked if len(text) <= REMEMBERED_LENGTH else _checked.__wrapped__
    check(text, frames, timeline.only(names_of_video(text)), low, high)


@lru_cache(maxsize=4096)
def _checked(text: str, frames: int, timeline: Timeline, low: float, high: float) -> None:
    Keyframes.parse(text, timeline).check(frames, low, high)


def check_within(text: str, timeline: Timeline, low: float, high: float) -> None:
    """Raise KeyframeError where keyframes lie outside `low..high` in the midst of the first frame's steps."""
    keys = Keyframes.parse(text, timeline)
    if timeline.unheard(names_of_video(text)):
        return
    for share in _SHARES:
        if not low <= (value := keys.at(0, share)) <= high:
            raise KeyframeError(
                f"it is {value:g} at frame 0 when {share:.0%} of the steps are over; allowed is {low:g} to {high:g}"
            )
