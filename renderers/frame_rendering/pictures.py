"""Pictures that a row names, as the renderer wants them."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from renderers.pictures.reading import read_rgb

__all__ = ["read_picture"]

# How much longer than the frame a picture may be before its ends are cut off first: enlarged whole, a line of pixels
# would take gigabytes.
LONGEST = 4


def read_picture(images: Mapping[str, bytes], uri: str, width: int, height: int) -> Tensor:
    """The picture at `uri` as `(1, 3, height, width)` in [0, 1]: scaled to cover, centre cropped.

    Raises:
        BadInput: the bytes are no picture that can be read; see `read_rgb`.
    """
    picture = _shortened(read_rgb(images[uri], uri), width / height)
    scale = max(width / picture.width, height / picture.height)
    # round up: a picture one pixel short would leave a black line.
    size = (math.ceil(picture.width * scale), math.ceil(picture.height * scale))
    picture = picture.resize(size, Image.Resampling.LANCZOS)
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    pixels = np.array(picture.crop((left, top, left + width, top + height)))
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255


def _shortened(picture: Image.Image, ratio: float) -> Image.Image:
    """The middle of a picture that is much longer than a frame whose width is `ratio` times its height."""
    width = min(picture.width, math.ceil(picture.height * ratio * LONGEST))
    height = min(picture.height, math.ceil(picture.width / ratio * LONGEST))
    if (width, height) == picture.size:
        return picture
    left, top = (picture.width - width) // 2, (picture.height - height) // 2
    return picture.crop((left, top, left + width, top + height))
