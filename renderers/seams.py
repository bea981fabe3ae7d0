"""How visible the joins of a video are: the seam score.

The change from one frame to the next is what is left after the camera's move is undone. A seam scores its change over
the median change of all other pairs: a join that nobody sees scores about what any pair of a chain does.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

import numpy as np
import torch

from renderers.camera import camera_matrix, coverage, move
from renderers.camera_move import CameraMove

__all__ = ["frame_change", "seam_scores"]


def frame_change(before: np.ndarray, after: np.ndarray, camera: CameraMove) -> float:
    """Mean absolute difference, in levels of 0 to 255, of picture `after` from `before` `(h, w, 3)` uint8 moved by
    `camera`, over what both of them show."""
    old, new = (torch.from_numpy(picture).permute(2, 0, 1)[None].float() for picture in (before, after))
    matrix = camera_matrix(camera, before.shape[1], before.shape[0])
    weight = coverage(old.shape, matrix)
    difference = (move(old, matrix, mode="bilinear") - new).abs().mean(dim=1, keepdim=True)
    return float((difference * weight).sum() / weight.sum().clamp(min=1e-9))


def seam_scores(changes: Mapping[int, float], seams: Sequence[int]) -> dict[int, float]:
    """The score of each of `seams` of which the change is known: `changes` holds those from frame `t - 1` to frame `t`,
    by `t`. Without a pair that is no seam there is nothing to compare with, and no score."""
    others = [change for frame, change in changes.items() if frame not in set(seams)]
    usual = statistics.median(others) if others else 0.0
    return {seam: changes[seam] / usual for seam in seams if seam in changes} if usual else {}
