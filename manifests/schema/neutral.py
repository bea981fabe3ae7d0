"""What a field of a row says of itself to the addresses of frames: the value at which it changes no picture.

A digest holds only what differs from that value, so a field that is added later leaves every frame that was ever
rendered where it is, as long as nobody uses it. A neutral value is no default: a default may change from one release to
the next, a neutral value never does, or frames of two meanings would have one address. A test holds all of them, and
tells whoever forgets one; until then the field is part of every digest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = ["NO_PICTURE", "Neutral", "NoPicture"]


@dataclass(frozen=True, slots=True)
class Neutral:
    """Metadata of a field that decides pictures: at `value` it changes none. What is `in_time` may change from frame to
    frame: it enters the address of each frame by what it comes to there, not what all frames of a video share."""

    value: Any
    in_time: bool = False


@dataclass(frozen=True, slots=True)
class NoPicture:
    """Metadata of a field that decides no picture: it names the video, or comes after its frames."""


NO_PICTURE = NoPicture()
