"""What a frame hands to the next: its tokens, its latent before it was snapped to them, and the optimiser's moments.

The state is CANONICAL: what is written into the frame object is exactly what the next frame starts from, also when the
render was never interrupted. So a chain that resumes from storage is bit for bit the chain that never stopped.
The next frame starts from the continuous latent, not from the tokens: a camera that moves by less than half a token a
frame would otherwise be rounded back to where it was, frame after frame, and the picture would never move (seen at zoom
1.03 and 2 degrees a frame, 8 pixels a token). The latent travels in 8 bits per element, within the codebook's bounds.
The moments are kept small as well, since they travel with every frame: the first moment in 8 bits per element with one
scale per channel, the second as its mean per channel. Near-silent places of the second moment would otherwise give the
largest steps, which shows as flicker; a mean per channel also needs no moving with the camera.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from renderers.errors import FrameCorrupt

__all__ = ["FrameState", "Moments"]


@dataclass(frozen=True)
class Moments:
    """Adam's memory (Kingma & Ba 2015, algorithm 1): `first` `(1, c, h, w)` int8 in units of `scale` `(c,)`,
    `second` `(c,)`, and the number of `steps` behind them, for the bias correction."""

    first: Tensor
    scale: Tensor
    second: Tensor
    steps: int

    @classmethod
    def of(cls, exp_avg: Tensor, exp_avg_sq: Tensor, steps: int) -> Moments:
        """Condense Adam's two moments `(1, c, h, w)`."""
        scale = exp_avg.abs().amax(dim=(0, 2, 3)).clamp(min=1e-20) / 127
        first = (exp_avg / scale.view(1, -1, 1, 1)).round().to(torch.int8)
        return cls(first.cpu(), scale.cpu(), exp_avg_sq.mean(dim=(0, 2, 3)).cpu(), steps)

    def expand(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Adam's two moments `(1, c, h, w)` again, in float32 on `device`."""
        first = self.first.to(device).float() * self.scale.to(device).view(1, -1, 1, 1)
        return first, self.second.to(device).view(1, -1, 1, 1).expand_as(first).contiguous()


@dataclass(frozen=True)
class FrameState:
    """`tokens` `(1, h, w)` int32, which determine the picture completely; the `latent` `(1, c, h, w)` uint8 that was
    snapped to them, 0 at the codebook's lower bound of a channel and 255 at its upper; the optimiser's `moments`; and
    the colours `(6,)` float32 that those are held to that start from it, with how sharp they are to be `(7,)` where
    that is asked for (`renewing.reference_of`), None for those of its own picture, if any."""

    tokens: Tensor
    latent: Tensor
    moments: Moments
    reference: Tensor | None = None

    @classmethod
    def of(
        cls,
        tokens: Tensor,
        latent: Tensor,
        low: Tensor,
        high: Tensor,
        moments: Moments,
        reference: Tensor | None = None,
    ) -> FrameState:
        """Condense a float `latent` `(1, c, h, w)` within the bounds `low` and `high` `(1, c, 1, 1)`."""
        level = (latent - low) / (high - low).clamp(min=1e-20) * 255
        return cls(tokens.to(torch.int32).cpu(), level.round().to(torch.uint8).cpu(), moments, reference)

    def expand(self, low: Tensor, high: Tensor) -> Tensor:
        """The latent `(1, c, h, w)` again, in float32 where `low` and `high` are."""
        return low + self.latent.to(low.device).float() * ((high - low) / 255)

    def to_bytes(self) -> bytes:
        """As safetensors."""
        m = self.moments
        tensors = {"tokens": self.tokens, "latent": self.latent, "first": m.first, "scale": m.scale, "second": m.second}
        if self.reference is not None:
            tensors["reference"] = self.reference
        return save({**tensors, "steps": torch.tensor([m.steps], dtype=torch.int64)})

    @classmethod
    def from_bytes(cls, data: bytes) -> FrameState:
        """Inverse of `to_bytes`.

        Raises:
            FrameCorrupt: the bytes are not a state.
        """
        try:
            t = load(data)
            tokens, latent = t["tokens"], t["latent"]
            moments = Moments(t["first"], t["scale"], t["second"], int(t["steps"].item()))
            return cls(tokens, latent, moments, t.get("reference"))
        except (SafetensorError, KeyError, ValueError, RuntimeError) as error:
            raise FrameCorrupt(f"the frame's state can't be read: {error}") from error
