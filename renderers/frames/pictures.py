"""Pictures that a row names, as the renderer wants them."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from renderers.errors import BadInput
from renderers.picture_errors import PICTURE_ERRORS

__all__ = ["read_picture"]


def read_picture(images: Mapping[str, bytes], uri: str, width: int, height: int) -> Tensor:
    """The picture at `uri` as `(1, 3, height, width)` in [0, 1]: scaled to cover, centre cropped.

    Raises:
        BadInput: the bytes are no picture that can be read.
    """
    try:
        with Image.open(io.BytesIO(images[uri])) as image:
            # cameras leave the turning of a picture to whoever shows it.
            picture = ImageOps.exif_transpose(image).convert("RGB")
    except PICTURE_ERRORS as error:
        raise BadInput(f"'{uri}' is not a picture that can be read ({error}): give PNG, JPEG, WebP or GIF") from error
    scale = max(width / picture.width, height / picture.height)
    # round up: a picture one pixel short would leave a black line.
    size = (math.ceil(picture.width * scale), math.ceil(picture.height * scale))
    picture = picture.resize(size, Image.Resampling.LANCZOS)
    left, top = (size[0] - width) // 2, (size[1] - height) // 2
    pixels = np.array(picture.crop((left, top, left + width, top + height)))
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 255
