"""A picture to draw places on: masks of simple forms, gradients, wandering lines and smooth noise.

Coordinates are shares of the picture's side, y downwards; colours are RGB in [0, 1]. What is random comes from the
generator that a canvas is given.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

__all__ = ["Canvas", "Colour"]

Colour = tuple[float, float, float]


class Canvas:
    """A picture to draw on, `(side, side, 3)`, with soft edges of one pixel."""

    def __init__(self, side: int, rng: np.random.Generator) -> None:
        self.side, self.rng = side, rng
        axis = (np.arange(side, dtype=np.float32) + 0.5) / side
        self.y, self.x = axis[:, None], axis[None]
        self.pixels = np.zeros((side, side, 3), np.float32)

    def lay(self, mask: np.ndarray, colour: Colour | np.ndarray) -> None:
        """Cover with `colour` where `mask` `(side, side)` is 1."""
        self.pixels += mask[..., None] * (np.asarray(colour, np.float32) - self.pixels)

    def gradient(self, top: Colour, bottom: Colour, y0: float = 0.0, y1: float = 1.0) -> None:
        """From `top` at height `y0` to `bottom` at `y1`, over all that is below `y0`."""
        share = np.clip((self.y - y0) / max(y1 - y0, 1e-3), 0, 1)[..., None]
        self.lay(self.edge(self.y - y0) + 0 * self.x, np.asarray(top) * (1 - share) + np.asarray(bottom) * share)

    def edge(self, distance: np.ndarray, soft: float = 1.0) -> np.ndarray:
        """1 where a signed distance is positive, 0 where it is not, a ramp of `soft` pixels between."""
        ramp: np.ndarray = np.clip(distance * self.side / soft + 0.5, 0, 1)
        return ramp

    def ellipse(self, x: float, y: float, rx: float, ry: float, soft: float = 1.0) -> np.ndarray:
        """All within an ellipse, its edge `soft` pixels wide."""
        away = np.sqrt(((self.x - x) / rx) ** 2 + ((self.y - y) / ry) ** 2)
        distance: np.ndarray = (1 - away) * min(rx, ry)
        return self.edge(distance, soft)

    def box(self, x0: float, y0: float, x1: float, y1: float) -> np.ndarray:
        """All within an upright rectangle."""
        across, down = np.minimum(self.x - x0, x1 - self.x), np.minimum(self.y - y0, y1 - self.y)
        inside: np.ndarray = self.edge(across) * self.edge(down)
        return inside

    def triangle(self, x: float, top: float, bottom: float, half: float) -> np.ndarray:
        """Upright, with its tip at (`x`, `top`) and a base of twice `half` at `bottom`."""
        within = half * (self.y - top) / (bottom - top) - np.abs(self.x - x)
        return self.edge(np.minimum(within * 0.8, bottom - self.y))

    def below(self, heights: np.ndarray) -> np.ndarray:
        """All that is below a line of `heights` `(side,)`."""
        return self.edge(self.y - heights[None])

    def line(self, cells: int, rough: float, octaves: int = 3) -> np.ndarray:
        """A wandering line `(side,)` about 0, each octave finer and half as high."""
        total = np.zeros(self.side, np.float32)
        for octave in range(octaves):
            points = self.rng.normal(0, rough / 2**octave, cells * 2**octave + 1)
            total += np.interp(self.x[0], np.linspace(0, 1, len(points)), points)
        return total

    def cloudiness(self, cells: int) -> np.ndarray:
        """Smooth noise `(side, side)` of about unit variance."""
        low = torch.from_numpy(self.rng.normal(0, 1, (1, 1, cells, cells)).astype(np.float32))
        return F.interpolate(low, size=(self.side, self.side), mode="bicubic", align_corners=False)[0, 0].numpy()

    def shade(self, colour: Colour, spread: float = 0.05) -> Colour:
        """`colour`, or nearly: no two meadows are alike."""
        r, g, b = np.clip(np.asarray(colour) + self.rng.normal(0, spread, 3) + self.rng.normal(0, spread), 0, 1)
        return float(r), float(g), float(b)

    def uniform(self, low: float, high: float) -> float:
        """A number between `low` and `high`."""
        return float(self.rng.uniform(low, high))

    def chance(self, share: float) -> bool:
        """True in a `share` of cases."""
        return bool(self.rng.random() < share)
