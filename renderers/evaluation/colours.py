"""Which colour word a person would use for what pixels show: are colours and backgrounds of a prompt obeyed?

The nearest of the caption's colour words in CIELAB (CIE 1976), where distances are as eyes see them. Light blue passes
for blue: "cyan" is a word of captions, not of prompts.
"""

from __future__ import annotations

import torch
from torch import Tensor

from renderers.training.captions import COLOURS

__all__ = ["background_colour", "colour_names", "named_colour_obeyed"]

BORDER = 1 / 12  # of the side: the ring that counts as background
ALIKE = {"cyan": "blue"}
NAMES = tuple(COLOURS)


def lab(colours: Tensor) -> Tensor:
    """sRGB `(..., 3)` in [0, 1] to CIELAB (white point D65)."""
    linear = torch.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    matrix = linear.new_tensor([[0.4125, 0.3576, 0.1804], [0.2127, 0.7152, 0.0722], [0.0193, 0.1192, 0.9503]])
    xyz = linear @ matrix.T / linear.new_tensor([0.9505, 1.0, 1.0890])
    f = torch.where(xyz > 0.008856, xyz.clamp(min=1e-9) ** (1 / 3), 7.787 * xyz + 16 / 116)
    return torch.stack([116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])], dim=-1)


def _nearest(pixels: Tensor) -> Tensor:
    """Indices of the nearest colour words, for `pixels` `(m, 3)` in [0, 1]."""
    words = lab(torch.tensor(list(COLOURS.values())) / 255)
    return torch.cdist(lab(pixels), words).argmin(dim=1)


def colour_names(pixels: Tensor) -> dict[str, float]:
    """Colour words of `pixels` `(m, 3)` with their shares, the largest first."""
    shares: dict[str, float] = {}
    counts = torch.bincount(_nearest(pixels), minlength=len(NAMES)) / max(1, len(pixels))
    for name, share in zip(NAMES, counts.tolist(), strict=True):
        name = ALIKE.get(name, name)
        shares[name] = shares.get(name, 0.0) + share
    return dict(sorted(shares.items(), key=lambda item: -item[1]))


def _parts(picture: Tensor) -> tuple[Tensor, Tensor]:
    """The border and the middle of `picture` `(3, h, w)`, each `(m, 3)`."""
    height, width = picture.shape[1:]
    y, x = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    border = torch.maximum(y.abs(), x.abs()) > 1 - 2 * BORDER
    middle = y**2 + x**2 < 0.6
    return picture[:, border].T, picture[:, middle].T


def background_colour(picture: Tensor) -> str:
    """The colour word of most of the border of `picture` `(3, h, w)`."""
    return next(iter(colour_names(_parts(picture)[0])))


def named_colour_obeyed(picture: Tensor, colour: str) -> bool:
    """Whether `colour` is the commonest in the middle of `picture` `(3, h, w)`, once the background's is left out.

    If the thing is to have the very colour of the background found, that one counts.
    """
    border, middle = _parts(picture)
    behind = next(iter(colour_names(border)))
    shares = colour_names(middle)
    if behind != colour:
        shares.pop(behind)
    return next(iter(shares)) == colour
