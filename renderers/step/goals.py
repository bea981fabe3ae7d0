"""What a frame is held to: pictures that it should come near to, each in one sense.

A frame has any number of goals: its own start, the picture that its video begins with, the keyframe ahead of it.
Whoever starts a frame makes them (`renderers.frame_rendering.starts`, `.holding`); the terms of the loss
(`renderers.step.terms`) add them up.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from manifests.schema.hold import stairs_of
from renderers.step.cutouts import LUMA

__all__ = ["Goal", "Kind", "edge_distance", "latent_distance", "picture_distance"]

# In what sense: pixel by pixel, edge by edge, latent by latent, or as a perceptor sees them.
Kind = Literal["picture", "edges", "latent", "meaning"]


@dataclass(frozen=True)
class Goal:
    """The `picture` `(1, 3, H, W)` in [0, 1] that a frame comes near to in the sense of `kind`, with a `weight` that
    counts beside the prompts', where `coverage` `(1, 1, H, W)` in [0, 1] says (None: everywhere).

    Of a goal of kind latent `latent` `(1, c, h, w)` is what the latent comes near to. `fade` says how its weight falls
    over the frame's steps, as the setting `hold.init_fade` does.
    """

    kind: Kind
    picture: Tensor
    weight: float
    coverage: Tensor | None = None
    latent: Tensor | None = None
    fade: str = "none"

    def at(self, step: int, steps: int) -> Goal:
        """The goal with the weight that it has at step number `step` of `steps`, from 0."""
        if self.fade == "none":
            return self
        return replace(self, weight=self.weight * self._share(step, steps), fade="none")

    def stair(self, step: int, steps: int) -> int:
        """On which stair step number `step` of `steps` is, from 0; always 0 for a goal without stairs."""
        return step * stairs_of(self.fade) // steps

    def _share(self, step: int, steps: int) -> float:
        if self.fade == "linear":
            return 1 - step / steps
        if self.fade == "inverse":
            return 1 / (2 * step + 1)
        return 1 - self.stair(step, steps) / stairs_of(self.fade)


def picture_distance(picture: Tensor, goal: Goal) -> Tensor:
    """Mean squared difference of `picture` `(1, 3, H, W)` from a goal's, over what that covers, a scalar."""
    if goal.coverage is None:
        return F.mse_loss(picture, goal.picture)
    return _covered_mean((picture - goal.picture).square().mean(dim=1, keepdim=True), goal.coverage)


def edge_distance(picture: Tensor, goal: Goal) -> Tensor:
    """Mean squared difference of the edges of `picture` `(1, 3, H, W)` from those of a goal's, over what that covers, a
    scalar: of the two derivatives of luma by Sobel's operator over 8 (pytti's edge stabilization compares the same)."""
    apart = (_edges(picture) - _edges(goal.picture)).square().sum(dim=1, keepdim=True)
    return apart.mean() if goal.coverage is None else _covered_mean(apart, goal.coverage[..., 1:-1, 1:-1])


def latent_distance(latent: Tensor, goal: Goal) -> Tensor:
    """Half the mean squared difference of `latent` `(1, c, h, w)` from a goal's, over what that covers, a scalar (the
    regulariser of EleutherAI's MSE notebook, 2021)."""
    assert goal.latent is not None
    apart = (latent - goal.latent).square().mean(dim=1, keepdim=True)
    if goal.coverage is None:
        return apart.mean() / 2
    return _covered_mean(apart, F.adaptive_avg_pool2d(goal.coverage, (latent.shape[-2], latent.shape[-1]))) / 2


def _covered_mean(values: Tensor, coverage: Tensor) -> Tensor:
    """The mean of `values` `(1, 1, h, w)`, each counted as far as it is covered; 0 where nothing is."""
    coverage = coverage.to(values)
    return (values * coverage).sum() / coverage.sum().clamp(min=1e-6)


def _edges(picture: Tensor) -> Tensor:
    """The derivatives `(1, 2, H - 2, W - 2)` of the luma of `picture` `(1, 3, H, W)`, across and down.

    By slices: nothing is padded, and the gradient has no sums whose order is left to chance, as those of cuDNN have.
    """
    luma = (picture * LUMA.to(picture)[:, None, None]).sum(dim=1, keepdim=True)
    across, down = luma[..., 2:] - luma[..., :-2], luma[..., 2:, :] - luma[..., :-2, :]
    across = across[..., :-2, :] + 2 * across[..., 1:-1, :] + across[..., 2:, :]
    down = down[..., :-2] + 2 * down[..., 1:-1] + down[..., 2:]
    return torch.cat([across, down], dim=1) / 8
