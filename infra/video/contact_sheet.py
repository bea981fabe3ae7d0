"""Small pictures for people who look at many videos: a contact sheet of a video's frames, and its poster."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

__all__ = ["MAX_CELLS", "contact_sheet", "poster"]

Picture = NDArray[np.uint8]

MAX_CELLS = 60  # more are not looked at, and the sheet is sent to browsers; the caller samples

_PAPER, _INK = (24, 24, 27), (212, 212, 216)  # dark, as colours are judged against dark; 11:1 contrast of text
_GAP = 6
_ELLIPSIS = "..."


def contact_sheet(
    pictures: Sequence[Picture], labels: Sequence[str], *, columns: int | None = None, cell: int = 160
) -> bytes:
    """Draw a PNG that shows the pictures in rows, each fitted into `cell` by `cell` pixels with its label beneath.

    Pictures are `(height, width, 3)` uint8, of any sizes; their shape is kept. Without `columns` the sheet comes out
    about three wide for two high. A label too long for its cell is cut and ends in `...`.
    Equal input gives equal bytes.

    Raises ValueError for no pictures or more than `MAX_CELLS`, for another number of labels, or a cell under 16 pixels.
    """
    count = len(pictures)
    if not 1 <= count <= MAX_CELLS:
        raise ValueError(f"{count} pictures: a contact sheet shows 1 to {MAX_CELLS}; sample them")
    if len(labels) != count:
        raise ValueError(f"{len(labels)} labels for {count} pictures: each needs one (an empty one will do)")
    if cell < 16:
        raise ValueError(f"cell {cell}: must be at least 16 pixels")
    if columns is not None and columns < 1:
        raise ValueError(f"columns {columns}: must be at least 1")
    images = [_fitted(picture, cell, enlarge=True) for picture in pictures]
    # Cells are as wide and high as the largest fitted picture: a sheet of wide frames has no empty bands.
    wide, high = max(image.width for image in images), max(image.height for image in images)
    letter = max(9, cell // 13)
    font = ImageFont.load_default(size=letter)
    caption = round(letter * 1.6) if any(labels) else 0
    across = min(count, columns or _balanced_columns(count, wide + _GAP, high + caption + _GAP))
    down = -(-count // across)
    sheet = Image.new("RGB", (_GAP + across * (wide + _GAP), _GAP + down * (high + caption + _GAP)), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        left = _GAP + number % across * (wide + _GAP)
        top = _GAP + number // across * (high + caption + _GAP)
        sheet.paste(image, (left + (wide - image.width) // 2, top + (high - image.height) // 2))
        if label:
            text = _shortened(" ".join(label.split()), font, wide)
            draw.text((left + wide / 2, top + high + caption / 2), text, fill=_INK, font=font, anchor="mm")
    return _png(sheet, optimize=True)


def poster(picture: Picture, max_side: int) -> bytes:
    """Encode a PNG of one picture, `(height, width, 3)` uint8, its longer side at most `max_side`; never enlarged."""
    if max_side < 1:
        raise ValueError(f"max_side {max_side}: must be at least 1")
    # quickly: a report makes one for each of thousands of videos; most of them become smaller JPEGs anyway
    return _png(_fitted(picture, max_side, enlarge=False), compress_level=3)


def _fitted(picture: Picture, side: int, *, enlarge: bool) -> Image.Image:
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
        raise ValueError(f"picture is {picture.shape} {picture.dtype}; must be (height, width, 3) uint8")
    image = Image.fromarray(np.ascontiguousarray(picture))
    scale = side / max(image.size)
    if scale == 1 or (scale > 1 and not enlarge):
        return image
    # Lanczos rings around the hard edges of tiny pictures when it enlarges.
    method = Image.Resampling.LANCZOS if scale < 1 else Image.Resampling.BICUBIC
    return image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))), method)


def _balanced_columns(count: int, wide: int, high: int) -> int:
    """The number of columns that brings the sheet closest to 3:2 without leaving a hole of half a row."""

    def badness(columns: int) -> float:
        rows = -(-count // columns)
        shape = columns * wide / (rows * high) / 1.5
        return max(shape, 1 / shape) + (rows * columns - count) / columns

    return min(range(1, count + 1), key=badness)


def _shortened(label: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    if font.getlength(label) <= width:
        return label
    low, high = 0, len(label)  # the longest beginning that fits, by bisection
    while low < high:
        middle = (low + high + 1) // 2
        if font.getlength(label[:middle] + _ELLIPSIS) <= width:
            low = middle
        else:
            high = middle - 1
    return label[:low].rstrip() + _ELLIPSIS


def _png(image: Image.Image, **options: int) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", **options)
    return buffer.getvalue()
