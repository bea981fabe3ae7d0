"""Masks in a frame: of the tokens that stay, which are put back after each step and never drawn again; and of its
regions, which have prompts of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from renderers.frame_plan.frame_plan import FramePlan
from renderers.frame_plan.video_plan import VideoPlan
from renderers.frame_rendering.warp import Warp, warp_of
from renderers.models import VQGAN
from renderers.pictures.masks import FREE, MaskPicture, read_mask
from renderers.step.regions import FrameRegions, RegionView, box_of

__all__ = ["Kept", "Masks", "white_of"]

# Masks that are remembered, of a megabyte at most.
REMEMBERED = 16


@dataclass(frozen=True)
class Kept:
    """Where a latent is `free` `(1, 1, h, w)`, a bool, and what it is elsewhere: `tokens` `(1, h, w)` and their `codes`
    `(1, c, h, w)`."""

    free: Tensor
    tokens: Tensor
    codes: Tensor

    @classmethod
    def of(cls, vqgan: VQGAN, free: Tensor, tokens: Tensor) -> Kept:
        """Keep those of `tokens` that are not free."""
        return cls(free, tokens, vqgan.look_up(tokens))

    def put_back(self, latent: Tensor) -> Tensor:
        """`latent` `(1, c, h, w)` with what is kept."""
        return torch.where(self.free, latent, self.codes)

    def put_back_tokens(self, tokens: Tensor) -> Tensor:
        """`tokens` `(1, h, w)` with those that are kept."""
        return torch.where(self.free[:, 0], tokens, self.tokens)


class Masks:
    """The masks of rows, each read once for all frames of a video."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._known: dict[str, MaskPicture] = {}  # by the digest of its bytes

    def free(self, plan: VideoPlan, index: int, images: Mapping[str, bytes], size: tuple[int, int]) -> Tensor | None:
        """Which tokens of frame `index` may change, `(1, 1, h, w)` of a latent of `size` h, w; None where all may.

        Raises:
            BadInput: the mask can't be read.
        """
        row = plan.row
        if row.mask is None:
            return None
        mask = self._read(plan.images[row.mask], images, row.mask)
        if not (row.mask_moves and index):
            free = torch.from_numpy(mask.free(size[1], size[0]))[None, None]
            return free.to(self._device)
        white = white_of(mask, row.width, row.height).to(self._device)
        warp = _moved_to(plan, index, white)
        moved = torch.maximum(warp.move(white, mode="bilinear", border="black"), warp.outside(row.height, row.width))
        return F.adaptive_avg_pool2d(moved, size) >= FREE

    def regions(self, plan: VideoPlan, frame: FramePlan, images: Mapping[str, bytes]) -> FrameRegions | None:
        """The regions of a frame that are seen in it; None where there are none.

        Raises:
            BadInput: the mask of one can't be read.
        """
        row, views = plan.row, []
        for position, planned in enumerate(frame.regions):
            region = (row.regions or ())[planned.number]
            mask = self._read(plan.images[region.mask], images, region.mask)
            white = white_of(mask, row.width, row.height).to(self._device)
            if region.moves and frame.index:
                border = "wrap" if row.border == "wrap" else "black"  # what comes into view is no part of it
                white = _moved_to(plan, frame.index, white).move(white, mode="bilinear", border=border).clamp(0, 1)
            if (box := box_of(white)) is not None:
                views.append(RegionView(white, box, region.blind, position))
        return FrameRegions.of(views, row.cutouts.number) if views else None

    def _read(self, sha256: str, images: Mapping[str, bytes], uri: str) -> MaskPicture:
        if sha256 not in self._known:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known[sha256] = read_mask(images[uri], uri)
        return self._known[sha256]


def white_of(mask: MaskPicture, width: int, height: int) -> Tensor:
    """How white a mask is in a frame of that size, `(1, 1, height, width)`, 0 to 1."""
    whole = bytearray(mask.grey.resize((width, height)).tobytes())
    return torch.frombuffer(whole, dtype=torch.uint8).view(1, 1, height, width).float() / 255


def _moved_to(plan: VideoPlan, index: int, white: Tensor) -> Warp:
    """How the camera has moved a mask by frame `index`: as a whole, not from frame to frame, so that no edge is blurred
    twice."""
    return warp_of(plan.camera_path.through(0, index), white)
