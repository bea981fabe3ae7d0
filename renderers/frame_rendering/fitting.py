"""Fitting a latent to a picture, so that the decoder draws that picture and not what the encoder makes of it.

A VQGAN's encoding of a picture, snapped to the codebook and decoded, is not that picture; of a picture that the camera
has moved it is so much less that most of a video's flicker comes from it (infra/docs/calm.md). A few steps down the
gradient of the decoder alone win some of it back.
"""

from __future__ import annotations

import torch
from torch import Tensor

from renderers.models import VQGAN
from renderers.step.optimiser import LatentAdam

__all__ = ["fitted"]

# Adam's own defaults (Kingma & Ba 2015, algorithm 1)
BETA1, BETA2 = 0.9, 0.999


def fitted(vqgan: VQGAN, latent: Tensor, picture: Tensor, weight: Tensor, *, steps: int, rate: float) -> Tensor:
    """Return `latent` `(1, c, h, w)` after `steps` steps of Adam towards decoding to `picture` `(1, 3, H, W)`, where
    `weight` `(1, 1, H, W)` says how much each place of it counts; within the bounds of the codebook."""
    low, high = (bound.view(1, -1, 1, 1) for bound in torch.aminmax(vqgan.codebook, dim=0))
    with torch.enable_grad():
        latent = latent.detach().clone().requires_grad_(True)
        adam = LatentAdam(latent, beta1=BETA1, beta2=BETA2, even=True)
        for _ in range(steps):
            error = (vqgan.decode(vqgan.quantise(latent)) - picture).square() * weight
            (gradient,) = torch.autograd.grad(error.sum() / weight.sum().clamp(min=1e-9), latent)
            adam.step(gradient, rate)
            with torch.no_grad():
                latent.clamp_(low, high)
    return latent.detach()
