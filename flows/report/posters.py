"""Posters inside the page: data URIs that together stay within a budget, so that the page opens at 1,000 videos too."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

from PIL import Image

from renderers.pictures.errors import PICTURE_ERRORS

#: Bytes of picture in one page; what a browser still opens from a disk in a second or two.
BUDGET = 24 * 2**20

#: Longest side in pixels up to which a picture is drawn with sharp pixels: interpolating 64 px to a card is mush.
CRISP_SIDE = 192

# What is tried, in turn, for a poster over its share: longest side in pixels, JPEG quality.
_SMALLER = ((320, 80), (240, 72), (160, 60))
_FORMATS = ("PNG", "JPEG", "WEBP")


@dataclass(frozen=True)
class Poster:
    """A picture for an `<img>`: its data URI, its size in pixels as drawn, and whether to keep its pixels sharp."""

    uri: str
    width: int
    height: int
    crisp: bool


def share(videos: int) -> int:
    """Bytes that each of `videos` posters may have."""
    return max(3 * 2**10, BUDGET // max(1, videos))


def fitted(picture: bytes, limit: int) -> bytes:
    """The picture as it is if within `limit` bytes, else as a smaller JPEG.

    Raises one of PICTURE_ERRORS if it can't be read.
    """
    if len(picture) <= limit:
        return picture
    data = picture
    with Image.open(io.BytesIO(picture), formats=_FORMATS) as image:
        smaller = image.convert("RGB")
    for side, quality in _SMALLER:
        smaller.thumbnail((side, side), reducing_gap=2.0)
        stream = io.BytesIO()
        smaller.save(stream, "JPEG", quality=quality)
        data = stream.getvalue()
        if len(data) <= limit:
            break
    return data


def embed(picture: bytes | None, limit: int) -> Poster | None:
    """The poster as a data URI; as it is if within `limit` bytes, else as a smaller JPEG. None if it can't be read."""
    if not picture:
        return None
    try:
        with Image.open(io.BytesIO(picture), formats=_FORMATS) as image:
            width, height = image.size
        data = fitted(picture, limit)
        with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
            kind = str(image.format).lower()
    except PICTURE_ERRORS:
        return None
    uri = f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"
    return Poster(uri=uri, width=width, height=height, crisp=max(width, height) <= CRISP_SIDE)
