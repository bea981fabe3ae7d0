"""The frames of an animatic: a card, or the row's own picture, moved as the camera moves, above the panel."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from renderers.animatic.card import numbered_card
from renderers.animatic.panel import Panel
from renderers.frame_plan.motion import STILL, Homography, Motion
from renderers.frame_plan.parallax import Parallax
from renderers.frame_plan.part import check_part
from renderers.frame_plan.video_plan import VideoPlan
from renderers.frame_rendering.pictures import read_picture
from renderers.frame_rendering.warp import Warp, warp_of

__all__ = ["animatic"]

Picture = NDArray[np.uint8]

LEAST_WIDTH = 480  # of a picture with a panel that can be read
FARTHEST = 3.0  # times that a card is enlarged or made smaller
LEAST_COVER = 0.4  # of the picture by its card: what else is seen is reflections
FADE = 8  # frames over which the next card comes
GRAIN = 6  # pixels of it
MOST_STEPS = 48  # by which a card is moved, where each is a resampling of its own


def animatic(plan: VideoPlan, images: Mapping[str, bytes], frames: range | None = None) -> Iterator[Picture]:
    """Draw `frames` of a video, all by default, each `(h, w, 3)` uint8 of one size with even sides.

    The picture is moved by the very motions, borders and resampling of a render. Where the camera has left a card
    behind, has come too near or too far, the next one fades in. `images` holds the bytes of the row's pictures, by URI.

    Raises:
        BadInput: there are no such frames, a setting has no value at one, or the row's picture can't be read.
    """
    frames = range(plan.frames) if frames is None else frames
    check_part(plan, frames)
    row = plan.row
    factor = max(1, math.ceil(LEAST_WIDTH / row.width))
    width, height = row.width * factor + row.width * factor % 2, row.height * factor + row.height * factor % 2
    panel, cards = Panel(plan, width), _Cards(plan, images, width, height)
    for index in frames:
        yield np.concatenate([cards.draw(index), panel.draw(index)])


class _Cards:
    """One card after the other, each moved by one resampling from where it was laid, so that it stays sharp."""

    def __init__(self, plan: VideoPlan, images: Mapping[str, bytes], width: int, height: int) -> None:
        self._plan, self._images, self._size = plan, images, (width, height)
        self._factor = width / plan.row.width
        self._count, self._laid, self._steps = 0, -1, 0
        self._card = self._before = torch.empty(0)

    def draw(self, index: int) -> Picture:
        """The picture of frame `index`; to be asked for in their order."""
        if self._laid < 0:
            self._lay(index)
        moved, warp = self._moved(index)
        if index > self._laid and self._is_lost(index, warp):
            self._before = moved
            self._lay(index)
            moved, _ = self._moved(index)
        elif self._before.numel() and index > self._laid:
            self._before = self._seen(warp_of(self._motion(index - 1, index), self._before), self._before)
        since = index - self._laid
        if self._before.numel() and since < FADE:
            moved = torch.lerp(self._before, moved, (since + 1) / (FADE + 1))
        return np.asarray((moved[0].permute(1, 2, 0).clamp(0, 1) * 255).round().byte())

    def _lay(self, index: int) -> None:
        """Lay the next card before the camera."""
        self._count += 1
        self._laid, row = index, self._plan.row
        width, height = self._size
        if row.init_image is not None:
            self._card = read_picture(self._images, row.init_image, width, height)
        else:
            self._card = torch.tensor(numbered_card(width, height, self._count)).permute(2, 0, 1)[None] / 255

    def _moved(self, index: int) -> tuple[Tensor, Warp]:
        if not self._plan.camera_path.composable:  # step by step: the card is what it was moved to before
            return self._moved_again(index)
        warp = warp_of(self._motion(self._laid, index), self._card)
        return self._seen(warp, self._card), warp

    def _seen(self, warp: Warp, picture: Tensor) -> Tensor:
        """`picture`, moved; what the border paints is grey grain here."""
        border = self._plan.row.border
        moved = warp.move(picture, border=border)
        if border != "paint":
            return moved
        height, width = moved.shape[-2:]
        grain = torch.rand(1, 1, height // GRAIN + 1, width // GRAIN + 1, generator=torch.Generator().manual_seed(0))
        grain = grain.repeat_interleave(GRAIN, 2).repeat_interleave(GRAIN, 3)[..., :height, :width]
        return torch.lerp(moved, 0.3 + 0.4 * grain, warp.outside(height, width))

    def _moved_again(self, index: int) -> tuple[Tensor, Warp]:
        if index == self._laid:
            warp = warp_of(STILL, self._card)
            self._steps = 0
            return self._card, warp
        warp = warp_of(self._motion(index - 1, index), self._card)
        self._card, self._steps = self._seen(warp, self._card), self._steps + 1
        return self._card, warp

    def _motion(self, start: int, index: int) -> Motion:
        motion = self._plan.camera_path.through(start, index)
        return motion.enlarged(self._factor) if isinstance(motion, Homography | Parallax) else motion

    def _is_lost(self, index: int, warp: Warp) -> bool:
        if not self._plan.camera_path.composable:
            return self._steps >= MOST_STEPS
        motion = self._motion(self._laid, index)
        if isinstance(motion, Homography) and not 1 / FARTHEST < motion.size < FARTHEST:
            return True
        width, height = self._size
        return float(warp.coverage(height // 8, width // 8).mean()) < LEAST_COVER
