"""Masks: pictures that say where a video may change. Nothing here needs torch, so that a wrong one is known at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from renderers.errors import BadInput
from renderers.pictures.reading import read_rgb

__all__ = ["LARGEST_SIDE", "MaskPicture", "read_mask"]

# Pixels of the longer side that are kept of a mask: several for each token of the largest frame.
LARGEST_SIDE = 1024
# How far the ratio of its sides may be from that of the frame, as a share.
ODDEST = 0.02
# The share of a token's area that is free from which on the token is.
FREE = 0.5


@dataclass(frozen=True)
class MaskPicture:
    """A mask as it was read: the `size` of its file in pixels, and how white it is, one byte a pixel, `grey`."""

    name: str
    size: tuple[int, int]
    grey: Image.Image

    def free(self, columns: int, rows: int) -> np.ndarray:
        """Which tokens `(rows, columns)` of a frame may change: those of which half of the area or more is white, grey
        counting as far as it is white."""
        small = self.grey.resize((columns, rows), Image.Resampling.BOX)
        return np.asarray(small) >= round(255 * FREE)

    def check(
        self, width: int, height: int, unit: int, without: str = "nothing could change. White is what may"
    ) -> None:
        """Raise BadInput unless it has the shape of frames of `width` x `height` pixels, and leaves a token of them
        free, each `unit` pixels wide and high; the message ends with what it would be `without`."""
        own, wanted = self.size[0] / self.size[1], width / height
        if max(own, wanted) > (1 + ODDEST) * min(own, wanted):
            raise BadInput(
                f"'{self.name}' has another shape than the frames: {self.size[0]} x {self.size[1]} pixels, where they "
                f"have {width} x {height}: crop it, or scale it to {width} x {height}"
            )
        if not self.free(width // unit, height // unit).any():
            most = int(np.asarray(self.grey).max())
            what = (
                "is black all over" if most < round(255 * FREE) else f"has no white as large as {unit} x {unit} pixels"
            )
            raise BadInput(f"'{self.name}' {what}: {without}")


def read_mask(source: bytes | Path, name: str) -> MaskPicture:
    """Read a mask; `name` is for messages.

    Raises:
        BadInput: it is no picture that can be read; see `read_rgb`.
    """
    picture = read_rgb(source, name)
    size = picture.size
    grey = picture.convert("L")
    share = min(1.0, LARGEST_SIDE / max(size))
    if share < 1:
        grey = grey.resize((max(1, round(size[0] * share)), max(1, round(size[1] * share))), Image.Resampling.BOX)
    return MaskPicture(name, size, grey)
