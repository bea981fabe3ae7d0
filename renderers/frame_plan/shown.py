"""How much of a picture is still seen after a motion."""

from __future__ import annotations

from renderers.frame_plan.motion import Homography

__all__ = ["LEAST_SHOWN", "shown_share"]

LEAST_SHOWN = 0.01
"""Of a new picture must show the one before."""

_SIDE = LEAST_SHOWN**0.5 / 2  # of a box in the middle that is so large: half its sides

Line = tuple[float, float, float]
Points = list[tuple[float, float]]


def shown_share(motion: Homography, width: float, height: float) -> float:
    """The share, 0 to 1, of a picture of `width` x `height` pixels that shows something of the one before it.

    Where that is, is a convex polygon: what a homography makes of four lines are four lines. As soon as it is known to
    be `LEAST_SHOWN` or more, some number above that is returned, since a plan may ask a million times.
    """
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
