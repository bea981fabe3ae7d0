"""What renews a picture that a frame starts from: colours, contrast, sharpness, detail, noise, in this order.

A zoom enlarges what is there, frame after frame: fine detail runs out, and small errors of colour add up. The colours
are moved by their means and spreads (Reinhard et al. 2001, Color Transfer between Images, here in CIELAB), not matched
by histograms, which bands long videos. Detail is a controller's: what counts is how sharp the frames before came out,
and not only how sharp this one begins, since the codec and the steps change it by a factor of their own.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from renderers.frame_plan.renewal import Renewal
from renderers.pictures.lab import lab, rgb

__all__ = ["colours_of", "detail_of", "grain", "reference_of", "renewed"]

# A spread that is to grow or shrink by more than this does so in several frames.
LEAST_RATIO, GREATEST_RATIO = 0.8, 1.25
# A frame that came out x times as sharp as it should have starts the next 1 / x^GAIN times as sharp as that: where the
# codec and the steps change sharpness by a factor k at each frame, it settles at k^(1 / (1 + GAIN)) of what it should.
GAIN = 2.0
# By how much a picture is sharpened, or blurred where it is below 0, for it at most, and how closely that is found.
LEAST_AMOUNT, GREATEST_AMOUNT, HALVINGS = -1.0, 3.0, 12
# The side of a picture, in pixels, on which the blur of the unsharp mask has a deviation of one, and the least that it
# has: below, no pixel would see its neighbours.
SIDE, LEAST_SIGMA = 512, 0.5
# Cells across the shorter side of the noise's first octave, and how many octaves there are; each has cells half as
# large, and as much power, as in pictures of nature (Field 1987).
CELLS, OCTAVES = 4, 5


def colours_of(picture: Tensor, weight: Tensor | None = None) -> Tensor:
    """The means and the standard deviations of the colours of `picture` `(1, 3, h, w)`, in CIELAB: `(6,)`, float32; of
    each pixel as much as `weight` `(1, 1, h, w)` says."""
    values = lab(picture[0].flatten(1).T.float())
    share = torch.ones_like(values[:, :1]) if weight is None else weight.reshape(-1, 1).to(values)
    total = share.sum().clamp(min=1e-6)
    mean = (values * share).sum(dim=0) / total
    deviation = (((values - mean) ** 2 * share).sum(dim=0) / total).sqrt()
    return torch.cat([mean, deviation])


def detail_of(picture: Tensor, weight: Tensor | None = None) -> Tensor:
    """How sharp `picture` `(1, 3, h, w)` is: the mean length of the gradient of its luma (BT.709), in its own unit a
    pixel: `()`, float32; of each pixel as much as `weight` `(1, 1, h, w)` says."""
    return _steepness(*_slopes(_luma(picture)), weight)


def reference_of(picture: Tensor, *, detailed: bool) -> Tensor:
    """What of `picture` `(1, 3, h, w)` others are held to: `colours_of` `(6,)`, and `detail_of` as a seventh number if
    `detailed`."""
    colours = colours_of(picture)
    return torch.cat([colours, detail_of(picture)[None]]) if detailed else colours


def renewed(
    picture: Tensor,
    how: Renewal,
    reference: Tensor | None,
    chance: torch.Generator,
    seen: Tensor | None = None,
    before: Tensor | None = None,
) -> Tensor:
    """Renew `picture` `(1, 3, h, w)` in [0, 1]; gives another, in [0, 1] too.

    `reference` `(6,)` or `(7,)` is what `reference_of` gave for the picture whose colours and detail are wanted. `seen`
    `(1, 1, h, w)` says how much of each pixel shows something: black beyond the border is no colour of the picture.
    `before` `(1, 3, h, w)` is the frame that it was, as it came out; without it `picture` stands for it.
    """
    if how.colours and reference is not None:
        picture = _recoloured(picture, how.colours, reference[:6].to(picture.device), seen).clamp(0, 1)
    if how.contrast != 1.0:
        picture = (picture - 0.5) * how.contrast + 0.5
    if how.sharpen:
        picture = picture + how.sharpen * (picture - _blurred(picture))
    if how.detail and reference is not None:
        picture = _redetailed(picture, how.detail, reference[6], picture if before is None else before, seen)
    if how.noise:
        height, width = picture.shape[-2:]
        picture = picture + how.noise * grain(how.grain, height, width, chance).to(picture)
    return picture.clamp(0, 1)


def _recoloured(picture: Tensor, share: float, reference: Tensor, seen: Tensor | None) -> Tensor:
    mean, deviation = colours_of(picture, seen).split(3)
    wanted, spread = reference.split(3)
    ratio = (spread / deviation.clamp(min=1e-6)).clamp(LEAST_RATIO, GREATEST_RATIO)
    values = lab(picture[0].permute(1, 2, 0).float())
    values = (values - mean) * (1 + share * (ratio - 1)) + mean + share * (wanted - mean)
    return rgb(values).permute(2, 0, 1)[None].to(picture)


def _redetailed(picture: Tensor, share: float, wanted: Tensor, before: Tensor, seen: Tensor | None) -> Tensor:
    """As sharp as is `wanted`, and more where the frame `before` came out less sharp than that."""
    own, came_out = detail_of(picture, seen), detail_of(before)
    if min(float(own), float(came_out), float(wanted)) <= 0:
        return picture  # one colour
    aim = float(wanted) * (float(wanted) / float(came_out)) ** GAIN
    aim = float(own) ** (1 - share) * aim**share
    difference = picture - _blurred(picture)
    (down, right), (more_down, more_right) = _slopes(_luma(picture)), _slopes(_luma(difference))
    low, high = LEAST_AMOUNT, GREATEST_AMOUNT
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        sharp = _steepness(down + middle * more_down, right + middle * more_right, seen)
        low, high = (middle, high) if float(sharp) < aim else (low, middle)
    return picture + (low + high) / 2 * difference


def _luma(picture: Tensor) -> Tensor:
    """`(1, 3, h, w)` to `(h, w)` (BT.709)."""
    return (picture[0].float() * picture.new_tensor([0.2126, 0.7152, 0.0722]).float().view(3, 1, 1)).sum(dim=0)


def _slopes(luma: Tensor) -> tuple[Tensor, Tensor]:
    """Of each pixel downwards and to the right, `(h, w)` each."""
    down, right = torch.gradient(luma)
    return down, right


def _steepness(down: Tensor, right: Tensor, weight: Tensor | None) -> Tensor:
    length = torch.hypot(down, right)
    if weight is None:
        return length.mean()
    share = weight.reshape(length.shape).to(length)
    return (length * share).sum() / share.sum().clamp(min=1e-6)


def _blurred(picture: Tensor) -> Tensor:
    """By a Gaussian."""
    sigma = max(LEAST_SIGMA, min(picture.shape[-2:]) / SIDE)
    reach = math.ceil(3 * sigma)
    weights = torch.exp(-(torch.arange(-reach, reach + 1, device=picture.device) ** 2) / (2 * sigma**2))
    weights = (weights / weights.sum()).to(picture).expand(3, 1, 1, -1)
    wide = F.conv2d(F.pad(picture, (reach, reach, 0, 0), mode="replicate"), weights, groups=3)
    return F.conv2d(F.pad(wide, (0, 0, reach, reach), mode="replicate"), weights.transpose(2, 3), groups=3)


def grain(kind: str, height: int, width: int, chance: torch.Generator) -> Tensor:
    """Noise of mean 0 and deviation 1, on the CPU: white `(1, 3, height, width)`, each pixel and colour for itself, or
    fractal `(1, 1, height, width)`, spots of several sizes, for all colours alike: it tints nothing."""
    if kind == "white":
        return torch.randn(1, 3, height, width, generator=chance)
    total = torch.zeros(1, 1, height, width)
    for octave in range(OCTAVES):
        cell = min(height, width) / (CELLS * 2**octave)
        size = (max(1, round(height / cell)), max(1, round(width / cell))) if cell > 1 else (height, width)
        noise = torch.randn(1, 1, *size, generator=chance)
        spots = F.interpolate(noise, size=(height, width), mode="bicubic", align_corners=False)
        total += spots / spots.std().clamp(min=1e-6)
    return (total - total.mean()) / total.std().clamp(min=1e-6)
