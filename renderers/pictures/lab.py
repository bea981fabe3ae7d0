"""Colours as eyes tell them apart: CIELAB (CIE 1976) of sRGB, and back."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["lab", "rgb"]

_XYZ = ((0.4125, 0.3576, 0.1804), (0.2127, 0.7152, 0.0722), (0.0193, 0.1192, 0.9503))
_WHITE = (0.9505, 1.0, 1.0890)


def lab(colours: Tensor) -> Tensor:
    """sRGB `(..., 3)` in [0, 1] to CIELAB (white point D65)."""
    # each branch is kept to where it holds: the other's root of what is negative has no gradient
    linear = torch.where(colours <= 0.04045, colours / 12.92, ((colours.clamp(min=0.04045) + 0.055) / 1.055) ** 2.4)
    xyz = linear @ linear.new_tensor(_XYZ).T / linear.new_tensor(_WHITE)
    f = torch.where(xyz > 0.008856, xyz.clamp(min=1e-9) ** (1 / 3), 7.787 * xyz + 16 / 116)
    return torch.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], dim=-1)


def rgb(colours: Tensor) -> Tensor:
    """The inverse of `lab`; what no screen shows lies outside [0, 1]."""
    y = (colours[..., 0] + 16) / 116
    f = torch.stack([y + colours[..., 1] / 500, y, y - colours[..., 2] / 200], dim=-1)
    xyz = torch.where(f > 0.008856 ** (1 / 3), f**3, (f - 16 / 116) / 7.787) * f.new_tensor(_WHITE)
    linear = xyz @ torch.tensor(_XYZ, dtype=torch.float64).inverse().to(xyz).T
    gamma = 1.055 * linear.clamp(min=1e-9) ** (1 / 2.4) - 0.055
    return torch.where(linear <= 0.04045 / 12.92, linear * 12.92, gamma)
