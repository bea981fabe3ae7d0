"""Regions: parts of a frame that are drawn towards prompts of their own.

A region has crops of its own, drawn about its box as those of the whole are drawn about the frame, and a gradient in
its mask only: what is around it is seen, which tells a perceptor what it looks at, and not redrawn. pytti's masks of
prompts weigh all crops by what they show of the mask instead, so that most crops of a small one are lost on it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from manifests.schema import CutoutSettings
from manifests.schema.regions import LEAST_CUTOUTS
from renderers.randomness import generator
from renderers.step.cutout_methods import make_cutouts
from renderers.step.cutouts import NO_SHARES, Box, Shares, cut, in_box
from renderers.step.guidance import Target, Targets

__all__ = ["FrameRegions", "RegionView", "box_of", "looks", "shared_out", "surroundings"]

# Beyond the white of a mask a box goes on by this share of its sides.
MARGIN = 0.125
# The least side of a box, as a share of the frame's shorter side, and of its own longer one: of a line's width a
# perceptor sees nothing.
LEAST_SIDE, LEAST_RATIO = 0.25, 0.5
# Blurred surroundings have so many colours along the shorter side of a frame.
BLURRED = 6
# What is left in a region of the pull of the whole's prompts. Two halves of the embedded pair's frames, an apple and a
# tree before "fruit on white": with all of it left the halves came to .57 and .60 of their own prompts, with half of it
# to .67 and .66, with a quarter to .69 and .70 (means of 4 seeds).
LEFT = 0.25
# From how white a place is on it counts as the region's, for its box.
WHITE = 0.5


@dataclass(frozen=True)
class RegionView:
    """One region of a frame: its `white` `(1, 1, H, W)` in [0, 1], the `box` of its crops, the chance that its
    surroundings are `blind`, and its `position` among the regions that the frame's plan has."""

    white: Tensor
    box: Box
    blind: float
    position: int

    def pictures(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        """`picture` `(1, 3, h, w)` with a gradient in the region only: as it is, and with its surroundings blurred."""
        white = F.interpolate(self.white, size=picture.shape[-2:], mode="area")
        around = picture.detach()
        seen = white * picture + (1 - white) * around
        return seen, white * picture + (1 - white) * surroundings(around, white)

    def cutouts(
        self,
        settings: CutoutSettings,
        picture: Tensor,
        side: int,
        chance: torch.Generator,
        grain: torch.Generator,
        shares: Shares = NO_SHARES,
    ) -> Tensor:
        """Cut `(n, 3, side, side)` of it from `picture` `(1, 3, h, w)`; see `make_cutouts`."""
        blind = int((torch.rand(settings.number, generator=chance) < self.blind).sum())
        seen, blurred = self.pictures(picture)
        parts = ((seen, settings.number - blind), (blurred, blind))
        return torch.cat(
            [
                make_cutouts(
                    settings.model_copy(update={"number": number}), it, side, chance, grain, shares=shares, box=self.box
                )
                for it, number in parts
                if number
            ]
        )


@dataclass(frozen=True)
class FrameRegions:
    """The regions of a frame, `views`. `areas` is how much each of them is of the frame, and counts in the loss: no
    place is drawn more strongly in a small one than in a large one, or than it would be without regions. `pull`
    `(1, 1, H, W)` is how strongly the whole's prompts draw each place. `numbers` `(1 + n)` are the crops of the whole
    and of each region: by area, but `LEAST_CUTOUTS` at least."""

    views: tuple[RegionView, ...]
    areas: tuple[float, ...]
    pull: Tensor
    numbers: tuple[int, ...]

    @classmethod
    def of(cls, views: Sequence[RegionView], number: int) -> FrameRegions:
        """Share `number` crops out."""
        covered = torch.stack([view.white for view in views]).amax(dim=0)
        areas, pull = [float(view.white.mean()) for view in views], 1 - (1 - LEFT) * covered
        parts = [float(pull.mean()), *areas]
        return cls(tuple(views), tuple(areas), pull, tuple(shared_out(number, [it / sum(parts) for it in parts])))

    def targets(self, targets: Targets) -> list[Targets]:
        """What the whole and each region is drawn towards, of all that a frame is."""
        of_regions = zip(self.views, self.areas, strict=True)
        return [targets, *(targets.of_region(view.position, area) for view, area in of_regions)]

    def whole(self, picture: Tensor) -> Tensor:
        """`picture` `(1, 3, h, w)` for the crops of the whole: with less of a gradient where there are regions."""
        pull = F.interpolate(self.pull, size=picture.shape[-2:], mode="area")
        return pull * picture + (1 - pull) * picture.detach()


def looks(
    regions: FrameRegions | None, targets: Targets, picture: Tensor, settings: CutoutSettings, side: int, purpose: str
) -> Iterator[tuple[Tensor, Sequence[Target]]]:
    """Cut `(n, 3, side, side)` of each region, if there are any, from `picture` `(1, 3, h, w)`, by `settings` and
    without noise, the same for all frames of its `purpose`; with those of `targets` that it is drawn towards."""
    if regions is None:
        return
    height, width = picture.shape[-2:]
    for view, area in zip(regions.views, regions.areas, strict=True):
        draw = in_box(settings, width, height, generator(0, 0, 0, f"{purpose} region"), view.box)
        yield cut(picture, draw.to(picture.device), side, None), targets.of_region(view.position, area).prompts


def shared_out(number: int, shares: Sequence[float], least: int = LEAST_CUTOUTS) -> list[int]:
    """`number` things shared out by `shares`, which come to 1, in whole ones, `least` of them to each; where there are
    not enough for that, as evenly as can be.

    Those that would have less get `least`, the others share the rest; what is left goes by the largest remainders
    (Hamilton's method).
    """
    n = len(shares)
    if number <= least * n:
        return [number // n + (place < number % n) for place in range(n)]
    raised: set[int] = set()
    while True:
        rest, left = number - least * len(raised), sum(it for place, it in enumerate(shares) if place not in raised)
        exact = [least if place in raised else rest * it / left for place, it in enumerate(shares)]
        few = {place for place, it in enumerate(exact) if it < least}
        if not few:
            break
        raised |= few
    whole = [int(it) for it in exact]
    by_remainder = sorted(range(n), key=lambda place: (whole[place] - exact[place], place))
    for place in by_remainder[: number - sum(whole)]:
        whole[place] += 1
    return whole


def box_of(white: Tensor) -> Box | None:
    """The box of the crops of a region, of its `white` `(1, 1, H, W)`: left, top, right and bottom as shares of the
    frame's sides; a little larger than what is white, and within the frame. None where nothing is white."""
    height, width = white.shape[-2:]
    inside = white[0, 0] >= WHITE
    columns, rows = inside.any(dim=0).nonzero().flatten().tolist(), inside.any(dim=1).nonzero().flatten().tolist()
    if not columns:
        return None
    spans = []
    ends = ((columns[0], columns[-1] + 1, width), (rows[0], rows[-1] + 1, height))
    longer = max(stop - start for start, stop, _ in ends)
    least = max(LEAST_SIDE * min(width, height), LEAST_RATIO * longer)
    for start, stop, side in ends:
        length = min(float(side), max(least, (1 + 2 * MARGIN) * (stop - start)))
        begins = min(max(0.0, (start + stop - length) / 2), side - length)
        spans.append((begins / side, (begins + length) / side))
    (left, right), (top, bottom) = spans
    return left, top, right, bottom


def surroundings(picture: Tensor, white: Tensor) -> Tensor:
    """What is not `white` `(1, 1, h, w)` of `picture` `(1, 3, h, w)`, blurred until no more than colours are left: the
    white itself leaves none in it."""
    height, width = picture.shape[-2:]
    short = min(height, width)
    size = max(1, round(BLURRED * height / short)), max(1, round(BLURRED * width / short))
    around = 1 - white
    mean = (picture * around).sum(dim=(2, 3), keepdim=True) / around.sum().clamp(min=1e-6)
    colours, there = F.adaptive_avg_pool2d(picture * around, size), F.adaptive_avg_pool2d(around, size)
    filled = (colours + 1e-3 * mean) / (there + 1e-3)
    return F.interpolate(filled, size=(height, width), mode="bilinear", align_corners=False)
