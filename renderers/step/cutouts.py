"""Cutouts: the augmented crops of one picture that a perceptor sees, made by ONE batched resampling.

Crop, flip, rotation, shear, translation and perspective are composed into one homography per cutout; brightness,
contrast, saturation and hue into one colour matrix; so each cutout costs one `grid_sample`, one small matrix product,
one mask and one noise. The peers run them one after another, over pictures that they pool once per cutout.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from manifests.schema import CutoutSettings
from renderers.form import FLAT, Wrap, led_back
from renderers.frame_rendering.memory import send

__all__ = [
    "LUMA", "NO_SHARES", "Border", "Box", "CutoutDraw", "Shares", "bent", "cut", "draw_bend", "draw_cutouts", "in_box",
    "perspective", "sampled", "sharpened", "sides",
]  # fmt: skip

Box = tuple[float, float, float, float]
"""left, top, right and bottom of a part of a picture, as shares of its sides"""
Border = Literal["replicate", "black", "grey", "reflect", "wrap"]
_PADDING = {"replicate": "border", "black": "zeros", "grey": "zeros", "reflect": "reflection", "wrap": "border"}
# Of sides of crops that are spread normally (pytti-core, 2024).
_MEAN, _DEVIATION = 0.8, 0.3
# Offsets of a bend, each way.
_KNOTS = 4

# Luma of ITU-R BT.601, the greys that saturation and hue turn about.
LUMA = torch.tensor([0.299, 0.587, 0.114])
# RGB -> YIQ (NTSC, 1953): hue is a rotation of the IQ plane.
TO_YIQ = torch.tensor([[0.299, 0.587, 0.114], [0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]])


class Shares(NamedTuple):
    """The share of a step's cutouts that hold the whole picture, and the chance of each to be grey."""

    overview: float = 0.0
    grey: float = 0.0


NO_SHARES = Shares()


@dataclass(frozen=True)
class CutoutDraw:
    """What chance decided for `n` cutouts.

    `homography` `(n, 3, 3)` maps normalised cutout coordinates to normalised picture coordinates; `colour` `(n, 3, 4)`
    is an affine map of RGB; `erased` `(n, 4)` a box `x0 y0 x1 y1` in cutout coordinates (empty when x1 <= x0);
    `noise` `(n,)` the standard deviation of the noise; `share` the mean side of a crop over the picture's shorter side.
    `border` is what a crop shows beyond the picture, but along the axes that it `wrap`s, where it goes on. `sharpen`
    `(n,)` says by how much each is sharpened, `bend` `(n, 2, 4, 4)` how its places are drawn aside, x before y; None
    for none.
    """

    homography: Tensor
    colour: Tensor
    erased: Tensor
    noise: Tensor
    share: float
    border: Border = "replicate"
    wrap: Wrap = FLAT
    sharpen: Tensor | None = None
    bend: Tensor | None = None

    def to(self, device: torch.device) -> CutoutDraw:
        """The same draw on `device`, in one copy that nobody waits for."""
        return self if device.type == "cpu" else self.unpack(send(self.pack(), device))

    def pack(self) -> Tensor:
        """All its numbers, `(n, 26)`, and those of what is sharpened and bent."""
        parts = [self.homography.flatten(1), self.colour.flatten(1), self.erased, self.noise[:, None]]
        further = [it.flatten(1) if it.dim() > 1 else it[:, None] for it in (self.sharpen, self.bend) if it is not None]
        return torch.cat([*parts, *further], dim=1)

    def unpack(self, packed: Tensor) -> CutoutDraw:
        """The draw with the numbers that `pack` gave, wherever they are."""
        homography, colour, erased, noise = torch.split(packed[:, :26], [9, 12, 4, 1], dim=1)
        shapes = homography.unflatten(1, (3, 3)), colour.unflatten(1, (3, 4))
        sharpen = None if self.sharpen is None else packed[:, 26]
        bend = None if self.bend is None else packed[:, -self.bend[0].numel() :].unflatten(1, self.bend.shape[1:])
        return CutoutDraw(*shapes, erased, noise[:, 0], self.share, self.border, self.wrap, sharpen, bend)


def in_box(
    settings: CutoutSettings,
    width: int,
    height: int,
    generator: torch.Generator,
    box: Box,
    shares: Shares = NO_SHARES,
) -> CutoutDraw:
    """As `draw_cutouts`, but drawn about a `box` of the picture as others are about the whole of it; what one shows
    beyond the box is the picture."""
    left, top, right, bottom = box
    across, down = max(1, round((right - left) * width)), max(1, round((bottom - top) * height))
    draw = draw_cutouts(settings, across, down, generator, FLAT, shares)
    place = torch.tensor([[right - left, 0, left + right - 1], [0, bottom - top, top + bottom - 1], [0, 0, 1]])
    share = draw.share * min(across, down) / min(width, height)
    return replace(draw, homography=place @ draw.homography, share=share)


def draw_cutouts(
    settings: CutoutSettings,
    width: int,
    height: int,
    generator: torch.Generator,
    wrap: Wrap = FLAT,
    shares: Shares = NO_SHARES,
) -> CutoutDraw:
    """Draw the cutouts of one step for a picture of `width` x `height` pixels, on the CPU (a few hundred numbers).

    A crop is square in pixels, its side a share of the picture's shorter side (Crowson 2021: `U^power` between the
    least and the greatest size), so nothing is squashed as the peers' pooling of whole wide pictures does. Along the
    axes that the picture `wrap`s, a crop may lie anywhere. What settings and `shares` leave out costs no number of
    chance.
    """
    n = settings.number

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(n, *shape, generator=generator)

    def chance(probability: float) -> Tensor:
        return (torch.rand(n, generator=generator) < probability).float()

    size = sides(settings, settings.size_min, settings.size_max, n, generator)
    short = min(width, height)
    half_x, half_y = size * short / width, size * short / height
    # a crop may lie anywhere inside; one larger than the picture shows all of it and some border.
    lean = 2 * settings.outside
    across, down = (1 if on else (1 - half).abs() + lean for half, on in zip((half_x, half_y), wrap, strict=True))
    centre = torch.stack([uniform(-1, 1) * across, uniform(-1, 1) * down], dim=1)
    place = torch.zeros(n, 3, 3)
    place[:, 0, 0], place[:, 1, 1], place[:, :2, 2], place[:, 2, 2] = half_x, half_y, centre, 1

    moved = chance(settings.affine_probability)
    turn = torch.deg2rad(uniform(-settings.degrees, settings.degrees)) * moved
    shear = torch.tan(torch.deg2rad(uniform(-settings.shear, settings.shear))) * moved
    shift = uniform(-2 * settings.translate, 2 * settings.translate, 2) * moved[:, None]
    flip = 1 - 2 * chance(settings.flip_probability)
    affine = torch.zeros(n, 3, 3)
    cos, sin = turn.cos(), turn.sin()
    affine[:, 0, 0], affine[:, 0, 1] = cos * flip, shear * cos - sin
    affine[:, 1, 0], affine[:, 1, 1] = sin * flip, shear * sin + cos
    affine[:, :2, 2], affine[:, 2, 2] = shift, 1

    tilted = chance(settings.perspective_probability) * settings.perspective
    homography = place @ affine @ perspective(uniform(0, 1, 4, 2) * tilted[:, None, None])
    colour, erased = _colour(settings, uniform, chance), _erased(settings, uniform, chance)
    noise, share = uniform(0, settings.noise), (settings.size_min + settings.size_max) / 2
    sharpen = settings.sharpen * chance(settings.sharpen_probability) if settings.sharpen else None
    bend = draw_bend(settings, generator) if settings.bend else None
    if whole := round(shares.overview * n):
        long = max(width, height)
        homography[:whole] = torch.diag(torch.tensor([long / width, long / height, 1.0]))
        homography[:whole, 0, 0] *= flip[:whole]
        share += whole / n * (long / short - share)
    if shares.grey:
        colour = torch.where(chance(shares.grey)[:, None, None] > 0, _without_colour(colour), colour)
    return CutoutDraw(homography, colour, erased, noise, share, settings.border, wrap, sharpen, bend)


def sides(settings: CutoutSettings, low: float, high: float, n: int, generator: torch.Generator) -> Tensor:
    """The sides of `n` crops, `(n,)`, between `low` and `high`, as shares of the picture's shorter side: evenly spread,
    or about `_MEAN`, and then to the settings' power."""
    if settings.sizes == "normal":
        spread = torch.randn(n, generator=generator) * _DEVIATION + _MEAN
        return spread.clamp(low, high) ** settings.power
    return low + (high - low) * torch.rand(n, generator=generator) ** settings.power


def draw_bend(settings: CutoutSettings, generator: torch.Generator) -> Tensor:
    """Offsets `(n, 2, 4, 4)` of evenly spaced places of cutouts, x before y, in half sides; 0 for those that chance
    leaves as they are."""
    n = settings.number
    chosen = (torch.rand(n, generator=generator) < settings.bend_probability).float()
    offsets = 2 * torch.rand(n, 2, _KNOTS, _KNOTS, generator=generator) - 1
    return settings.bend * chosen[:, None, None, None] * offsets


def bent(places: Tensor, bend: Tensor) -> Tensor:
    """`places` `(n, h, w, 2)` of cutouts drawn aside by the offsets `bend` `(n, 2, 4, 4)`, smoothly in between."""
    size = places.shape[1:3]
    return places + F.interpolate(bend, size=size, mode="bicubic", align_corners=True).permute(0, 2, 3, 1)


def sharpened(cutouts: Tensor, by: Tensor) -> Tensor:
    """`cutouts` `(n, 3, side, side)` with `by` `(n,)` times their difference from themselves, blurred, added; those of
    0 stay to the bit, and so does the outermost pixel.

    The blur is that of Pillow's sharpness, and kornia's after it: 5 in the middle and 1 around it, over 13. A factor f
    of theirs is f - 1 here.
    """
    kernel = cutouts.new_tensor([[1.0, 1, 1], [1, 5, 1], [1, 1, 1]]).div(13).expand(3, 1, 3, 3)
    inner = cutouts[..., 1:-1, 1:-1]
    detail = F.pad(inner - F.conv2d(cutouts, kernel, groups=3), (1, 1, 1, 1))
    return cutouts + by[:, None, None, None] * detail


def sampled(picture: Tensor, grid: Tensor, border: Border, wrap: Wrap = FLAT) -> Tensor:
    """`picture` `(n, 3, h, w)` at the places `grid` `(n, side, side, 2)`; beyond it what `border` says, but along the
    axes that it `wrap`s."""
    if border == "wrap":
        wrap = Wrap(x=True, y=True)
    if wrap != FLAT:
        picture, grid = led_back(picture, grid, wrap)
    if border == "grey":
        picture = picture - 0.5
    found = F.grid_sample(picture, grid, mode="bilinear", padding_mode=_PADDING[border], align_corners=False)
    return found + 0.5 if border == "grey" else found


def _without_colour(colour: Tensor) -> Tensor:
    """Colour maps `(n, 3, 4)`, and then the luma of what they give in place of each channel."""
    return LUMA.expand(3, 3) @ colour


def perspective(inward: Tensor) -> Tensor:
    """Homographies `(n, 3, 3)` that pull the square's corners inward by `inward` `(n, 4, 2)` half sides.

    As in torchvision's RandomPerspective each corner moves by up to `distortion` of the half side; but there the whole
    picture shrinks into the corners and black fills the rest, here the cutout looks through them: no border is seen.
    Solves for the eight free entries (Hartley & Zisserman, Multiple View Geometry, 2nd ed., algorithm 4.1, h33 = 1).
    """
    corners = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [1.0, 1.0], [-1.0, 1.0]])
    n = len(inward)
    target = corners * (1 - inward)
    x, y = corners[:, 0].expand(n, 4), corners[:, 1].expand(n, 4)
    zero, one = torch.zeros_like(x), torch.ones_like(x)
    u, v = target[..., 0], target[..., 1]
    rows = torch.cat(
        [
            torch.stack([x, y, one, zero, zero, zero, -u * x, -u * y], dim=-1),
            torch.stack([zero, zero, zero, x, y, one, -v * x, -v * y], dim=-1),
        ],
        dim=1,
    )
    entries = torch.linalg.solve(rows, torch.cat([u, v], dim=1))
    return torch.cat([entries, torch.ones(n, 1)], dim=1).view(n, 3, 3)


def _colour(settings: CutoutSettings, uniform: Callable[..., Tensor], chance: Callable[[float], Tensor]) -> Tensor:
    """Colour maps `(n, 3, 4)`: brightness, contrast about mid grey, saturation, hue, as one affine map of RGB."""
    jittered = chance(settings.jitter_probability)
    brightness = 1 + uniform(-settings.brightness, settings.brightness) * jittered
    contrast = 1 + uniform(-settings.contrast, settings.contrast) * jittered
    saturation = 1 + uniform(-settings.saturation, settings.saturation) * jittered
    hue = 2 * math.pi * uniform(-settings.hue, settings.hue) * jittered
    n = len(jittered)
    turn = torch.zeros(n, 3, 3)
    turn[:, 0, 0] = 1
    turn[:, 1, 1], turn[:, 1, 2] = hue.cos(), -hue.sin()
    turn[:, 2, 1], turn[:, 2, 2] = hue.sin(), hue.cos()
    grey = LUMA.expand(3, 3)
    fade = saturation[:, None, None] * torch.eye(3) + (1 - saturation[:, None, None]) * grey
    linear = (torch.linalg.inv(TO_YIQ) @ turn @ TO_YIQ) @ fade * (brightness * contrast)[:, None, None]
    offset = (0.5 * (1 - contrast))[:, None, None].expand(n, 3, 1)
    return torch.cat([linear, offset], dim=2)


def _erased(settings: CutoutSettings, uniform: Callable[..., Tensor], chance: Callable[[float], Tensor]) -> Tensor:
    """Boxes `(n, 4)` to erase: area between the settings' limits, aspect .3 to 3.3 (Zhong et al. 2017, section 3.1)."""
    area = 4 * uniform(settings.erase_min, settings.erase_max) * chance(settings.erase_probability)
    aspect = torch.exp(uniform(math.log(0.3), math.log(3.3)))
    width, height = (area * aspect).sqrt().clamp(max=2), (area / aspect).sqrt().clamp(max=2)
    x, y = uniform(0, 1) * (2 - width) - 1, uniform(0, 1) * (2 - height) - 1
    boxes = torch.stack([x, y, x + width, y + height], dim=1)
    return boxes[:1].expand_as(boxes) if settings.erase_same else boxes


def cut(picture: Tensor, draw: CutoutDraw, side: int, generator: torch.Generator | None) -> Tensor:
    """Cut `picture` `(1, 3, h, w)`, or one cutout from each of `(n, 3, h, w)`, to `(n, 3, side, side)`, differentiably.

    `generator` lives on the picture's device and makes the noise; None for none. Where a cutout is much smaller than
    the crop, the picture is first averaged down by a whole factor (once for all cutouts), so that no detail aliases.
    """
    n = len(draw.homography)
    height, width = picture.shape[-2:]
    factor = int(min(height, width) * draw.share / side)
    if factor > 1:
        picture = F.interpolate(picture, size=(height // factor, width // factor), mode="area")
    axis = (torch.arange(side, device=picture.device, dtype=picture.dtype) * 2 + 1) / side - 1
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    if draw.bend is None:
        points = torch.stack([x, y, torch.ones_like(x)], dim=-1).view(1, -1, 3)
    else:
        places = bent(torch.stack([x, y], dim=-1).expand(n, -1, -1, -1), draw.bend)
        points = F.pad(places, (0, 1), value=1.0).view(n, -1, 3)
    points = points @ draw.homography.transpose(1, 2)
    # behind the tilted plane (w <= 0) there is nothing to see; only a perspective above 0.7 may get there, seldom.
    grid = (points[..., :2] / points[..., 2:].clamp(min=1e-3)).view(n, side, side, 2)
    cutouts = sampled(picture.expand(n, -1, -1, -1), grid, draw.border, draw.wrap)
    if draw.sharpen is not None:
        cutouts = sharpened(cutouts, draw.sharpen)
    mapped = torch.baddbmm(draw.colour[..., 3:], draw.colour[..., :3], cutouts.flatten(2))
    cutouts = mapped.view(n, 3, side, side)
    x0, y0, x1, y1 = draw.erased[:, :, None, None].unbind(dim=1)
    inside = (x >= x0) & (x < x1) & (y >= y0) & (y < y1)
    cutouts = cutouts.masked_fill(inside[:, None], 0.0)
    if generator is None:
        return cutouts
    noise = torch.randn(cutouts.shape, generator=generator, device=cutouts.device, dtype=cutouts.dtype)
    return cutouts + draw.noise[:, None, None, None] * noise
