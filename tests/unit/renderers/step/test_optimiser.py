"""The optimiser by itself: PyTorch's Adam, resumed, and the even one."""

from __future__ import annotations

import pytest
import torch

from renderers.step.optimiser import LatentAdam


@pytest.mark.parametrize("resumed", [False, True])
def test_the_latents_adam_is_adam(resumed: bool) -> None:
    chance = torch.Generator().manual_seed(0)
    start, gradients = torch.randn(1, 3, 4, 5, generator=chance), torch.randn(7, 1, 3, 4, 5, generator=chance)
    theirs = start.clone().requires_grad_(True)
    adam = torch.optim.Adam([theirs], lr=0.1, betas=(0.8, 0.95))
    ours = start.clone()
    own = LatentAdam(ours, beta1=0.8, beta2=0.95, even=False)
    for number, gradient in enumerate(gradients):
        if resumed and number == 3:
            before, own = own, LatentAdam(ours, beta1=0.8, beta2=0.95, even=False)
            own.resume(before.first, before.second, before.steps)
        theirs.grad = gradient.clone()
        adam.step()
        own.step(gradient, 0.1)
    assert torch.allclose(ours, theirs, atol=1e-6)


def test_an_even_optimiser_hardly_moves_what_nothing_pulls_at() -> None:
    gradient = torch.zeros(1, 2, 4, 4)
    gradient[..., 0] = 1.0
    gradient[..., 3] = 1e-4
    moved = {}
    for even in (False, True):
        latent = torch.zeros(1, 2, 4, 4)
        LatentAdam(latent, beta1=0.9, beta2=0.99, even=even).step(gradient, 0.1)
        moved[even] = latent.abs().amax(dim=(0, 1, 2))
    assert moved[False].tolist() == pytest.approx([0.1, 0, 0, 0.1], rel=1e-3)
    assert moved[True].tolist() == pytest.approx([0.2, 0, 0, 2e-5], rel=1e-3)  # rms of the whole is the rate
