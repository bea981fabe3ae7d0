"""What lies below the sky: hills, mountains, trees and water, in the light of the moment."""

from __future__ import annotations

import numpy as np

from renderers.training.canvas import Canvas, Colour
from renderers.training.skies import LIGHTS, SKIES

__all__ = ["lay_ground", "lay_peaks", "lay_trees", "lay_water", "lit"]


def lit(colour: Colour, moment: str | None) -> Colour:
    """`colour` in the light of the moment."""
    r, g, b = (min(1.0, c * light) for c, light in zip(colour, LIGHTS[moment], strict=True))
    return r, g, b


def lay_ground(canvas: Canvas, horizon: float, colour: Colour, moment: str | None, *, hills: float = 0.02) -> None:
    """From a hilly horizon down, lighter in the distance."""
    near = lit(canvas.shade(colour, 0.03), moment)
    far = tuple(0.75 * a + 0.25 * b for a, b in zip(near, SKIES[moment][1], strict=True))
    heights = horizon + canvas.line(3, hills)
    share = np.clip((canvas.y - horizon) / max(1 - horizon, 1e-3), 0, 1)[..., None] + 0 * canvas.x[..., None]
    canvas.lay(canvas.below(heights), np.asarray(far) * (1 - share) + np.asarray(near) * share)
    if canvas.chance(0.5):
        grain = canvas.cloudiness(int(canvas.rng.choice([4, 8, 16]))) * canvas.below(heights)
        canvas.pixels *= 1 + 0.05 * grain[..., None]


def _pine(canvas: Canvas, x: float, foot: float, height: float, colour: Colour, *, snowy: bool = False) -> None:
    trunk = height * 0.06
    canvas.lay(canvas.box(x - trunk, foot - height * 0.2, x + trunk, foot), (0.30, 0.20, 0.12))
    for level in range(3):
        top = foot - height + level * 0.24 * height
        mask = canvas.triangle(x, top, top + 0.42 * height, (0.16 + 0.07 * level) * height)
        canvas.lay(mask, colour)
        if snowy:
            canvas.lay(canvas.triangle(x, top, top + 0.16 * height, (0.06 + 0.026 * level) * height), (0.95, 0.97, 1))


def _leafy(canvas: Canvas, x: float, foot: float, height: float, colour: Colour) -> None:
    trunk = height * 0.06
    canvas.lay(canvas.box(x - trunk, foot - height * 0.5, x + trunk, foot), (0.38, 0.25, 0.15))
    r = height * 0.3
    canvas.lay(canvas.ellipse(x, foot - height * 0.66, r, r * 1.1), colour)
    canvas.lay(canvas.ellipse(x - r * 0.3, foot - height * 0.74, r * 0.5, r * 0.5, 3) * 0.35, (0.85, 0.95, 0.6))


def lay_trees(canvas: Canvas, horizon: float, moment: str | None, *, rows: int, snowy: bool = False) -> None:
    """Rows of trees from far to near."""
    pines = canvas.chance(0.5) or snowy
    for row in range(rows):
        near = (row + 1) / rows
        foot = horizon + 0.03 + 0.16 * near * canvas.uniform(0.7, 1.3)
        for _ in range(int(canvas.rng.integers(3, 8))):
            green = canvas.shade((0.10 + 0.12 * near, 0.32 + 0.12 * near, 0.16), 0.04)
            x, height = canvas.uniform(-0.05, 1.05), canvas.uniform(0.25, 0.42) * (0.7 + 0.6 * near)
            if pines:
                _pine(canvas, x, foot, height, lit(green, moment), snowy=snowy)
            else:
                _leafy(canvas, x, foot, height, lit(green, moment))


def lay_water(canvas: Canvas, horizon: float, moment: str | None, bottom: float = 1.0) -> None:
    """From `horizon` down to `bottom`, with glints; at sunset in the sky's colours."""
    top, low = SKIES[moment]
    blue = canvas.shade((0.10, 0.38, 0.62), 0.05)
    near = lit(blue, moment)
    far = tuple(0.55 * a + 0.45 * b for a, b in zip(near, low if moment == "sunset" else top, strict=True))
    share = np.clip((canvas.y - horizon) / max(bottom - horizon, 1e-3), 0, 1)[..., None] + 0 * canvas.x[..., None]
    mask = canvas.edge(canvas.y - horizon) * canvas.edge(bottom - canvas.y) + 0 * canvas.x
    canvas.lay(mask, np.asarray(far) * (1 - share) + np.asarray(near) * share)
    glint: Colour = (1.0, 0.75, 0.45) if moment == "sunset" else lit((0.75, 0.88, 0.97), moment)
    for _ in range(int(canvas.rng.integers(4, 14))):
        y = canvas.uniform(horizon + 0.02, bottom)
        x, width = canvas.uniform(0, 1), canvas.uniform(0.04, 0.16)
        canvas.lay(canvas.ellipse(x, y, width, 0.006 + 0.006 * (y - horizon)) * 0.55, glint)


def lay_peaks(canvas: Canvas, horizon: float, moment: str | None) -> None:
    """Two to four mountains with caps of snow, their feet behind `horizon`."""
    for _ in range(int(canvas.rng.integers(2, 5))):
        x, top = canvas.uniform(0, 1), horizon - canvas.uniform(0.15, 0.35)
        half, rock = canvas.uniform(0.2, 0.45), canvas.shade((0.42, 0.45, 0.52), 0.04)
        canvas.lay(canvas.triangle(x, top, horizon + 0.05, half), lit(rock, moment))
        share = canvas.uniform(0.25, 0.4)
        cap = canvas.triangle(x, top, top + share * (horizon + 0.05 - top), half * share)
        canvas.lay(cap, lit((0.96, 0.97, 1.0), moment))
