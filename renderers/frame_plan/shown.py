"""How much of a picture is still seen after a motion."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import islice

from renderers.frame_plan.motion import Homography
from renderers.frame_plan.parallax import FARTHEST, Parallax

__all__ = ["LEAST_SHOWN", "shown_share"]

LEAST_SHOWN = 0.01
"""Of a new picture must show the one before."""

_SIDE = LEAST_SHOWN**0.5 / 2  # of a box in the middle that is so large: half its sides

Line = tuple[float, float, float]
Points = list[tuple[float, float]]


def shown_share(motion: Homography | Parallax, width: float, height: float, *, wraps: bool = False) -> float:
    """The share, 0 to 1, of a picture of `width` x `height` pixels that shows something of the one before it; if that
    `wraps` around, wherever it is.

    As soon as it is known to be `LEAST_SHOWN` or more, some number above that is returned, since a plan may ask a
    million times.
    """
    if isinstance(motion, Parallax):
        return _counted(motion, width, height, wraps)
    if wraps and motion.affine:
        return 1.0
    return _measured(motion, width, height)


def _measured(motion: Homography, width: float, height: float) -> float:
    """Where a homography shows something, is a convex polygon: what it makes of four lines are four lines."""
    lines = _edges(motion, width, height)
    if all(c >= abs(a) * _SIDE * width + abs(b) * _SIDE * height for a, b, c in lines):
        return 1.0
    x, y = width / 2, height / 2
    points: Points = [(-x, -y), (x, -y), (x, y), (-x, y)]
    for line in lines:
        points = _cut(points, line)
    pairs = zip(points, points[1:] + points[:1], strict=True)
    return abs(sum(a * d - b * c for (a, b), (c, d) in pairs)) / 2 / (width * height)


def _edges(motion: Homography, width: float, height: float) -> tuple[Line, ...]:
    """Lines `(a, b, c)` with `a x + b y + c >= 0` for places of the new picture that show the old one: what lies there,
    `(X, Y, W)`, has `|X| <= width / 2 * W` and `|Y| <= height / 2 * W`, and so no negative `W`."""
    a, b, c, d, e, f, g, h, i = motion.inverse().entries
    x, y = width / 2, height / 2
    return (
        (x * g - a, x * h - b, x * i - c), (x * g + a, x * h + b, x * i + c),
        (y * g - d, y * h - e, y * i - f), (y * g + d, y * h + e, y * i + f),
    )  # fmt: skip


def _cut(points: Points, line: Line) -> Points:
    """What of a convex polygon lies on the right side of `line` (Sutherland, Hodgman 1974)."""
    a, b, c = line
    kept: Points = []
    for (x, y), (u, v) in zip(points, points[1:] + points[:1], strict=True):
        here, there = a * x + b * y + c, a * u + b * v + c
        if here >= 0:
            kept.append((x, y))
        if (here > 0 > there) or (here < 0 < there):
            share = here / (here - there)
            kept.append((x + share * (u - x), y + share * (v - y)))
    return kept


# The shapes of `renderers.frame_rendering.depth`, in plain numbers. What a depth model will say of a picture nobody
# knows yet: the middle of its distances is the picture's plane.
_DEPTHS: dict[str, Callable[[float, float, float], float]] = {
    "tunnel": lambda x, y, focal: 1 / (math.hypot(x, y) + 1 / FARTHEST),
    "floor": lambda x, y, focal: 1 / (max(y, 0.0) + 1 / FARTHEST),
    "sphere": lambda x, y, focal: focal / math.sqrt(x * x + y * y + focal * focal),
    "model": lambda x, y, focal: 1.0,
}

_FEW, _MANY = 4, 40  # points along each side of a picture


def _counted(motion: Parallax, width: float, height: float, wraps: bool) -> float:
    """Points are counted: two of few that see something will do; otherwise many are looked at."""
    sees = _seeing(motion, width, height, wraps)
    if sum(1 for _ in islice(filter(sees, _points(width, height, _FEW)), 2)) == 2:
        return 1.0
    return sum(map(sees, _points(width, height, _MANY))) / _MANY**2


def _points(width: float, height: float, side: int) -> Iterator[tuple[float, float]]:
    """The middles of `side` x `side` equal parts of a picture, in pixels from its own."""
    shares = [(number + 0.5) / side - 0.5 for number in range(side)]
    return ((x * width, y * height) for y in shares for x in shares)


def _seeing(motion: Parallax, width: float, height: float, wraps: bool) -> Callable[[tuple[float, float]], bool]:
    """What says whether a point of the new picture shows something of the old one, by the formulas of
    `renderers.frame_rendering.warp`."""
    a, b, c, d, e, f, g, h, i = motion.view.inverse().entries
    (right, down), nearer, focal, depth_at = motion.shift, motion.nearer, motion.focal, _DEPTHS[motion.shape]
    moved = nearer / focal if motion.shape == "model" else 0.0  # its depths are those before the move

    def sees(point: tuple[float, float]) -> bool:
        x, y = point
        w = g * x + h * y + i
        if w <= 0:
            return False
        x, y = (a * x + b * y + c) / w, (d * x + e * y + f) / w
        depth = depth_at(x * 2 / height, y * 2 / height, focal * 2 / height) - moved
        away = depth * focal + nearer
        if away <= 0 or wraps:
            return away > 0
        across, along = (depth * x - right) * focal, (depth * y - down) * focal
        return abs(across) <= width / 2 * away and abs(along) <= height / 2 * away

    return sees
