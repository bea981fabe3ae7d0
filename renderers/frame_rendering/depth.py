"""How far away is what each place of a picture shows: by formulas for shapes, or as a network has found it before the
camera moved."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from renderers.frame_plan.parallax import FARTHEST, Parallax

__all__ = ["DEPTHS", "depths_after"]


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


# Along the ray of each pixel so many distances are looked at, evenly in their inverse, as things pass by; and then so
# many halvings between two of them.
LOOKS, HALVINGS = 64, 12


def depths_after(motion: Parallax, depth: Tensor, at: Tensor, halves: Tensor) -> Tensor:
    """How far away is what the camera sees after it moved, at the places `at` `(1, h, w, 2)`, pixels from the middle.

    `depth` `(1, 1, H, W)` is how far away things were before, between 1 / FARTHEST and FARTHEST; `halves` is half the
    picture's width and height in pixels. Along each ray, from near to far, the first place that lies on or behind what
    was seen there: so what is near covers what is far (Policarpo, Oliveira, Comba: Real-time relief mapping on
    arbitrary polygonal surfaces, 2005). What was hidden until now is drawn out of what lies beside it: things take a
    pixel of their ground along, so that it is the ground that is drawn out, and not they.
    """
    nearer = motion.nearer / motion.focal
    shift = torch.tensor(motion.shift, device=at.device)
    depth = -F.max_pool2d(-depth.to(at), 3, stride=1, padding=1)

    def behind(before: Tensor) -> Tensor:
        """Whether what lay `before` away along each ray, seen from where the camera was, is no nearer than what it saw
        there; before the camera that moved."""
        now = before - nearer
        places = (now[..., None] * at - shift) / before[..., None] / halves
        seen = F.grid_sample(depth, places, mode="bilinear", padding_mode="border", align_corners=False)[:, 0]
        return (before >= seen) & (now > 0)

    # nearness, from that of the nearest to that of the farthest
    looks = torch.linspace(FARTHEST, 1 / FARTHEST, LOOKS, device=at.device)
    front, back = torch.full_like(at[..., 0], FARTHEST), torch.full_like(at[..., 0], 1 / FARTHEST)
    hit = torch.zeros_like(front, dtype=torch.bool)
    for look in looks:
        found = behind(1 / look.expand_as(front))
        back = torch.where(found & ~hit, look, back)
        hit |= found
        front = torch.where(hit, front, look)
    for _ in range(HALVINGS):
        middle = (front + back) / 2
        found = behind(1 / middle)
        front, back = torch.where(found, front, middle), torch.where(found, middle, back)
    return 1 / back - nearer
