"""What is done to sprites before they are laid on a picture: sizes, lines, other colours, and the primitive shapes."""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from renderers.training.captions import COLOURS, SHAPES

__all__ = ["COLOUR_NAMES", "COLOUR_VALUES", "LUMA", "dominant", "outlined", "shapes", "shrink", "tint", "vary"]

COLOUR_NAMES = tuple(COLOURS)
COLOUR_VALUES = torch.tensor(list(COLOURS.values())) / 255
LUMA = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)


def shrink(pixels: Tensor, side: int) -> Tensor:
    """Sprites `(n, 4, s, s)` uint8 at `side` pixels, averaged with their alpha as weight."""
    smaller = []
    for some in torch.split(pixels, 512):
        colour, alpha = some[:, :3].float(), some[:, 3:].float()
        premultiplied, mean = (F.interpolate(x, size=side, mode="area") for x in (colour * alpha, alpha))
        smaller.append(torch.cat([premultiplied / mean.clamp(min=1e-3), mean], dim=1).round().to(torch.uint8))
    return torch.cat(smaller)


def dominant(pixels: Tensor) -> str | None:
    """The colour word for a sprite `(4, s, s)` uint8, None where no colour covers most of it.

    Black counts less, as most sprites have outlines.
    """
    pixels = pixels[:, :: max(1, pixels.shape[-1] // 72), :: max(1, pixels.shape[-1] // 72)]  # large ones, thinned out
    solid = pixels[:, pixels[3] > 127][:3].T.float() / 255
    if not len(solid):
        return None
    share = torch.bincount(torch.cdist(solid, COLOUR_VALUES).argmin(1), minlength=len(COLOURS)) / len(solid)
    weighed = share.clone()
    weighed[COLOUR_NAMES.index("black")] *= 0.6
    best = int(weighed.argmax())
    return COLOUR_NAMES[best] if share[best] > 0.42 else None


def vary(sprites: Tensor, rng: np.random.Generator) -> Tensor:
    """Premultiplied sprites `(n, 4, s, s)` with hues turned a little (about the grey axis) and brightness changed."""
    n, alpha = len(sprites), sprites[:, 3:]
    turn = torch.from_numpy(rng.normal(0, 0.1, n)).float()
    cos, sin, third = turn.cos(), turn.sin() / math.sqrt(3), (1 - turn.cos()) / 3
    rows = [[cos + third, third - sin, third + sin], [third + sin, cos + third, third - sin]]
    rows.append([third - sin, third + sin, cos + third])
    matrix = torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)
    bright = torch.from_numpy(rng.normal(1, 0.1, (n, 1, 1, 1))).float()
    colour = torch.einsum("nij,njhw->nihw", matrix, sprites[:, :3]) * bright
    return torch.cat([torch.minimum(colour.clamp(min=0), alpha), alpha], dim=1)


def outlined(sprites: Tensor, rng: np.random.Generator) -> Tensor:
    """Premultiplied sprites `(n, 4, s, s)` with dark lines around them and along the edges within."""
    alpha = sprites[:, 3:]
    width = 2 * int(rng.integers(1, 3)) + 1
    around = F.max_pool2d(alpha, width, 1, width // 2)
    light = (sprites[:, :3] * LUMA).sum(1, keepdim=True)
    step = F.max_pool2d(light, 3, 1, 1) + F.max_pool2d(-light, 3, 1, 1)
    lines = torch.maximum(around - alpha, ((step - 0.15) * 4).clamp(0, 1) * around)
    ink = torch.from_numpy(rng.uniform(0, 0.2, (len(sprites), 1, 1, 1))).float()
    return torch.cat([sprites[:, :3] * (1 - lines) + ink * lines, around], dim=1)


def tint(sprites: Tensor, colours: Tensor) -> Tensor:
    """Premultiplied sprites `(n, 4, s, s)` painted in `colours` `(n, 3)`, with their light and shade."""
    alpha = sprites[:, 3:]
    light = (sprites[:, :3] * LUMA).sum(1, keepdim=True) / (alpha + 1e-4)
    mean = (light * alpha).sum((2, 3), keepdim=True) / (alpha.sum((2, 3), keepdim=True) + 1e-4)
    relief = light - mean
    painted = (colours.view(-1, 3, 1, 1) * (1 + 1.1 * relief) + 0.12 * relief).clamp(0, 1)
    return torch.cat([painted * alpha, alpha], dim=1)


def shapes(side: int) -> Tensor:
    """Masks `(7, side, side)` of the primitive shapes, in the order of SHAPES."""
    axis = torch.linspace(-1, 1, side)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    radius = x**2 + y**2
    masks = {
        "circle": radius < 0.64,
        "square": (x.abs() < 0.7) & (y.abs() < 0.7),
        "triangle": (y < 0.7) & (y > 1.7 * x.abs() - 0.75),
        "ring": (radius < 0.64) & (radius > 0.25),
        "diamond": (x.abs() + y.abs()) < 0.85,
        "cross": ((x.abs() < 0.25) | (y.abs() < 0.25)) & (x.abs() < 0.8) & (y.abs() < 0.8),
        "bar": (y.abs() < 0.25) & (x.abs() < 0.85),
    }
    return torch.stack([masks[name] for name in SHAPES]).float()
