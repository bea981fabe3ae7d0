"""A perceptual distance: how far apart two pictures are to the first stages of a trained network."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from renderers.training.pretrained import MEAN, STD

__all__ = ["PerceptualDistance"]


class PerceptualDistance(nn.Module):
    """LPIPS without its learned weights (Zhang et al. 2018, equation 1 with w = 1): unit vectors per place, squared
    difference, mean over places, over the stem and the first `stages` of a timm EfficientNet `trunk`."""

    def __init__(self, trunk: Any, stages: int = 3) -> None:
        super().__init__()
        self.stem, self.first = trunk.conv_stem, trunk.bn1
        self.blocks = nn.ModuleList(trunk.blocks[i] for i in range(stages))
        self.eval().requires_grad_(False)

    def forward(self, made: Tensor, real: Tensor) -> Tensor:
        """The mean distance of `made` from `real`, both `(b, 3, h, w)` in [0, 1]; a gradient flows to `made` only."""
        with torch.no_grad():
            wanted = self._features(real)
        return torch.stack(
            [((a - b) ** 2).sum(dim=1).mean() for a, b in zip(self._features(made), wanted, strict=True)]
        ).mean()

    def _features(self, pictures: Tensor) -> list[Tensor]:
        x = self.first(self.stem((pictures - MEAN) / STD))
        features = [F.normalize(x, dim=1, eps=1e-2)]
        for block in self.blocks:
            x = block(x)
            features.append(F.normalize(x, dim=1, eps=1e-2))
        return features
