"""Pictures that a row names, as the renderer wants them."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from renderers.frame_plan.crops import Box
from renderers.pictures.reading import read_rgb

__all__ = ["FittedPictures", "read_crops", "read_picture"]

# How much longer than the frame a picture may be before its ends are cut off first: enlarged whole, a line of pixels
# would take gigabytes.
LONGEST = 4
# Pixels of fitted pictures that are remembered, at three bytes each: 64 frames of 1024 x 1024.
REMEMBERED_PIXELS = 2**26


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
    return _as_tensor(picture.crop((left, top, left + width, top + height)))


def read_crops(images: Mapping[str, bytes], uri: str, boxes: Callable[[int, int], Sequence[Box]], side: int) -> Tensor:
    """Crops of the picture at `uri` as `(n, 3, side, side)` in [0, 1]: `boxes` of its width and height in pixels.

    Raises:
        BadInput: as `read_picture`.
    """
    picture = read_rgb(images[uri], uri)
    resized = (picture.resize((side, side), Image.Resampling.LANCZOS, box=box) for box in boxes(*picture.size))
    return torch.cat([_as_tensor(crop) for crop in resized])


class FittedPictures:
    """Pictures fitted to frames, each read once for all frames of a size: those that were used last, on `device`."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._known: OrderedDict[tuple[str, int, int], Tensor] = OrderedDict()  # bytes: a quarter of the floats

    def read(self, images: Mapping[str, bytes], uri: str, sha256: str, width: int, height: int) -> Tensor:
        """As `read_picture`; `sha256` is that of the picture's bytes.

        Raises:
            BadInput: as `read_picture`.
        """
        key = (sha256, width, height)
        if key not in self._known:
            self._known[key] = (read_picture(images, uri, width, height) * 255).round().to(torch.uint8).to(self._device)
        self._known.move_to_end(key)
        while len(self._known) > 1 and sum(w * h for _, w, h in self._known) > REMEMBERED_PIXELS:
            self._known.popitem(last=False)
        return self._known[key].float() / 255


def _as_tensor(picture: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 255


def _shortened(picture: Image.Image, ratio: float) -> Image.Image:
    """The middle of a picture that is much longer than a frame whose width is `ratio` times its height."""
    width = min(picture.width, math.ceil(picture.height * ratio * LONGEST))
    height = min(picture.height, math.ceil(picture.width / ratio * LONGEST))
    if (width, height) == picture.size:
        return picture
    left, top = (picture.width - width) // 2, (picture.height - height) // 2
    return picture.crop((left, top, left + width, top + height))
