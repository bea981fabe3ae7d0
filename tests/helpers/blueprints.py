"""Pictures of a domain that no model here has seen: blueprints, light lines on blue paper, drawn from a seed."""

from __future__ import annotations

import math
import random
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

__all__ = ["blueprint", "write_blueprints"]

PAPER, LINE, FAINT = (18, 52, 122), (226, 236, 250), (42, 80, 152)
WORDS = ("PUMP", "AXLE", "GATE", "PLAN A", "VALVE", "R 42", "Ø 18", "SECTION", "M 1:50", "ROOF", "GEAR", "BEAM")


def blueprint(seed: int, side: int = 160) -> Image.Image:
    """One drawing of `side` pixels: grid, walls, circles with their axes, measures and words."""
    chance = random.Random(seed)
    wide = 2 * side  # drawn twice as large, so that lines come out smooth
    image = Image.new("RGB", (wide, wide), PAPER)
    draw = ImageDraw.Draw(image)
    for at in range(0, wide, 20):
        draw.line((at, 0, at, wide), fill=FAINT, width=1)
        draw.line((0, at, wide, at), fill=FAINT, width=1)
    draw.rectangle((8, 8, wide - 9, wide - 9), outline=LINE, width=3)
    for _ in range(chance.randint(2, 4)):
        x, y = chance.uniform(0.06, 0.55) * wide, chance.uniform(0.06, 0.55) * wide
        w, h = chance.uniform(0.16, 0.37) * wide, chance.uniform(0.16, 0.37) * wide
        kind = chance.choice(("room", "wheel", "truss"))
        if kind == "room":
            draw.rectangle((x, y, x + w, y + h), outline=LINE, width=5)
            draw.line((x, y + h / 2, x + w / 2, y + h / 2), fill=LINE, width=4)
        elif kind == "wheel":
            draw.ellipse((x, y, x + w, y + w), outline=LINE, width=4)
            draw.ellipse((x + w / 3, y + w / 3, x + 2 * w / 3, y + 2 * w / 3), outline=LINE, width=3)
            draw.line((x - 10, y + w / 2, x + w + 10, y + w / 2), fill=LINE, width=2)
            draw.line((x + w / 2, y - 10, x + w / 2, y + w + 10), fill=LINE, width=2)
        else:
            corners = [(x + w * i / 4, y + (h if i % 2 else 0)) for i in range(5)]
            draw.line(corners, fill=LINE, width=4)
            draw.line((x, y, x + w, y), fill=LINE, width=4)
            draw.line((x, y + h, x + w, y + h), fill=LINE, width=4)
        draw.text((x, y + h + 6), chance.choice(WORDS), fill=LINE, font=ImageFont.load_default(size=26))
    return image.resize((side, side), Image.Resampling.LANCZOS).rotate(
        math.degrees(chance.uniform(-0.02, 0.02)), fillcolor=PAPER
    )


def write_blueprints(folder: Path, count: int, *, side: int = 160) -> Path:
    """`count` of them as PNG files in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        blueprint(number, side).save(folder / f"plan-{number:03}.png")
    return folder
