"""Which colour word a person would use for what pixels show: are colours and backgrounds of a prompt obeyed?

The nearest of some shades of each word in CIELAB (CIE 1976), where distances are as eyes see them. The shades are CSS
colours: those that captions were trained on have no part in it. Light blue is blue.
"""

from __future__ import annotations

import torch
from torch import Tensor

from renderers.pictures.lab import lab

__all__ = ["background_colour", "colour_names", "named_colour_obeyed"]

BORDER = 1 / 12  # of the side: the ring that counts as background
# One shade of a word is not enough: in CIELAB navy lies nearer to purple than to a medium blue.
SHADES = {
    "red": ("ff0000", "b22222", "dc143c"),
    "orange": ("ffa500", "ff8c00", "ff7f50"),
    "yellow": ("ffff00", "ffd700", "f0e68c"),
    "green": ("008000", "32cd32", "228b22", "90ee90", "6b8e23"),
    "blue": ("0000ff", "00008b", "4169e1", "1e90ff", "87ceeb", "00ced1"),
    "purple": ("800080", "9932cc", "9370db", "4b0082"),
    "pink": ("ffc0cb", "ff69b4", "ff1493"),
    "brown": ("8b4513", "a0522d", "d2b48c", "5c4033"),
    "black": ("000000", "202020"),
    "gray": ("808080", "696969", "a9a9a9", "c8c8c8"),
    "white": ("ffffff", "f5f5f5"),
}
_WORDS = [word for word, shades in SHADES.items() for _ in shades]
_RGB = torch.tensor([list(bytes.fromhex(shade)) for shades in SHADES.values() for shade in shades]) / 255


def colour_names(pixels: Tensor) -> dict[str, float]:
    """Colour words of `pixels` `(m, 3)` in [0, 1] with their shares, the largest first."""
    nearest = torch.cdist(lab(pixels), lab(_RGB)).argmin(dim=1)
    counts = torch.bincount(nearest, minlength=len(_WORDS)) / max(1, len(pixels))
    shares = dict.fromkeys(SHADES, 0.0)
    for word, share in zip(_WORDS, counts.tolist(), strict=True):
        shares[word] += share
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
