"""The test card that the camera moves over."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

__all__ = ["COLUMNS", "numbered_card"]

Picture = NDArray[np.uint8]

COLUMNS = 8
_INK = (20, 20, 24)
# Corners of a square in colour space, so that a turned or mirrored card is known by its colours.
_CORNERS = ((90, 150, 220), (230, 190, 90), (110, 190, 130), (215, 110, 120))


def numbered_card(width: int, height: int, number: int) -> Picture:
    """A card `(height, width, 3)` of 8 columns of numbered cells, whose colours run from corner to corner, with a cross
    and a circle in its middle, and its own `number`."""
    side = width / COLUMNS
    rows = max(1, round(height / side))
    image = Image.fromarray(_colours(width, height))
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(size=max(8, side / 4))
    for row in range(rows):
        for column in range(COLUMNS):
            left, top = column * side, row * height / rows
            if (row + column) % 2:
                box = round(left), round(top), round(left + side), round(top + height / rows)
                image.paste(image.crop(box).point(lambda level: level * 0.78), box[:2])
            middle = (left + side / 2, top + height / rows / 2)
            draw.text(middle, f"{row * COLUMNS + column + 1}", fill=_INK, font=font, anchor="mm")
    line = max(1, width // 160)
    x, y, radius = width / 2, height / 2, min(width, height) * 0.4
    draw.ellipse((x - radius, y - radius, x + radius, y + radius), outline=_INK, width=line)
    draw.line((x - side, y, x + side, y), fill=_INK, width=line)
    draw.line((x, y - side, x, y + side), fill=_INK, width=line)
    draw.rectangle((0, 0, width - 1, height - 1), outline=_INK, width=line)
    draw.text((x, y - radius), f"card {number}", fill=_INK, font=font, anchor="mb")
    return np.asarray(image)


def _colours(width: int, height: int) -> Picture:
    """Each place between the colours of the four corners."""
    x, y = np.linspace(0, 1, width)[None, :, None], np.linspace(0, 1, height)[:, None, None]
    top, bottom = ((1 - x) * np.array(a) + x * np.array(b) for a, b in (_CORNERS[:2], _CORNERS[2:]))
    return np.asarray(((1 - y) * top + y * bottom).round(), dtype=np.uint8)
