"""The tokens of a frame that stay: what its mask keeps is put back after each step, and never drawn again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from renderers.frame_plan.video_plan import VideoPlan
from renderers.frame_rendering.warp import warp_of
from renderers.models import VQGAN
from renderers.pictures.masks import FREE, MaskPicture, read_mask

__all__ = ["Kept", "Masks"]

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
        # moved as a whole, not from frame to frame: no edge is blurred twice
        whole = mask.grey.resize((row.width, row.height))
        white = torch.frombuffer(bytearray(whole.tobytes()), dtype=torch.uint8).view(1, 1, row.height, row.width)
        white = white.float().to(self._device) / 255
        warp = warp_of(plan.camera_path.through(0, index), white)
        moved = torch.maximum(warp.move(white, mode="bilinear", border="black"), warp.outside(row.height, row.width))
        return F.adaptive_avg_pool2d(moved, size) >= FREE

    def _read(self, sha256: str, images: Mapping[str, bytes], uri: str) -> MaskPicture:
        if sha256 not in self._known:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known[sha256] = read_mask(images[uri], uri)
        return self._known[sha256]
