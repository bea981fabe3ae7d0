"""The camera's move from one frame to another, as numbers: composed over several frames, and taken back."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["CameraMove"]


@dataclass(frozen=True, slots=True)
class CameraMove:
    """How the picture moves from an earlier frame: a factor, degrees counter-clockwise, pixels right and down.

    A point `p` of the earlier picture, in pixels from its middle, goes to `zoom * rotated(p, angle) + (x, y)`. Such
    similarities are closed under composition, so that a leap over many frames is one move, and one resampling.
    """

    zoom: float = 1.0
    angle: float = 0.0
    x: float = 0.0
    y: float = 0.0

    @property
    def still(self) -> bool:
        """Whether nothing moves."""
        return self == CameraMove()

    @property
    def json(self) -> str:
        """As canonical JSON (names in order, no blanks), for a digest."""
        return f'{{"angle":{self.angle!r},"x":{self.x!r},"y":{self.y!r},"zoom":{self.zoom!r}}}'

    def back(self) -> CameraMove:
        """The move that undoes this one."""
        zoom, (cos, sin) = 1 / self.zoom, _turn(-self.angle)
        x, y = cos * self.x + sin * self.y, -sin * self.x + cos * self.y
        return CameraMove(zoom, -self.angle, -zoom * x, -zoom * y)

    @classmethod
    def through(cls, moves: Iterable[CameraMove]) -> CameraMove:
        """All of `moves`, one after the other."""
        # in plain numbers: a plan of a million frames composes ten million moves
        zoom, angle, x, y = 1.0, 0.0, 0.0, 0.0
        turned, cos, sin = 0.0, 1.0, 0.0
        for move in moves:
            if move.angle != turned:
                turned = move.angle
                cos, sin = _turn(turned)
            zoom, angle = zoom * move.zoom, angle + move.angle
            x, y = move.zoom * (cos * x + sin * y) + move.x, move.zoom * (-sin * x + cos * y) + move.y
        return cls(zoom, angle, x, y)


def _turn(angle: float) -> tuple[float, float]:
    """Cosine and sine of `angle` degrees. y points down in pictures, so that counter-clockwise as seen is clockwise by
    the formulas above."""
    turn = math.radians(angle)
    return math.cos(turn), math.sin(turn)
