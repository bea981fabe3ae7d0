"""Styles of whole pictures: what the words of `STYLES` promise, done to a finished scene."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from renderers.training.painting import LUMA

__all__ = ["WHOLE_PICTURE", "restyled"]


def _grey(picture: Tensor) -> Tensor:
    return (picture * LUMA[0]).sum(dim=0, keepdim=True)


def _edges(picture: Tensor) -> Tensor:
    """How much brightness and colour change around each pixel, `(1, h, w)` in [0, 1]."""
    most = F.max_pool2d(picture[None], 3, 1, 1) + F.max_pool2d(-picture[None], 3, 1, 1)
    return ((most[0].amax(dim=0, keepdim=True) - 0.08) * 3).clamp(0, 1)


def _blurred(picture: Tensor, sigma: float) -> Tensor:
    reach = max(1, round(2.5 * sigma))
    kernel = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma) ** 2)
    kernel = (kernel / kernel.sum()).view(1, 1, 1, -1).expand(3, 1, 1, -1)
    padded = F.pad(picture[None], (reach, reach, reach, reach), mode="replicate")
    return F.conv2d(F.conv2d(padded, kernel, groups=3), kernel.transpose(2, 3), groups=3)[0]


def _pastel(picture: Tensor, rng: np.random.Generator) -> Tensor:
    return 1 - (1 - (0.75 * picture + 0.25 * _grey(picture))) * float(rng.uniform(0.4, 0.55))


def _dark(picture: Tensor, rng: np.random.Generator) -> Tensor:
    side = picture.shape[-1]
    axis = torch.linspace(-1, 1, side)
    corners = 1 - 0.35 * (axis[:, None] ** 2 + axis[None] ** 2).clamp(max=1.5)
    return picture * corners * float(rng.uniform(0.3, 0.45))


def _vivid(picture: Tensor, rng: np.random.Generator) -> Tensor:
    grey = _grey(picture)
    return ((grey + (picture - grey) * float(rng.uniform(1.6, 2.2))) - 0.5) * 1.15 + 0.5


def _black_and_white(picture: Tensor, rng: np.random.Generator) -> Tensor:
    return ((_grey(picture) - 0.5) * float(rng.uniform(1, 1.3)) + 0.5).expand(3, -1, -1)


def _sepia(picture: Tensor, rng: np.random.Generator) -> Tensor:
    paper = torch.tensor([1.0, 0.89, 0.70]).view(3, 1, 1)
    return (0.12 + 0.85 * _grey(picture)) * paper


def _pixel_art(picture: Tensor, rng: np.random.Generator) -> Tensor:
    side = picture.shape[-1]
    cells = side // int(rng.choice([4, 5, 6] if side >= 128 else [3, 4]))
    small = F.interpolate(picture[None], size=cells, mode="area")
    small = (small * 7).round() / 7  # few colours, as old machines had
    return F.interpolate(small, size=side, mode="nearest")[0]


def _watercolor(picture: Tensor, rng: np.random.Generator) -> Tensor:
    """Colours that run into each other, darker where they stop, on grained paper."""
    side = picture.shape[-1]
    low = torch.from_numpy(rng.normal(0, 0.018, (1, 2, side // 8, side // 8)).astype(np.float32))
    shift = F.interpolate(low, size=(side, side), mode="bicubic", align_corners=False)
    axis = torch.linspace(-1, 1, side)
    place = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), dim=0)[None] + shift
    run = F.grid_sample(picture[None], place.permute(0, 2, 3, 1), padding_mode="border", align_corners=True)[0]
    run = _blurred(run, side / 90)
    rims = _edges(run) * 0.12
    wash = torch.from_numpy(rng.normal(0, 0.05, (1, 1, side // 6, side // 6)).astype(np.float32))
    wash = F.interpolate(wash, size=(side, side), mode="bicubic", align_corners=False)[0]
    return 0.18 + 0.8 * (run - rims + wash)


def _sketch(picture: Tensor, rng: np.random.Generator) -> Tensor:
    tone = 1 - 0.25 * (1 - _grey(picture))
    return (tone - 0.85 * _edges(picture)).clamp(0.1, 1).expand(3, -1, -1) * float(rng.uniform(0.93, 1))


def _neon(picture: Tensor, rng: np.random.Generator) -> Tensor:
    lines = _edges(picture)
    most = picture.amax(dim=0, keepdim=True).clamp(min=0.2)
    tubes = lines * (picture / most).clamp(0.1, 1)
    glow = _blurred(tubes, picture.shape[-1] / 50)
    return 0.03 + 0.9 * tubes + 1.1 * glow


def _blurry(picture: Tensor, rng: np.random.Generator) -> Tensor:
    return _blurred(picture, picture.shape[-1] / float(rng.uniform(32, 55)))


WHOLE_PICTURE: dict[str, Callable[[Tensor, np.random.Generator], Tensor]] = {
    "pastel": _pastel,
    "dark": _dark,
    "vivid": _vivid,
    "black and white": _black_and_white,
    "sepia": _sepia,
    "pixel art": _pixel_art,
    "watercolor": _watercolor,
    "sketch": _sketch,
    "neon": _neon,
    "blurry": _blurry,
}
"""the others ('flat', 'outlined', 'silhouette') are styles of the things in a scene, see `world.py`"""


def restyled(picture: Tensor, style: str, rng: np.random.Generator) -> Tensor:
    """`picture` `(3, side, side)` in [0, 1] in a style of `WHOLE_PICTURE`; the same size and range."""
    return WHOLE_PICTURE[style](picture, rng).clamp(0, 1)
