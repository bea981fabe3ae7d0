"""Places drawn from gradients, shapes and noise: what lies behind the things of a scene, and what falls in front.

Coordinates are shares of the picture's side, y downwards. Everything is a function of the generator that it is given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from renderers.training.canvas import Canvas, Colour
from renderers.training.grounds import lay_ground, lay_peaks, lay_trees, lay_water, lit
from renderers.training.skies import LIGHTS, SKIES, draw_sky, draw_stars
from renderers.training.words_of_scenes import PLACES

__all__ = ["Backdrop", "draw_place", "lay_weather"]


@dataclass(frozen=True)
class Backdrop:
    """A place without anybody in it."""

    pixels: Tensor
    """(3, side, side) in [0, 1]"""
    floor: tuple[float, float]
    """where feet may be, far and near, shares of the height"""
    air: tuple[float, float]
    """where the middle of what flies or swims may be"""


# -- the places: each draws itself and says where feet and wings may be ----------------------------------------------


def _draw_sky(canvas: Canvas, moment: str | None) -> tuple[float, float]:
    draw_sky(canvas, 1.0, moment)
    return 0.85, 1.0


def _draw_sea(canvas: Canvas, moment: str | None) -> tuple[float, float]:
    horizon = canvas.uniform(0.35, 0.6)
    draw_sky(canvas, horizon, moment)
    lay_water(canvas, horizon, moment)
    return horizon + 0.12, 0.92


def _draw_lake(canvas: Canvas, moment: str | None) -> tuple[float, float]:
    horizon = canvas.uniform(0.3, 0.45)
    draw_sky(canvas, horizon, moment)
    if canvas.chance(0.6):
        lay_peaks(canvas, horizon, moment)
    lay_ground(canvas, horizon, (0.36, 0.58, 0.25), moment)
    shore = horizon + canvas.uniform(0.05, 0.1)
    lay_water(canvas, shore, moment, shore + canvas.uniform(0.15, 0.3))
    return shore + 0.32, 0.97


def _draw_beach(canvas: Canvas, moment: str | None) -> tuple[float, float]:
    horizon = canvas.uniform(0.3, 0.5)
    draw_sky(canvas, horizon, moment)
    lay_water(canvas, horizon, moment)
    shore = horizon + canvas.uniform(0.12, 0.25)
    heights = shore + canvas.line(2, 0.03)
    canvas.lay(canvas.below(heights - 0.02) * 0.8, lit((0.93, 0.97, 0.98), moment))  # foam
    canvas.lay(canvas.below(heights), lit(canvas.shade((0.92, 0.82, 0.58), 0.03), moment))
    return shore + 0.12, 0.97


def _draw_snow(canvas: Canvas, moment: str | None) -> tuple[float, float]:
    horizon = canvas.uniform(0.4, 0.6)
    draw_sky(canvas, horizon, moment)
    if canvas.chance(0.3):
        lay_peaks(canvas, horizon, moment)
    lay_ground(canvas, horizon, (0.93, 0.95, 0.99), moment, hills=0.04)
    if canvas.chance(0.55):
        lay_trees(canvas, horizon, moment, rows=1, snowy=True)
    return horizon + 0.15, 0.97


def _draw_forest(canvas: Canvas, moment: str | None) -> tuple[float, float]:
    horizon = canvas.uniform(0.45, 0.6)
    draw_sky(canvas, horizon, moment)
    canvas.lay(canvas.below(horizon - 0.12 + canvas.line(6, 0.06)), lit(canvas.shade((0.13, 0.33, 0.18)), moment))
    lay_ground(canvas, horizon, (0.25, 0.45, 0.20), moment)
    lay_trees(canvas, horizon, moment, rows=int(canvas.rng.integers(2, 4)))
    return horizon + 0.22, 0.97


def _draw_field(canvas: Canvas, moment: str | None) -> tuple[float, float]:
    horizon = canvas.uniform(0.4, 0.65)
    draw_sky(canvas, horizon, moment)
    if canvas.chance(0.5):
        canvas.lay(canvas.below(horizon - 0.06 + canvas.line(2, 0.06)), lit(canvas.shade((0.50, 0.72, 0.42)), moment))
    lay_ground(canvas, horizon, (0.40, 0.66, 0.24), moment, hills=0.03)
    if canvas.chance(0.25):
        lay_trees(canvas, horizon, moment, rows=1)
    return horizon + 0.12, 0.97


def _draw_garden(canvas: Canvas, moment: str | None) -> tuple[float, float]:
    horizon = canvas.uniform(0.4, 0.55)
    draw_sky(canvas, horizon, moment)
    if canvas.chance(0.5):  # a fence
        for k in range(9):
            x = (k + 0.5) / 9
            canvas.lay(canvas.box(x - 0.035, horizon - 0.16, x + 0.035, horizon + 0.06), lit((0.93, 0.9, 0.85), moment))
    lay_ground(canvas, horizon, (0.36, 0.62, 0.26), moment, hills=0.01)
    for _ in range(int(canvas.rng.integers(14, 40))):
        y = canvas.uniform(horizon + 0.06, 1)
        r = 0.012 + 0.03 * (y - horizon)
        petals = np.array([(0.93, 0.25, 0.3), (0.98, 0.8, 0.2), (0.9, 0.5, 0.8), (1, 1, 1), (0.6, 0.4, 0.85)])
        x, petal = canvas.uniform(0, 1), petals[int(canvas.rng.integers(len(petals)))]
        canvas.lay(canvas.ellipse(x, y, r, r), lit((float(petal[0]), float(petal[1]), float(petal[2])), moment))
        canvas.lay(canvas.ellipse(x, y, r * 0.4, r * 0.4), lit((0.98, 0.85, 0.3), moment))
    return horizon + 0.18, 0.97


def _draw_mountains(canvas: Canvas, moment: str | None) -> tuple[float, float]:
    horizon = canvas.uniform(0.5, 0.7)
    draw_sky(canvas, horizon, moment)
    lay_peaks(canvas, horizon, moment)
    lay_ground(canvas, horizon, (0.40, 0.58, 0.30), moment)
    return horizon + 0.1, 0.97


def _draw_desert(canvas: Canvas, moment: str | None) -> tuple[float, float]:
    horizon = canvas.uniform(0.4, 0.6)
    draw_sky(canvas, horizon, moment)
    for k in range(3):
        sand = canvas.shade((0.90 - 0.06 * k, 0.70 - 0.06 * k, 0.40 - 0.04 * k), 0.03)
        heights = horizon + 0.15 * k + canvas.line(2, 0.06, 2)
        canvas.lay(canvas.below(heights), lit(sand, moment))
    return horizon + 0.2, 0.97


def _draw_city(canvas: Canvas, moment: str | None) -> tuple[float, float]:
    street = canvas.uniform(0.62, 0.8)
    draw_sky(canvas, street, moment)
    x = -0.05
    while x < 1:
        width, top = canvas.uniform(0.1, 0.22), street - canvas.uniform(0.2, 0.55)
        grey = canvas.shade((0.55, 0.52, 0.52), 0.10)
        canvas.lay(canvas.box(x, top, x + width, street), lit(grey, moment))
        dark = moment in ("night", "sunset")
        columns, rows = max(2, int(width / 0.05)), max(2, int((street - top) / 0.07))
        for i in range(columns):
            for j in range(rows):
                if dark and canvas.chance(0.4):
                    continue
                glass: Colour = (1.0, 0.88, 0.5) if dark else (0.72, 0.85, 0.93)
                left = x + (i + 0.25) * width / columns
                upper = top + (j + 0.3) * (street - top) / rows
                canvas.pixels[
                    int(max(0, upper) * canvas.side) : int(max(0, upper + 0.035) * canvas.side),
                    int(max(0, left) * canvas.side) : int(max(0, left + 0.5 * width / columns) * canvas.side),
                ] = glass
        x += width + (canvas.uniform(0, 0.03) if canvas.chance(0.5) else 0)
    asphalt = canvas.shade((0.40, 0.40, 0.42), 0.03)
    canvas.lay(canvas.edge(canvas.y - street) + 0 * canvas.x, lit((0.66, 0.65, 0.64), moment))
    canvas.lay(canvas.edge(canvas.y - street - 0.05) + 0 * canvas.x, lit(asphalt, moment))
    return street + 0.06, 0.98


def _draw_road(canvas: Canvas, moment: str | None) -> tuple[float, float]:
    horizon = canvas.uniform(0.35, 0.55)
    draw_sky(canvas, horizon, moment)
    if canvas.chance(0.3):
        lay_peaks(canvas, horizon, moment)
    lay_ground(canvas, horizon, (0.45, 0.62, 0.28) if canvas.chance(0.7) else (0.82, 0.68, 0.45), moment, hills=0.005)
    middle, near = canvas.uniform(0.4, 0.6), canvas.uniform(0.35, 0.55)
    depth = np.clip((canvas.y - horizon) / (1 - horizon), 0, 1)
    away = np.abs(canvas.x - (middle + (0.5 - middle) * depth))
    below = canvas.edge(canvas.y - horizon)
    canvas.lay(canvas.edge(0.02 + near * depth - away) * below, lit(canvas.shade((0.35, 0.35, 0.37), 0.03), moment))
    dashes = ((np.log(depth + 0.08) * 3.5 + canvas.uniform(0, 1)) % 1) < 0.5
    canvas.lay(canvas.edge(0.002 + 0.025 * depth - away) * dashes * below, lit((0.95, 0.93, 0.85), moment))
    return horizon + 0.2, 0.95


def _draw_room(canvas: Canvas, moment: str | None) -> tuple[float, float]:
    floor = canvas.uniform(0.62, 0.78)
    wall = canvas.shade(((0.93, 0.88, 0.78), (0.75, 0.84, 0.9), (0.85, 0.9, 0.8), (0.9, 0.78, 0.76))[
        int(canvas.rng.integers(4))
    ], 0.05)  # fmt: skip
    canvas.gradient(wall, canvas.shade(wall, 0.02))
    canvas.lay(canvas.edge(canvas.y - floor) + 0 * canvas.x, canvas.shade((0.62, 0.43, 0.27), 0.07))
    for k in range(1, 5):
        canvas.lay(canvas.box(0, floor + k * 0.08, 1, floor + k * 0.08 + 0.008) * 0.35, (0.2, 0.12, 0.06))
    canvas.lay(canvas.box(0, floor - 0.025, 1, floor), (0.96, 0.95, 0.93))
    if canvas.chance(0.6):  # a window
        x, y, w, h = canvas.uniform(0.05, 0.65), canvas.uniform(0.08, 0.2), canvas.uniform(0.2, 0.3), 0.3
        canvas.lay(canvas.box(x - 0.02, y - 0.02, x + w + 0.02, y + h + 0.02), (0.97, 0.96, 0.94))
        canvas.lay(canvas.box(x, y, x + w, y + h), SKIES["night" if canvas.chance(0.2) else None][1])
        canvas.lay(canvas.box(x + w / 2 - 0.01, y, x + w / 2 + 0.01, y + h), (0.97, 0.96, 0.94))
        canvas.lay(canvas.box(x, y + h / 2 - 0.01, x + w, y + h / 2 + 0.01), (0.97, 0.96, 0.94))
    if canvas.chance(0.4):  # a framed picture
        x, y, w = canvas.uniform(0.05, 0.75), canvas.uniform(0.1, 0.3), canvas.uniform(0.1, 0.2)
        canvas.lay(canvas.box(x - 0.015, y - 0.015, x + w + 0.015, y + w * 0.8 + 0.015), (0.45, 0.3, 0.15))
        canvas.lay(canvas.box(x, y, x + w, y + w * 0.8), canvas.shade((0.6, 0.6, 0.6), 0.25))
    if canvas.chance(0.4):  # a rug
        x = canvas.uniform(0.3, 0.7)
        canvas.lay(canvas.ellipse(x, floor + 0.16, 0.35, 0.07), canvas.shade((0.6, 0.35, 0.35), 0.15))
    return floor + 0.06, 0.96


def _draw_table(canvas: Canvas, moment: str | None) -> tuple[float, float]:
    edge = canvas.uniform(0.55, 0.75)
    wall = canvas.shade((0.8, 0.8, 0.78), 0.12)
    canvas.gradient(wall, canvas.shade(wall, 0.03))
    wood = canvas.shade((0.62, 0.42, 0.24), 0.06)
    canvas.gradient(wood, (wood[0] * 0.8, wood[1] * 0.8, wood[2] * 0.8), edge, 1)
    for _ in range(int(canvas.rng.integers(3, 9))):  # the grain of the wood
        y = canvas.uniform(edge + 0.02, 1)
        canvas.lay(canvas.ellipse(canvas.uniform(0, 1), y, canvas.uniform(0.1, 0.5), 0.005) * 0.3, (0.25, 0.15, 0.07))
    return edge + 0.08, 0.95


def _draw_underwater(canvas: Canvas, moment: str | None) -> tuple[float, float]:
    canvas.gradient(canvas.shade((0.25, 0.70, 0.85), 0.04), canvas.shade((0.02, 0.18, 0.40), 0.03))
    for _ in range(int(canvas.rng.integers(0, 4))):  # rays of light
        x, slope, width = canvas.uniform(0, 1), canvas.uniform(-0.4, 0.4), canvas.uniform(0.02, 0.07)
        ray = canvas.edge(width - np.abs(canvas.x - x - slope * canvas.y), canvas.side * 0.04) * (1 - canvas.y)
        canvas.lay(ray * 0.3, (0.8, 0.95, 1.0))
    if canvas.chance(0.7):
        canvas.lay(
            canvas.below(canvas.uniform(0.8, 0.9) + canvas.line(3, 0.03)), canvas.shade((0.75, 0.66, 0.45), 0.05)
        )
    for _ in range(int(canvas.rng.integers(0, 7))):  # weeds
        x, top = canvas.uniform(0, 1), canvas.uniform(0.6, 0.85)
        sway = 0.02 * np.sin(canvas.y * 25 + x * 9)
        weed = canvas.edge(0.014 - np.abs(canvas.x - x - sway)) * canvas.edge(canvas.y - top)
        canvas.lay(weed, canvas.shade((0.15, 0.5, 0.3), 0.07))
    for _ in range(int(canvas.rng.integers(0, 10))):  # bubbles
        x, y, r = canvas.uniform(0, 1), canvas.uniform(0, 0.9), canvas.uniform(0.01, 0.03)
        canvas.lay(canvas.ellipse(x, y, r, r) * 0.5, (0.75, 0.93, 1.0))
    return 0.75, 0.97


def _draw_space(canvas: Canvas, moment: str | None) -> tuple[float, float]:
    canvas.gradient(canvas.shade((0.03, 0.02, 0.08), 0.02), canvas.shade((0.05, 0.04, 0.14), 0.03))
    if canvas.chance(0.5):
        glow = np.clip(canvas.cloudiness(4), 0, 2) * 0.2
        canvas.lay(glow, canvas.shade((0.45, 0.25, 0.6), 0.12))
    draw_stars(canvas, int(canvas.rng.integers(30, 110)), 1.0)
    if canvas.chance(0.4):
        x, y, r = canvas.uniform(0, 1), canvas.uniform(0, 1), canvas.uniform(0.06, 0.2)
        planet = canvas.ellipse(x, y, r, r)
        canvas.lay(planet, canvas.shade((0.6, 0.5, 0.45), 0.15))
        canvas.lay(planet * canvas.ellipse(x + 0.5 * r, y + 0.4 * r, r, r, canvas.side * r) * 0.6, (0.05, 0.04, 0.1))
    return 0.8, 1.0


_DRAW: dict[str, Callable[[Canvas, str | None], tuple[float, float]]] = {
    "sky": _draw_sky,
    "sea": _draw_sea,
    "lake": _draw_lake,
    "beach": _draw_beach,
    "snow": _draw_snow,
    "forest": _draw_forest,
    "field": _draw_field,
    "garden": _draw_garden,
    "mountains": _draw_mountains,
    "desert": _draw_desert,
    "city": _draw_city,
    "road": _draw_road,
    "room": _draw_room,
    "table": _draw_table,
    "underwater": _draw_underwater,
    "space": _draw_space,
}

# Where the middle of what flies or swims may be; elsewhere in the upper part of the picture.
_AIR = {"sky": (0.3, 0.7), "underwater": (0.3, 0.7), "space": (0.3, 0.7)}


def draw_place(place: str, moment: str | None, side: int, rng: np.random.Generator) -> Backdrop:
    """A place of `PLACES` at a moment of `MOMENTS` (None: plain daylight), `side` x `side` pixels.

    Raises:
        ValueError: the place knows no moments (a room is lit as it is), or one of the names is unknown.
    """
    if place not in _DRAW or moment not in SKIES:
        raise ValueError(f"no scene is drawn in '{place}' at '{moment}'; places are {', '.join(_DRAW)}")
    if moment is not None and not PLACES[place].moments:
        raise ValueError(f"'{place}' looks the same at '{moment}' as ever")
    canvas = Canvas(side, rng)
    floor = _DRAW[place](canvas, moment)
    pixels = torch.from_numpy(canvas.pixels.clip(0, 1).transpose(2, 0, 1).copy())
    return Backdrop(pixels, floor, _AIR.get(place, (0.18, 0.4)))


def lay_weather(picture: Tensor, place: str | None, moment: str | None, rng: np.random.Generator) -> None:
    """Let rain or snow fall in front of a finished `picture` `(3, side, side)`, thicken the fog, and dim the light, in
    place: what was painted in daylight takes on the moment's light."""
    side = picture.shape[-1]
    if moment is not None:
        light = torch.tensor(LIGHTS[moment]).view(3, 1, 1)
        picture.mul_(1 - 0.4 * (1 - light))  # the ground has it already: gently
    if moment == "fog":
        thick = float(rng.uniform(0.3, 0.55))
        picture.mul_(1 - thick).add_(thick * torch.tensor(SKIES["fog"][1]).view(3, 1, 1))
    elif moment == "rain":
        for _ in range(int(rng.integers(25, 60))):
            x, y, length = int(rng.integers(side)), int(rng.integers(side)), int(rng.integers(side // 20, side // 9))
            rows = torch.arange(y, min(side, y + length))
            columns = (x - (rows - y) // 3).clamp(min=0)
            picture[:, rows, columns] = 0.55 * picture[:, rows, columns] + 0.45 * 0.9
    elif place == "snow" and rng.random() < 0.6:
        for _ in range(int(rng.integers(15, 60))):
            x, y = int(rng.integers(side - 2)), int(rng.integers(side - 2))
            wide = 2 if rng.random() < 0.4 else 1
            picture[:, y : y + wide, x : x + wide] = 0.95
    picture.clamp_(0, 1)
