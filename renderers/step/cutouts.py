"""Cutouts: the augmented crops of one picture that a perceptor sees, made by ONE batched resampling.

Crop, flip, rotation, shear, translation and perspective are composed into one homography per cutout; brightness,
contrast, saturation and hue into one colour matrix; so each cutout costs one `grid_sample`, one small matrix product,
one mask and one noise. The peers run them one after another, over pictures that they pool once per cutout.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from manifests.schema import CutoutSettings
from renderers.form import FLAT, Wrap, led_back
from renderers.frame_rendering.memory import send

__all__ = ["LUMA", "CutoutDraw", "cut", "draw_cutouts", "perspective"]

# Luma of ITU-R BT.601, the greys that saturation and hue turn about.
LUMA = torch.tensor([0.299, 0.587, 0.114])
# RGB -> YIQ (NTSC, 1953): hue is a rotation of the IQ plane.
TO_YIQ = torch.tensor([[0.299, 0.587, 0.114], [0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]])


@dataclass(frozen=True)
class CutoutDraw:
    """What chance decided for `n` cutouts.

    `homography` `(n, 3, 3)` maps normalised cutout coordinates to normalised picture coordinates; `colour` `(n, 3, 4)`
    is an affine map of RGB; `erased` `(n, 4)` a box `x0 y0 x1 y1` in cutout coordinates (empty when x1 <= x0);
    `noise` `(n,)` the standard deviation of the noise; `share` the mean side of a crop over the picture's shorter side.
    `border` is what a crop shows beyond the picture, but along the axes that it `wrap`s, where it goes on.
    """

    homography: Tensor
    colour: Tensor
    erased: Tensor
    noise: Tensor
    share: float
    border: Literal["replicate", "black"] = "replicate"
    wrap: Wrap = FLAT

    def to(self, device: torch.device) -> CutoutDraw:
        """The same draw on `device`, in one copy that nobody waits for."""
        return self if device.type == "cpu" else self.unpack(send(self.pack(), device))

    def pack(self) -> Tensor:
        """All its numbers, `(n, 26)`."""
        return torch.cat([self.homography.flatten(1), self.colour.flatten(1), self.erased, self.noise[:, None]], dim=1)

    def unpack(self, packed: Tensor) -> CutoutDraw:
        """The draw with the numbers that `pack` gave, wherever they are."""
        homography, colour, erased, noise = torch.split(packed, [9, 12, 4, 1], dim=1)
        shapes = homography.unflatten(1, (3, 3)), colour.unflatten(1, (3, 4))
        return CutoutDraw(*shapes, erased, noise[:, 0], self.share, self.border, self.wrap)


def draw_cutouts(
    settings: CutoutSettings, width: int, height: int, generator: torch.Generator, wrap: Wrap = FLAT
) -> CutoutDraw:
    """Draw the cutouts of one step for a picture of `width` x `height` pixels, on the CPU (a few hundred numbers).

    A crop is square in pixels, its side a share of the picture's shorter side (Crowson 2021: `U^power` between the
    least and the greatest size), so nothing is squashed as the peers' pooling of whole wide pictures does. Along the
    axes that the picture `wrap`s, a crop may lie anywhere.
    """
    n = settings.number

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(n, *shape, generator=generator)

    def chance(probability: float) -> Tensor:
        return (torch.rand(n, generator=generator) < probability).float()

    size = settings.size_min + (settings.size_max - settings.size_min) * uniform(0, 1) ** settings.power
    short = min(width, height)
    half_x, half_y = size * short / width, size * short / height
    # a crop may lie anywhere inside; one larger than the picture shows all of it and some border.
    across, down = (1 if on else (1 - half).abs() for half, on in zip((half_x, half_y), wrap, strict=True))
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
    return CutoutDraw(
        homography=homography,
        colour=_colour(settings, uniform, chance),
        erased=_erased(settings, uniform, chance),
        noise=uniform(0, settings.noise),
        share=(settings.size_min + settings.size_max) / 2,
        border=settings.border,
        wrap=wrap,
    )


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
    points = torch.stack([x, y, torch.ones_like(x)], dim=-1).view(1, -1, 3) @ draw.homography.transpose(1, 2)
    # behind the tilted plane (w <= 0) there is nothing to see; only a perspective above 0.7 may get there, seldom.
    grid = (points[..., :2] / points[..., 2:].clamp(min=1e-3)).view(n, side, side, 2)
    if draw.wrap != FLAT:
        picture, grid = led_back(picture, grid, draw.wrap)
    outside = "border" if draw.border == "replicate" else "zeros"
    cutouts = F.grid_sample(
        picture.expand(n, -1, -1, -1), grid, mode="bilinear", padding_mode=outside, align_corners=False
    )
    mapped = torch.baddbmm(draw.colour[..., 3:], draw.colour[..., :3], cutouts.flatten(2))
    cutouts = mapped.view(n, 3, side, side)
    x0, y0, x1, y1 = draw.erased[:, :, None, None].unbind(dim=1)
    inside = (x >= x0) & (x < x1) & (y >= y0) & (y < y1)
    cutouts = cutouts.masked_fill(inside[:, None], 0.0)
    if generator is None:
        return cutouts
    noise = torch.randn(cutouts.shape, generator=generator, device=cutouts.device, dtype=cutouts.dtype)
    return cutouts + draw.noise[:, None, None, None] * noise
