"""A picture at the size of a frame, as `source.fit` says."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

__all__ = ["fitted_to"]


def fitted_to(
    picture: Image.Image, width: int, height: int, fit: Literal["cover", "contain", "stretch"]
) -> NDArray[np.uint8]:
    """`picture` (RGB) as `(height, width, 3)` uint8: cut at its sides (cover), on black (contain), or distorted."""
    filter = Image.Resampling.LANCZOS
    if fit == "stretch":
        return np.array(picture.resize((width, height), filter))
    if fit == "cover":
        # the box before the scale: a long picture would be scaled to millions of pixels otherwise
        scale = max(width / picture.width, height / picture.height)
        wide, high = width / scale, height / scale
        left, top = (picture.width - wide) / 2, (picture.height - high) / 2
        return np.array(picture.resize((width, height), filter, box=(left, top, left + wide, top + high)))
    scale = min(width / picture.width, height / picture.height)
    inner = picture.resize((max(1, round(picture.width * scale)), max(1, round(picture.height * scale))), filter)
    sheet = Image.new("RGB", (width, height))
    sheet.paste(inner, ((width - inner.width) // 2, (height - inner.height) // 2))
    return np.array(sheet)
