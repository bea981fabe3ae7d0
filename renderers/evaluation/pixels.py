"""The second ablation: the same search, without the VQGAN. Pictures are their own latents."""

from __future__ import annotations

import torch
import torch.nn as nn
from torch import Tensor

__all__ = ["Pixels"]

SPREAD = 12**-0.5  # standard deviation of an evenly distributed pixel in [0, 1]


class Pixels(nn.Module):
    """Stands where a VQGAN stands: latents `(b, 3, H, W)` are pixels in units of their spread about mid-grey.

    So the learning rate and noise of a row, which suit codes of about that spread, keep their meaning. Tokens are the
    24-bit colours, which are not snapped to on the way: there is no codebook to hold the picture together.
    """

    codebook: Tensor
    dtype = torch.float32

    def __init__(self) -> None:
        super().__init__()
        # what the renderer takes from a codebook: bounds and spread
        levels = (torch.arange(256) / 255 - 0.5) / SPREAD
        self.register_buffer("codebook", levels[:, None].repeat(1, 3))

    def encode(self, pictures: Tensor) -> Tensor:
        """Pictures `(b, 3, H, W)` in [0, 1] to latents."""
        return (pictures - 0.5) / SPREAD

    def decode(self, latents: Tensor) -> Tensor:
        """Latents to pictures."""
        return latents * SPREAD + 0.5

    def quantise(self, latents: Tensor) -> Tensor:
        """Nothing is snapped to."""
        return latents

    def tokenise(self, latents: Tensor) -> Tensor:
        """24-bit colours `(b, H, W)`."""
        level = (self.decode(latents.detach()).clamp(0, 1) * 255).round().long()
        return (level[:, 0] << 16) | (level[:, 1] << 8) | level[:, 2]

    def look_up(self, tokens: Tensor) -> Tensor:
        """Inverse of `tokenise`."""
        level = torch.stack([tokens >> 16 & 255, tokens >> 8 & 255, tokens & 255], dim=1)
        return self.encode(level.float() / 255)
