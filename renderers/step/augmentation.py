"""Cutouts changed one step after the other, as the peers have kornia do it: mirrored, moved, tilted, coloured, erased,
noisy.

`cut` (cutouts.py) does the like in one resampling, and better: nothing is filtered twice, and no perspective shows
black. This is for the settings of other tools, whose pictures should come out here as they do there. Facts of kornia
0.9: a single `translate` moves up and down only; a single `shear` is along x only; the aspect of an erased box is below
1 in half of the cases; contrast turns about the mean grey, hue is HSV's, and colours are clamped after each change.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from manifests.schema import CutoutSettings
from renderers.frame_rendering.memory import send
from renderers.step.cutouts import LUMA, bent, draw_bend, perspective, sampled, sharpened

__all__ = ["Augmentation", "augment", "draw_augmentation"]

BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)


@dataclass(frozen=True)
class Augmentation:
    """What chance decided for `n` cutouts. `flipped`, `moved`, `tilted` and `coloured` `(n,)` say which are changed.

    `affine` `(n, 2, 3)` and `homography` `(n, 3, 3)` map normalised coordinates of the result to those of what it is
    made of. `colour` `(n, 4)` are factors of brightness, contrast and saturation, and the hue's turn as a share of the
    circle, applied in the `order` that is the same for all. `erased` `(n, 4)` is a box `x0 y0 x1 y1` in pixels, empty
    when x1 <= x0; `noise` `(n,)` the standard deviation of the noise.
    """

    flipped: Tensor
    moved: Tensor
    affine: Tensor
    tilted: Tensor
    homography: Tensor
    coloured: Tensor
    colour: Tensor
    order: tuple[int, ...]
    erased: Tensor
    noise: Tensor

    def to(self, device: torch.device) -> Augmentation:
        """The same on `device`, in one copy that nobody waits for."""
        return self if device.type == "cpu" else self.unpack(send(self.pack(), device))

    def pack(self) -> Tensor:
        """All its numbers but the order, `(n, 28)`."""
        chosen = [it.float()[:, None] for it in (self.flipped, self.moved, self.tilted, self.coloured)]
        maps = [self.affine.flatten(1), self.homography.flatten(1)]
        return torch.cat([*chosen, *maps, self.colour, self.erased, self.noise[:, None]], dim=1)

    def unpack(self, packed: Tensor) -> Augmentation:
        """The same with the numbers that `pack` gave, wherever they are."""
        chosen, affine, homography, colour, erased, noise = torch.split(packed, [4, 6, 9, 4, 4, 1], dim=1)
        flipped, moved, tilted, coloured = (chosen > 0).unbind(dim=1)
        return Augmentation(
            flipped, moved, affine.unflatten(1, (2, 3)), tilted, homography.unflatten(1, (3, 3)), coloured, colour,
            self.order, erased, noise[:, 0],
        )  # fmt: skip


def draw_augmentation(settings: CutoutSettings, side: int, generator: torch.Generator) -> Augmentation:
    """Draw what happens to the `settings.number` cutouts of one step, of `side` pixels each, on the CPU."""
    n = settings.number

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(n, *shape, generator=generator)

    def chosen(probability: float) -> Tensor:
        return torch.rand(n, generator=generator) < probability

    flipped, moved, tilted = map(
        chosen, (settings.flip_probability, settings.affine_probability, settings.perspective_probability)
    )
    turn = torch.deg2rad(uniform(-settings.degrees, settings.degrees))
    shear = torch.tan(torch.deg2rad(uniform(-settings.shear, settings.shear)))
    forward = torch.zeros(n, 3, 3)
    cos, sin = turn.cos(), turn.sin()
    forward[:, 0, 0], forward[:, 0, 1] = cos, sin - cos * shear
    forward[:, 1, 0], forward[:, 1, 1] = -sin, cos + sin * shear
    forward[:, 1, 2], forward[:, 2, 2] = uniform(-2 * settings.translate, 2 * settings.translate), 1
    coloured, limits = (
        chosen(settings.jitter_probability),
        (settings.brightness, settings.contrast, settings.saturation),
    )
    factors = [uniform(max(0.0, 1 - limit), 1 + limit) for limit in limits]
    return Augmentation(
        flipped=flipped,
        moved=moved,
        affine=torch.linalg.inv(forward)[:, :2],
        tilted=tilted,
        homography=torch.linalg.inv(perspective(settings.perspective * uniform(0, 1, 4, 2))),
        coloured=coloured,
        colour=torch.stack([*factors, uniform(-settings.hue, settings.hue)], dim=1),
        order=tuple(torch.randperm(4, generator=generator).tolist()),
        erased=_erased(settings, side, generator),
        noise=uniform(0, settings.noise),
    )


def _erased(settings: CutoutSettings, side: int, generator: torch.Generator) -> Tensor:
    """Boxes `(n, 4)` of whole pixels to erase (Zhong et al. 2017, section 3.1)."""
    chosen, area, below, low, high, x, y = torch.rand(7, settings.number, generator=generator)
    wanted = (settings.erase_min + (settings.erase_max - settings.erase_min) * area) * side**2
    # from .3 to 1, or from 1 to 3.3
    aspect = torch.where(below < 0.5, 0.3 + 0.7 * low, 1 + (1 / 0.3 - 1) * high)
    height = (wanted * aspect).sqrt().round().clamp(1, side)
    width = (wanted / aspect).sqrt().round().clamp(1, side)
    left, top = (x * (side - width + 1)).floor(), (y * (side - height + 1)).floor()
    kept = (chosen < settings.erase_probability).float()
    boxes = torch.stack([left, top, left + width * kept, top + height], dim=1)
    return boxes[:1].expand_as(boxes) if settings.erase_same else boxes


def augment(
    cutouts: Tensor, settings: CutoutSettings, chance: torch.Generator, grain: torch.Generator, grey: float = 0.0
) -> Tensor:
    """`cutouts` `(n, 3, side, side)`, changed as `settings` say, each grey by the chance `grey`. What is switched off
    leaves every bit as it is.

    `chance`, a generator on the CPU, decides what happens; `grain` on the cutouts' device makes the noise.
    """
    side = cutouts.shape[-1]
    draw = draw_augmentation(settings, side, chance).to(cutouts.device)
    if settings.flip_probability:
        cutouts = _where(draw.flipped, cutouts.flip(-1), cutouts)
    if settings.affine_probability:
        grid = F.affine_grid(draw.affine, list(cutouts.shape), align_corners=False)
        cutouts = _where(draw.moved, sampled(cutouts, grid, settings.border), cutouts)
    if settings.perspective_probability:
        cutouts = _where(draw.tilted, _tilt(cutouts, draw.homography), cutouts)
    if settings.jitter_probability:
        cutouts = _where(draw.coloured, _coloured(cutouts, draw.colour, draw.order), cutouts)
    cutouts = _further(cutouts, settings, chance, grey)
    if settings.erase_probability:
        cutouts = cutouts.masked_fill(_inside(draw.erased, side)[:, None], 0.0)
    if not settings.noise:
        return cutouts
    noise = torch.randn(cutouts.shape, generator=grain, device=cutouts.device, dtype=cutouts.dtype)
    return cutouts + draw.noise[:, None, None, None] * noise


def _further(cutouts: Tensor, settings: CutoutSettings, chance: torch.Generator, grey: float) -> Tensor:
    """Bent, sharpened and grey: what later days brought, whose numbers of chance come after all others."""

    def chosen(probability: float) -> Tensor:
        return (torch.rand(len(cutouts), generator=chance) < probability).to(cutouts.device)

    if settings.sharpen:
        cutouts = sharpened(cutouts, settings.sharpen * chosen(settings.sharpen_probability).to(cutouts))
    if settings.bend:
        plane = F.affine_grid(
            torch.eye(2, 3, device=cutouts.device)[None], [1, 3, *cutouts.shape[-2:]], align_corners=False
        )
        grid = bent(plane.expand(len(cutouts), -1, -1, -1), draw_bend(settings, chance).to(cutouts.device))
        cutouts = sampled(cutouts, grid, settings.border)
    if grey:
        luma = (cutouts * LUMA.to(cutouts).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)
        cutouts = _where(chosen(grey), luma.expand_as(cutouts), cutouts)
    return cutouts


def _where(chosen: Tensor, changed: Tensor, cutouts: Tensor) -> Tensor:
    return torch.where(chosen[:, None, None, None], changed, cutouts)


def _tilt(cutouts: Tensor, homography: Tensor) -> Tensor:
    """Each of `cutouts` `(n, 3, side, side)` through its homography `(n, 3, 3)`, over black."""
    n, side = len(cutouts), cutouts.shape[-1]
    axis = (torch.arange(side, device=cutouts.device, dtype=cutouts.dtype) * 2 + 1) / side - 1
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    points = torch.stack([x, y, torch.ones_like(x)], dim=-1).view(1, -1, 3) @ homography.transpose(1, 2)
    # on the horizon nothing can be seen; what is beyond it lies far outside, as a rule
    depth = torch.where(points[..., 2:].abs() > 1e-8, points[..., 2:], 1.0)
    grid = (points[..., :2] / depth).view(n, side, side, 2)
    return F.grid_sample(cutouts, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def _coloured(cutouts: Tensor, colour: Tensor, order: tuple[int, ...]) -> Tensor:
    """`cutouts` `(n, 3, side, side)` with colours changed by the factors `colour` `(n, 4)`."""
    luma = LUMA.to(cutouts).view(1, 3, 1, 1)
    for which in order:
        factor = colour[:, which, None, None, None]
        if which == HUE:
            cutouts = _turn_hue(cutouts, colour[:, which, None, None])
            continue
        grey = (cutouts * luma).sum(dim=1, keepdim=True)
        middle = {
            BRIGHTNESS: torch.zeros_like(grey), CONTRAST: grey.mean(dim=(2, 3), keepdim=True), SATURATION: grey,
        }[which]  # fmt: skip
        cutouts = (cutouts * factor + middle * (1 - factor)).clamp(0, 1)
    return cutouts


def _turn_hue(cutouts: Tensor, turn: Tensor) -> Tensor:
    """`cutouts` `(n, 3, h, w)` with their hue in HSV turned by `turn` `(n, 1, 1)` of the circle.

    To HSV after Smith (1978), "Color gamut transform pairs"; back without cases: a channel is
    `v - c * max(0, min(k, 4 - k, 1))` with `k = (n + 6 h) mod 6` and n = 5, 3, 1 for red, green, blue.
    """
    red, green, blue = cutouts.unbind(dim=1)
    value, greatest = cutouts.max(dim=1)
    chroma = value - cutouts.amin(dim=1)
    whole = torch.where(chroma == 0, torch.ones_like(chroma), chroma)
    sixths = torch.stack([(green - blue) / whole, (blue - red) / whole + 2, (red - green) / whole + 4], dim=1)
    hue = sixths.gather(1, greatest[:, None])[:, 0] + 6 * turn
    channels = []
    for number in (5, 3, 1):
        at = torch.remainder(hue + number, 6)
        channels.append(value - chroma * torch.minimum(at, 4 - at).clamp(0, 1))
    return torch.stack(channels, dim=1)


def _inside(boxes: Tensor, side: int) -> Tensor:
    """Which pixels `(n, side, side)` lie in `boxes` `(n, 4)`."""
    at = torch.arange(side, device=boxes.device)
    x0, y0, x1, y1 = boxes[:, :, None, None].unbind(dim=1)
    return (at >= x0) & (at < x1) & (at[:, None] >= y0) & (at[:, None] < y1)
