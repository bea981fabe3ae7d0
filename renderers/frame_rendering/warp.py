"""How a motion moves a picture: as one resampling, whatever the kind of motion.

A motion is turned into a *grid*: for each place of the new picture, where it lies in the old one, in the normalised
coordinates of `torch.nn.functional.grid_sample` (-1 to 1 across the picture, whatever its resolution), so that the
picture and the latent's moments move by the very same motion.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, singledispatch

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from renderers.form import Wrap, led_back
from renderers.frame_plan.motion import Homography, Motion
from renderers.frame_plan.parallax import Parallax
from renderers.frame_rendering.depth import DEPTHS, depths_after

__all__ = ["Warp", "change_between", "frame_change", "sampling_matrix", "warp_of"]

# The cover of one picture by another fades out over this share of it at most, lest its edge be seen.
FEATHER = 0.1

# Where the grid puts what lies behind the picture's plane: far outside.
BEHIND = 1e4


# What `grid_sample` calls the borders that it knows. What is painted begins as a reflection (see `Starts.warm`).
PADDING = {"reflect": "reflection", "paint": "reflection", "replicate": "border", "black": "zeros"}


@dataclass(frozen=True)
class Warp:
    """A motion of pictures. `grid(height, width)` are the places `(1, height, width, 2)`, x before y, in the old
    picture of that resolution that the new one shows; `BEHIND` for places that see nothing of it."""

    grid: Callable[[int, int], Tensor]

    def move(self, pictures: Tensor, *, mode: str = "bicubic", border: str = "reflect") -> Tensor:
        """Resample `pictures` `(b, c, h, w)` once; what comes into view is what `border`, one of `PADDING` or wrap, has
        beyond the picture.

        Bicubic keeps detail over many frames where bilinear would blur a little at each.
        """
        height, width = pictures.shape[-2:]
        grid = self.grid(height, width).to(pictures)
        if border == "wrap":
            pictures, grid = led_back(pictures, grid, Wrap(x=True, y=True))
        grid = grid.expand(len(pictures), *grid.shape[1:])
        padding = PADDING["replicate" if border == "wrap" else border]
        return F.grid_sample(pictures, grid, mode=mode, padding_mode=padding, align_corners=False)

    def coverage(self, height: int, width: int) -> Tensor:
        """How far a picture of that size, moved, covers each place: `(1, 1, height, width)`.

        1 within, 0 outside, where `move` shows its reflection, and in between near an edge that lies in the new
        picture.
        """
        far = self.grid(height, width).abs().amax(dim=-1)
        feather = min(FEATHER, max(1e-3, float(far.max()) - 1))
        return ((1 - far) / feather).clamp(0, 1)[:, None]

    def outside(self, height: int, width: int) -> Tensor:
        """The share of each pixel of a picture of that size, moved, that lies beyond it: `(1, 1, height, width)`, 0 to
        1, as if pixels were as large after the motion as before."""
        grid = self.grid(height, width).abs()
        half = grid.new_tensor([width, height]) / 2  # pixels
        return ((grid - 1) * half + 0.5).clamp(0, 1).amax(dim=-1)[:, None]


@singledispatch
def warp_of(motion: Motion, picture: Tensor, depth: Tensor | None = None) -> Warp:
    """How `motion` moves `picture` `(1, c, h, w)`, and whatever lies beneath it at other resolutions.

    `depth` `(1, 1, h, w)` is what a depth model says of the picture, for motions that ask it;
    without it they move as if all were as far away as the picture's plane. Each kind of motion registers its own.
    """
    raise TypeError(f"no warp is known for motions of type {type(motion).__name__}")


@warp_of.register
def _homography(motion: Homography, picture: Tensor, depth: Tensor | None = None) -> Warp:
    height, width = picture.shape[-2:]
    matrix = sampling_matrix(motion, width, height).to(picture.device)
    return Warp(lambda rows, columns: _affine_grid(matrix, rows, columns) if motion.affine
                else _projective_grid(matrix, rows, columns))  # fmt: skip


@warp_of.register
def _parallax(motion: Parallax, picture: Tensor, depth: Tensor | None = None) -> Warp:
    height, width = picture.shape[-2:]
    halves = torch.tensor([width / 2, height / 2], device=picture.device)
    view = sampling_matrix(motion.view, width, height).to(picture.device)

    def depth_at(at: Tensor) -> Tensor:
        if motion.shape in DEPTHS:
            x, y = at.unbind(-1)
            return DEPTHS[motion.shape](x * 2 / height, y * 2 / height, motion.focal * 2 / height)
        if depth is None:
            return torch.full_like(at[..., 0], 1 - motion.nearer / motion.focal)
        return depths_after(motion, depth, at, halves)

    @lru_cache(maxsize=2)  # it is asked for several times, and may have been searched for
    def grid(rows: int, columns: int) -> Tensor:
        at = _projective_grid(view, rows, columns) * halves
        found_depth = depth_at(at)
        # where that lies for the camera before it moved
        before = found_depth[..., None] * at - torch.tensor(motion.shift, device=at.device)
        away = found_depth * motion.focal + motion.nearer
        seen = (away > 0) & (at.abs().amax(dim=-1) < BEHIND)
        found = before * motion.focal / torch.where(seen, away, 1.0)[..., None] / halves
        return torch.where(seen[..., None], found.clamp(-BEHIND, BEHIND), BEHIND)

    return Warp(grid)


def sampling_matrix(motion: Homography, width: int, height: int) -> Tensor:
    """The matrix `(3, 3)` that says, for a place of the new picture, where it lies in the old one, both in normalised
    coordinates. `width` and `height` are the picture's in pixels, in which `motion` is."""
    inverse = torch.tensor(motion.inverse().entries, dtype=torch.float64).view(3, 3)
    pixels = torch.tensor([width / 2, height / 2, 1], dtype=torch.float64)
    return (inverse * pixels / pixels[:, None]).float()


def _affine_grid(matrix: Tensor, height: int, width: int) -> Tensor:
    return F.affine_grid(matrix[None, :2], [1, 1, height, width], align_corners=False)


def _projective_grid(matrix: Tensor, height: int, width: int) -> Tensor:
    plane = _affine_grid(torch.eye(3, device=matrix.device), height, width)
    x, y, w = (torch.cat([plane, torch.ones_like(plane[..., :1])], dim=-1) @ matrix.T).unbind(-1)
    seen = w > 0
    grid = torch.stack([x, y], dim=-1) / torch.where(seen, w, 1.0)[..., None]
    return torch.where(seen[..., None], grid.clamp(-BEHIND, BEHIND), BEHIND)


def frame_change(before: np.ndarray, after: np.ndarray, motion: Motion) -> float:
    """Mean absolute difference, in levels of 0 to 255, of picture `after` from `before` `(h, w, 3)` uint8 moved by
    `motion`, over what both of them show."""
    old, new = (torch.from_numpy(picture).permute(2, 0, 1)[None].float() for picture in (before, after))
    return change_between(old, warp_of(motion, old), new)


def change_between(old: Tensor, warp: Warp, new: Tensor) -> float:
    """Mean absolute difference of `new` from `old` `(1, 3, h, w)` moved by `warp`, over what both of them show."""
    weight = warp.coverage(*old.shape[-2:])
    difference = (warp.move(old, mode="bilinear") - new).abs().mean(dim=1, keepdim=True)
    return float((difference * weight).sum() / weight.sum().clamp(min=1e-9))
