"""Adam on a latent, with one second moment for each element or one for all of them."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["LatentAdam"]


class LatentAdam:
    """Adam (Kingma & Ba 2015, algorithm 1) on one `latent` `(1, c, h, w)`, which it changes in place.

    With `even` the second moment is averaged over the latent, as NovoGrad does over a layer (Ginsburg et al. 2019,
    "Stochastic gradient methods with layer-wise adaptive moments", algorithm 1). Element by element, Adam moves the
    places that nothing pulls at as far as those that matter, and clutters the background; an even one leaves them be.

    Where a latent is not `free` `(1, 1, h, w)` it has no gradient, and its second moment is the mean of the others':
    the means that are taken over a latent are of what is free.
    """

    def __init__(self, latent: Tensor, *, beta1: float, beta2: float, even: bool, free: Tensor | None = None) -> None:
        self.latent, self.beta1, self.beta2, self.even, self._free = latent, beta1, beta2, even, free
        self.first, self.second = torch.zeros_like(latent), torch.zeros_like(latent)
        self.steps = 0

    def resume(self, first: Tensor, second: Tensor, steps: int) -> None:
        """Go on with moments `(1, c, h, w)` that `steps` steps have made."""
        self.first, self.second, self.steps = first.clone(), second.clone(), steps

    @torch.no_grad()
    def step(self, gradient: Tensor, lr: float) -> None:
        """One step down `gradient`."""
        self.steps += 1
        squared = gradient.square()
        if self._free is not None:
            gradient = gradient * self._free
            share = self._free.float().mean().clamp(min=1e-9)
            squared = torch.where(self._free, squared, gradient.square().mean(dim=(2, 3), keepdim=True) / share)
        if self.even:
            squared = squared.mean(dim=(1, 2, 3), keepdim=True).expand_as(squared)
        self.first.lerp_(gradient, 1 - self.beta1)
        self.second.lerp_(squared, 1 - self.beta2)
        size = (self.second / (1 - self.beta2**self.steps)).sqrt() + 1e-8
        self.latent.addcdiv_(self.first, size, value=-lr / (1 - self.beta1**self.steps))
