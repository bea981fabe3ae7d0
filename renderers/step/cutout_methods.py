"""The ways to make what a perceptor sees of a picture (`cutouts.method`): ours, and those of the tools that people come
from, so that their settings mean here what they meant there.

- `crops`: square crops, all that happens to them in one resampling (cutouts.py).
- `pooled`: the whole picture, nerdyrodent/VQGAN-CLIP's `latest`; then augmented step by step (augmentation.py).
- `lanczos`: crops of whole pixels, Crowson's, VQGAN-CLIP's `original`; then augmented likewise.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from manifests.schema import CutoutSettings
from renderers.form import FLAT, Wrap, rolled
from renderers.step.augmentation import augment
from renderers.step.cutouts import NO_SHARES, Box, Shares, cut, draw_cutouts, in_box, sides
from renderers.step.losses import ClampWithGradient

__all__ = ["lanczos_crops", "make_cutouts", "pooled"]


def make_cutouts(
    settings: CutoutSettings,
    picture: Tensor,
    side: int,
    chance: torch.Generator,
    grain: torch.Generator,
    wrap: Wrap = FLAT,
    shares: Shares = NO_SHARES,
    box: Box | None = None,
) -> Tensor:
    """Cut `picture` `(1, 3, h, w)` in [0, 1] to `(n, 3, side, side)`, differentiably; about a `box` of it, if one is
    given, and then it wraps nowhere.

    `chance`, a generator on the CPU, decides all but the noise, which `grain` on the picture's device makes. Crops see
    across the edges that the picture `wrap`s; the other methods are shown it shifted by chance. `shares` are those of
    this step; an overview is a crop's alone.
    """
    height, width = picture.shape[-2:]
    if settings.method == "crops":
        if box is None:
            draw = draw_cutouts(settings, width, height, chance, wrap, shares)
        else:
            draw = in_box(settings, width, height, chance, box, shares)
        return cut(picture, draw.to(picture.device), side, grain)
    if box is not None:  # their crops are of whole pixels, and show nothing beyond a picture
        left, top, right, bottom = (round(it * side) for it, side in zip(box, (width, height) * 2, strict=True))
        picture = picture[..., top : max(bottom, top + 1), left : max(right, left + 1)]
    else:
        picture = rolled(picture, wrap, chance)
    if settings.method == "pooled":
        whole = pooled(picture, side).expand(settings.number, -1, -1, -1)
        return augment(whole, settings, chance, grain, shares.grey)
    crops = lanczos_crops(picture, settings, side, chance)
    clamped: Tensor = ClampWithGradient.apply(augment(crops, settings, chance, grain, shares.grey))
    return clamped


def pooled(picture: Tensor, side: int) -> Tensor:
    """The whole of `picture` `(b, 3, h, w)` as `(b, 3, side, side)`: the mean of the average and the greatest value of
    what falls to each pixel, whatever the picture's aspect.

    After the cutouts `latest` of nerdyrodent/VQGAN-CLIP (2021), which pool the picture again for each cutout.
    """
    return (F.adaptive_avg_pool2d(picture, side) + F.adaptive_max_pool2d(picture, side)) / 2


def lanczos_crops(picture: Tensor, settings: CutoutSettings, side: int, chance: torch.Generator) -> Tensor:
    """`settings.number` random squares of whole pixels of `picture` `(1, 3, h, w)`, as `(number, 3, side, side)`.

    After Crowson's notebook (2021): the side is `U^power` between the perceptor's, or the picture's where that is less,
    and the picture's shorter one. The resampling is hers, too: a Lanczos filter of two lobes where a crop is made
    smaller, then cubic interpolation with the corners kept. Values may lie a little outside [0, 1].
    """
    height, width = picture.shape[-2:]
    largest = min(height, width)
    smallest = min(largest, side)
    number = settings.number
    if settings.sizes == "normal":
        shares = sides(settings, smallest / largest, 1.0, number, chance)
        sizes = (shares * largest).int().clamp(min=1).tolist()
    else:
        sizes = (
            (torch.rand(number, generator=chance) ** settings.power * (largest - smallest) + smallest).int().tolist()
        )
    if settings.outside:
        picture = _bordered(picture, settings)
        height, width = picture.shape[-2:]
    places = torch.rand(number, 2, generator=chance).tolist()
    crops = []
    for size, (across, down) in zip(sizes, places, strict=True):
        x, y = int(across * (width - size + 1)), int(down * (height - size + 1))
        crops.append(_resampled(picture[..., y : y + size, x : x + size], side))
    return torch.cat(crops)


def _bordered(picture: Tensor, settings: CutoutSettings) -> Tensor:
    """`picture` `(1, 3, h, w)` with as much of its border around it as crops may lie outside."""
    height, width = picture.shape[-2:]
    # a reflection or another side ends with the picture
    down, across = (min(round(settings.outside * length), length - 1) for length in (height, width))
    around = (across, across, down, down)
    if settings.border in ("black", "grey"):
        return F.pad(picture, around, value=0.5 if settings.border == "grey" else 0.0)
    mode = {"replicate": "replicate", "reflect": "reflect", "wrap": "circular"}[settings.border]
    return F.pad(picture, around, mode=mode)


def _resampled(crop: Tensor, side: int) -> Tensor:
    """`crop` `(1, 3, size, size)` as `(1, 3, side, side)`."""
    size = crop.shape[-1]
    if side < size:
        kernel = _lanczos(side / size).to(crop)
        pad = len(kernel) // 2
        planes = F.pad(crop.transpose(0, 1), (pad, pad, pad, pad), mode="reflect")
        planes = F.conv2d(F.conv2d(planes, kernel.view(1, 1, -1, 1)), kernel.view(1, 1, 1, -1))
        crop = planes.transpose(0, 1)
    return F.interpolate(crop, size=(side, side), mode="bicubic", align_corners=True)


def _lanczos(ratio: float, lobes: int = 2) -> Tensor:
    """The taps of a Lanczos filter that shrinks by `ratio`, below 1: an odd number of them, whose sum is 1."""
    one_side = math.ceil(lobes / ratio + 1) - 2
    at = torch.arange(-one_side, one_side + 1) * ratio
    taps = torch.where(at.abs() < lobes, torch.sinc(at) * torch.sinc(at / lobes), 0.0)
    return taps / taps.sum()
