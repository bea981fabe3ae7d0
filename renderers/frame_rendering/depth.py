"""How far away is what each place of a picture shows, for shapes that formulas say: no network is asked."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["DEPTHS", "FARTHEST"]

FARTHEST = 10.0
"""Nothing is farther away, in distances of a picture's plane."""


def _tunnel(x: Tensor, y: Tensor, focal: float) -> Tensor:
    """Walls on all sides, that meet in the middle."""
    return 1 / (torch.hypot(x, y) + 1 / FARTHEST)


def _floor(x: Tensor, y: Tensor, focal: float) -> Tensor:
    """Ground that runs to a horizon in the middle, and all above it far away."""
    return 1 / (y.clamp(min=0) + 1 / FARTHEST)


def _sphere(x: Tensor, y: Tensor, focal: float) -> Tensor:
    """The inside of a ball around the camera: the middle is farthest away."""
    return focal / torch.sqrt(x**2 + y**2 + focal**2)


DEPTHS: dict[str, Callable[[Tensor, Tensor, float], Tensor]] = {"tunnel": _tunnel, "floor": _floor, "sphere": _sphere}
"""By the names that rows have for them: depths, along the way that the camera looks, in distances of a picture's plane;
of places `x` to the right and `y` down from the middle, in halves of the height, as `focal`, that distance, is."""
