"""The 2D camera: zoom, rotation and translation from one frame to the next, as one resampling.

The matrices live in the normalised coordinates of `torch.nn.functional.affine_grid` (-1 to 1 across the picture,
whatever its resolution), so that the picture and the latent's moments move by the very same matrix.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from renderers.plan.camera_move import CameraMove

__all__ = ["camera_matrix", "coverage", "frame_change", "move"]

# The cover of one picture by another fades out over this share of it at most, lest its edge be seen.
FEATHER = 0.1


def camera_matrix(camera: CameraMove, width: int, height: int) -> Tensor:
    """The matrix `(2, 3)` that says, for a pixel of the new frame, where it lies in the old one.

    `width` and `height` are those of the picture in pixels: `camera.x` and `camera.y` are in its pixels, and a
    rotation must be round in pixels, not in normalised units. Rotation is counter-clockwise as seen.
    """
    turn = math.radians(camera.angle)
    cos, sin = math.cos(turn) / camera.zoom, math.sin(turn) / camera.zoom
    # y points down in pictures: content turned counter-clockwise means that we look it up turned clockwise.
    rotation = torch.tensor([[cos, -sin * height / width], [sin * width / height, cos]], dtype=torch.float64)
    shift = torch.tensor([2 * camera.x / width, 2 * camera.y / height], dtype=torch.float64)
    return torch.cat([rotation, -(rotation @ shift)[:, None]], dim=1).float()


def move(pictures: Tensor, matrix: Tensor, *, mode: str = "bicubic") -> Tensor:
    """Resample `pictures` `(b, c, h, w)` once by `matrix` `(2, 3)`; what comes into view is the picture's reflection.

    Bicubic keeps detail over many frames where bilinear would blur a little at each.
    """
    grid = F.affine_grid(
        matrix.to(pictures)[None].expand(len(pictures), 2, 3), list(pictures.shape), align_corners=False
    )
    return F.grid_sample(pictures, grid, mode=mode, padding_mode="reflection", align_corners=False)


def coverage(shape: Sequence[int], matrix: Tensor) -> Tensor:
    """How far a picture of `shape` (b, c, h, w), moved by `matrix` `(2, 3)`, covers each place: `(1, 1, h, w)`.

    1 within, 0 outside, where `move` shows its reflection, and in between near an edge that lies in the new picture.
    """
    height, width = shape[-2:]
    grid = F.affine_grid(matrix[None], [1, 1, height, width], align_corners=False)
    far = grid.abs().amax(dim=-1)
    feather = min(FEATHER, max(1e-3, float(far.max()) - 1))
    return ((1 - far) / feather).clamp(0, 1)[:, None]


def frame_change(before: np.ndarray, after: np.ndarray, camera: CameraMove) -> float:
    """Mean absolute difference, in levels of 0 to 255, of picture `after` from `before` `(h, w, 3)` uint8 moved by
    `camera`, over what both of them show."""
    old, new = (torch.from_numpy(picture).permute(2, 0, 1)[None].float() for picture in (before, after))
    matrix = camera_matrix(camera, before.shape[1], before.shape[0])
    weight = coverage(old.shape, matrix)
    difference = (move(old, matrix, mode="bilinear") - new).abs().mean(dim=1, keepdim=True)
    return float((difference * weight).sum() / weight.sum().clamp(min=1e-9))
