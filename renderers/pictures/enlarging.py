"""How a finished picture is enlarged."""

from __future__ import annotations

import numpy as np
from PIL import Image

__all__ = ["enlarged"]

# Pixels that Lanczos' filter looks at on each side of one.
REACH = 3


def enlarged(picture: Image.Image, factor: int, tile: str = "none") -> Image.Image:
    """`picture`, `factor` times as large, by Lanczos' filter; along the axes of `tile`, x, y or xy, it goes on at its
    other side, so that what had no seam has none after it."""
    across, down = (REACH if axis in tile else 0 for axis in "xy")
    if across or down:
        pixels = np.pad(np.asarray(picture), ((down, down), (across, across), (0, 0)), mode="wrap")
        picture = Image.fromarray(pixels)
    size = picture.width * factor, picture.height * factor
    picture = picture.resize(size, Image.Resampling.LANCZOS)
    left, top = across * factor, down * factor
    return picture.crop((left, top, size[0] - left, size[1] - top)) if across or down else picture
