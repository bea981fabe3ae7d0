"""Skies at every moment, with sun, moon, stars and clouds, and the light that falls from them."""

from __future__ import annotations

import numpy as np

from renderers.training.canvas import Canvas, Colour

__all__ = ["LIGHTS", "SKIES", "draw_sky", "draw_stars"]

SKIES: dict[str | None, tuple[Colour, Colour]] = {
    None: ((0.38, 0.66, 0.93), (0.78, 0.90, 0.98)),
    "sunshine": ((0.30, 0.62, 0.95), (0.75, 0.90, 1.00)),
    "sunset": ((0.42, 0.26, 0.50), (1.00, 0.62, 0.30)),
    "night": ((0.02, 0.03, 0.12), (0.10, 0.12, 0.32)),
    "rain": ((0.40, 0.45, 0.52), (0.62, 0.66, 0.70)),
    "fog": ((0.72, 0.75, 0.78), (0.86, 0.88, 0.89)),
}
# How light falls on all that is not sky.
LIGHTS: dict[str | None, Colour] = {
    None: (1, 1, 1),
    "sunshine": (1.05, 1.04, 0.98),
    "sunset": (0.90, 0.66, 0.56),
    "night": (0.30, 0.35, 0.58),
    "rain": (0.72, 0.76, 0.82),
    "fog": (0.95, 0.96, 0.97),
}


def draw_sky(canvas: Canvas, horizon: float, moment: str | None) -> None:
    """The sky of a moment, down to `horizon`, with what stands in it."""
    top, bottom = SKIES[moment]
    canvas.gradient(canvas.shade(top, 0.03), canvas.shade(bottom, 0.03), 0, horizon)
    if moment == "night":
        draw_stars(canvas, int(canvas.rng.integers(10, 40)), horizon)
        if canvas.chance(0.7):
            x, y, r = canvas.uniform(0.1, 0.9), canvas.uniform(0.08, 0.3), canvas.uniform(0.05, 0.1)
            canvas.lay(canvas.ellipse(x, y, 2 * r, 2 * r, canvas.side * r * 1.6) * 0.25, (0.8, 0.8, 0.9))
            moon = canvas.ellipse(x, y, r, r)
            if canvas.chance(0.5):  # a crescent
                moon = moon * (1 - canvas.ellipse(x + 0.45 * r, y - 0.2 * r, r * 0.9, r * 0.9))
            canvas.lay(moon, canvas.shade((0.97, 0.95, 0.80), 0.03))
    elif moment == "sunset":
        x, r = canvas.uniform(0.15, 0.85), canvas.uniform(0.06, 0.13)
        y = horizon - canvas.uniform(-0.3, 1.2) * r
        canvas.lay(canvas.ellipse(x, y, 3 * r, 3 * r, canvas.side * r * 3) * 0.6, (1.0, 0.75, 0.35))
        canvas.lay(canvas.ellipse(x, y, r, r), canvas.shade((1.0, 0.86, 0.45), 0.03))
        if canvas.chance(0.6):
            _clouds(canvas, horizon, (0.85, 0.45, 0.42), 0.5)
    elif moment == "sunshine":
        x, y, r = canvas.uniform(0.1, 0.9), canvas.uniform(0.08, 0.25), canvas.uniform(0.06, 0.11)
        canvas.lay(canvas.ellipse(x, y, 2 * r, 2 * r, canvas.side * r * 1.8) * 0.6, (1.0, 0.97, 0.70))
        canvas.lay(canvas.ellipse(x, y, r, r), (1.0, 0.9, 0.25))
    if moment in (None, "sunshine") and canvas.chance(0.55):
        _clouds(canvas, horizon, (1, 1, 1), 0.85)
    elif moment == "rain":
        _clouds(canvas, horizon, (0.35, 0.38, 0.43), 0.7)


def _clouds(canvas: Canvas, horizon: float, colour: Colour, strength: float) -> None:
    for _ in range(int(canvas.rng.integers(1, 4))):
        x, y = canvas.uniform(0, 1), canvas.uniform(0.05, 0.75) * horizon
        width = canvas.uniform(0.08, 0.2)
        mask = np.zeros((canvas.side, canvas.side), np.float32)
        for _ in range(4):
            dx, dy = canvas.uniform(-1, 1) * width, canvas.uniform(-0.3, 0.15) * width
            r = canvas.uniform(0.35, 0.6) * width
            mask = np.maximum(mask, canvas.ellipse(x + dx, y + dy, r * 1.3, r * 0.8, 2))
        canvas.lay(mask * strength, colour)


def draw_stars(canvas: Canvas, count: int, down_to: float) -> None:
    """`count` single pixels of light above `down_to`."""
    rows = (canvas.rng.random(count) * down_to * canvas.side).astype(int)
    columns = (canvas.rng.random(count) * canvas.side).astype(int)
    canvas.pixels[np.minimum(rows, canvas.side - 1), columns] = canvas.rng.uniform(0.6, 1, (count, 1))
