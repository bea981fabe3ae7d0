"""What a VQGAN's round trip changes in its own pictures: a video flickers by as much before any step
(infra/docs/calm.md)."""

from __future__ import annotations

import torch
from torch import Tensor

from renderers.frame_plan.motion import STILL, Homography
from renderers.frame_rendering.warp import warp_of
from renderers.models import VQGAN, decode_tokens

__all__ = ["encoded_again"]


@torch.no_grad()
def encoded_again(vqgan: VQGAN, pictures: Tensor) -> dict[str, float]:
    """Mean change in levels of 255 of what `vqgan` draws of `pictures` `(n, 3, h, w)`, encoded and drawn once more:
    `still`, and `moved` by a zoom of 1.02 and a turn of 1 degree, over what that covers."""
    change: dict[str, list[float]] = {}
    for some in torch.split(pictures, 32):
        drawn = decode_tokens(vqgan, vqgan.tokenise(vqgan.encode(some)))
        for name, motion in (("still", STILL), ("moved", Homography.of(1.02, 1.0, 0.0, 0.0))):
            warp = warp_of(motion, drawn)
            moved = warp.move(drawn).clamp(0, 1)
            again = decode_tokens(vqgan, vqgan.tokenise(vqgan.encode(moved)))
            weight = warp.coverage(*drawn.shape[-2:])
            difference = ((again - moved).abs().mean(dim=1, keepdim=True) * weight).sum(dim=(1, 2, 3)) / weight.sum()
            change.setdefault(name, []).extend((255 * difference).tolist())
    return {name: sum(values) / len(values) for name, values in change.items()}
