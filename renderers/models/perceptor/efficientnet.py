"""EfficientNet-Lite0 (Tan & Le 2019; Google's "lite" variant, without squeeze-and-excitation, with ReLU6), whose trunk
the embedded perceptor looks with: timm's `tf_efficientnet_lite0`, under its keys, the same numbers to the last bit.

timm's own is not imported: with torchvision and what both have of PyTorch's compiler it takes five seconds, and every
worker's process would wait for them (infra/docs/figures.md).
"""

from __future__ import annotations

import math
from typing import Any

import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

__all__ = ["CHANNELS", "EfficientNet", "InvertedResidual", "SeparableConvolution"]

EPS = 1e-3  # of the batch norms, as TensorFlow has it
CHANNELS = 1280  # of the features

#: Kernel, stride, expansion, channels and number of the blocks of each stage after the first (Tan & Le 2019, table 1).
STAGES = ((3, 2, 6, 24, 2), (5, 2, 6, 40, 2), (3, 2, 6, 80, 3), (5, 1, 6, 112, 3), (5, 2, 6, 192, 4), (3, 1, 6, 320, 1))


class _NormAct(nn.BatchNorm2d):
    """A batch norm, and what comes after it."""

    def __init__(self, channels: int, *, act: bool = True) -> None:
        super().__init__(channels, eps=EPS)
        self.act: nn.Module = nn.ReLU6(inplace=True) if act else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.act(super().forward(x))
        return out


class _SameConvolution(nn.Conv2d):
    """A convolution whose zeros outside are shared out as TensorFlow's "SAME" does: the odd one is right and below."""

    def forward(self, x: Tensor) -> Tensor:
        (high, wide), (down, along) = self.kernel_size, self.stride
        y = max((math.ceil(x.shape[-2] / down) - 1) * down + high - x.shape[-2], 0)
        x_ = max((math.ceil(x.shape[-1] / along) - 1) * along + wide - x.shape[-1], 0)
        return super().forward(F.pad(x, (x_ // 2, x_ - x_ // 2, y // 2, y - y // 2)))


def _convolution(given: int, made: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    if stride == 1:  # the same zeros on both sides, wherever it is
        return nn.Conv2d(given, made, kernel, padding=(kernel - 1) // 2, groups=groups, bias=False)
    return _SameConvolution(given, made, kernel, stride, groups=groups, bias=False)


class SeparableConvolution(nn.Module):
    """A convolution of each channel for itself, and one over channels: the first stage's block."""

    def __init__(self, given: int, made: int) -> None:
        super().__init__()
        self.conv_dw, self.bn1 = _convolution(given, given, 3, groups=given), _NormAct(given)
        self.conv_pw, self.bn2 = _convolution(given, made, 1), _NormAct(made, act=False)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.bn2(self.conv_pw(self.bn1(self.conv_dw(x))))
        return out


class InvertedResidual(nn.Module):
    """Channels made more, a convolution of each for itself, channels made few again, around which what came in goes
    where it has the same shape (Sandler et al. 2018, figure 3)."""

    def __init__(self, given: int, made: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        between = given * expansion
        self.conv_pw, self.bn1 = _convolution(given, between, 1), _NormAct(between)
        self.conv_dw, self.bn2 = _convolution(between, between, kernel, stride, between), _NormAct(between)
        self.conv_pwl, self.bn3 = _convolution(between, made, 1), _NormAct(made, act=False)
        self.goes_around = stride == 1 and given == made

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.bn3(self.conv_pwl(self.bn2(self.conv_dw(self.bn1(self.conv_pw(x))))))
        return out + x if self.goes_around else out


class EfficientNet(nn.Module):
    """Pictures `(n, 3, side, side)`, normalised, to features `(n, 1280, h, w)`, h a thirty-second of the side."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_stem, self.bn1 = _convolution(3, 32, 3, 2), _NormAct(32)
        stages: list[nn.Sequential] = [nn.Sequential(SeparableConvolution(32, 16))]
        given = 16
        for kernel, stride, expansion, made, number in STAGES:
            blocks = [InvertedResidual(given, made, kernel, stride, expansion)]
            blocks += [InvertedResidual(made, made, kernel, 1, expansion) for _ in range(number - 1)]
            stages.append(nn.Sequential(*blocks))
            given = made
        self.blocks = nn.Sequential(*stages)
        self.conv_head, self.bn2 = _convolution(given, CHANNELS, 1), _NormAct(CHANNELS)

    def forward(self, pictures: Tensor) -> Tensor:
        x: Any = self.blocks(self.bn1(self.conv_stem(pictures)))
        features: Tensor = self.bn2(self.conv_head(x))
        return features
