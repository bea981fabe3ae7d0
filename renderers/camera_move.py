"""The camera's move from one frame to another, as numbers: composed over several frames, and taken back."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["CameraMove"]


@dataclass(frozen=True)
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

    def then(self, other: CameraMove) -> CameraMove:
        """This move, and `other` after it."""
        x, y = other._turned(self.x, self.y)
        return CameraMove(
            self.zoom * other.zoom, self.angle + other.angle, other.zoom * x + other.x, other.zoom * y + other.y
        )

    def back(self) -> CameraMove:
        """The move that undoes this one."""
        undone = CameraMove(1 / self.zoom, -self.angle)
        x, y = undone._turned(self.x, self.y)
        return CameraMove(undone.zoom, undone.angle, -undone.zoom * x, -undone.zoom * y)

    @classmethod
    def through(cls, moves: Iterable[CameraMove]) -> CameraMove:
        """All of `moves`, one after the other."""
        done = cls()
        for move in moves:
            done = done.then(move)
        return done

    def _turned(self, x: float, y: float) -> tuple[float, float]:
        # y points down in pictures, so that counter-clockwise as seen is clockwise by the formula
        turn = math.radians(self.angle)
        return math.cos(turn) * x + math.sin(turn) * y, -math.sin(turn) * x + math.cos(turn) * y
