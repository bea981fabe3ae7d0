"""Which frame of another video a video continues: `reef@119`, or `reef` for its last."""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["Continued", "continued"]

_TEXT = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,127})(?:\s*@\s*(\d{1,7}))?", re.ASCII)


class Continued(NamedTuple):
    """Frame `frame` of the video `video_id`; None for its last frame."""

    video_id: str
    frame: int | None

    def __str__(self) -> str:
        return self.video_id if self.frame is None else f"{self.video_id}@{self.frame}"


def continued(text: str) -> Continued:
    """Read `reef@119` or `reef`.

    Raises:
        ValueError: it is neither.
    """
    found = _TEXT.fullmatch(text.strip())
    if found is None:
        raise ValueError("write the video_id of the row that it goes on from and a frame, 'reef@119'; or 'reef' alone")
    return Continued(found[1], None if found[2] is None else int(found[2]))
