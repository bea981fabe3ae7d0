"""Dreams: pictures that the perceptor is being fooled with, made as the renderer makes them, while it learns.

A perceptor that guides a renderer is asked about pictures that no data set holds: those that climb its own score. So a
few latents are optimised towards captions by the perceptor in training, a step of theirs per step of its own, and it is
told that they are not what the caption says. That is contrastive divergence with a short chain (Nijkamp et al. 2019,
"Learning non-convergent non-persistent short-run MCMC", section 3), the renderer being the sampler: the score's hills
that show no real thing are worn down, and what is left to climb looks like pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from renderers.losses import ClampWithGradient
from renderers.models.vqgan import VQGAN
from renderers.randomness import generator

__all__ = ["Dreams"]


class Dreams:
    """`n` latents on their way, each towards the caption of a real picture that lies beside it.

    `companions` `(n, 3, side, side)` are those pictures (through the VQGAN, so that its hand gives nothing away);
    `captions`, `false_captions` and `concepts` are theirs.
    """

    def __init__(self, vqgan: VQGAN, n: int, side: int, *, seed: int, life: int = 60, lr: float = 0.36) -> None:
        self.vqgan, self.seed, self.life, self.lr = vqgan, seed, life, lr
        codebook = vqgan.codebook
        self._low, self._high = (bound.view(1, -1, 1, 1) for bound in torch.aminmax(codebook, dim=0))
        self._std = float(codebook.std())
        cells = side // vqgan.config.downsampling
        device = codebook.device
        self.latents = torch.zeros(n, codebook.shape[1], cells, cells, device=device)
        self.first, self.second = torch.zeros_like(self.latents), torch.zeros_like(self.latents)
        # staggered, so that there are young and old ones at any time.
        self.ages = torch.arange(n) * life // n
        self.companions = torch.zeros(n, 3, side, side, device=device)
        self.captions, self.false_captions = [""] * n, [""] * n
        self.concepts = torch.full((n,), -1)

    def due(self) -> list[int]:
        """Those that have lived, or have not begun: they need a new caption."""
        return [i for i, caption in enumerate(self.captions) if not caption or self.ages[i] >= self.life]

    @torch.no_grad()
    def begin(
        self,
        which: Sequence[int],
        pictures: Tensor,
        captions: Sequence[str],
        false: Sequence[str],
        concepts: Tensor,
        step: int,
    ) -> None:
        """Start dreams `which` anew, from blank sheets towards `captions`, beside real `pictures`."""
        pictures = pictures.to(self.latents.device)
        stain = torch.randn(len(which), 3, 8, 8, generator=generator(self.seed, 0, step, "dreams"))
        blank = (0.9 + 0.1 * F.interpolate(stain, size=pictures.shape[-2:], mode="bilinear")).clamp(0, 1)
        latents = self.vqgan.encode(torch.cat([blank.to(pictures.device), pictures]))
        real = self.vqgan.decode(self.vqgan.quantise(latents[len(which) :])).clamp(0, 1)
        for k, i in enumerate(which):
            if self.captions[i]:
                self.ages[i] = 0
            self.captions[i], self.false_captions[i], self.concepts[i] = captions[k], false[k], concepts[k]
            self.latents[i], self.companions[i] = latents[k], real[k]
            self.first[i], self.second[i] = 0, 0

    def draw(self, step: int) -> tuple[Tensor, Tensor]:
        """The pictures `(n, 3, side, side)` as they are now, and the latents that a gradient will reach."""
        left = self._left()
        noise = torch.randn(self.latents.shape, generator=generator(self.seed, 0, step, "dreams' noise"))
        latents = self.latents.detach().clone().requires_grad_(True)
        noisy = latents + noise.to(latents.device) * (0.4 * self._std * left)
        return ClampWithGradient.apply(self.vqgan.decode(self.vqgan.quantise(noisy))), latents

    @torch.no_grad()
    def move(self, gradient: Tensor) -> None:
        """One Adam step (Kingma & Ba 2015, algorithm 1) down `gradient`, each dream at its own age."""
        age = self.ages.view(-1, 1, 1, 1).to(gradient.device) + 1
        self.first.lerp_(gradient, 0.1)
        self.second.lerp_(gradient**2, 0.01)
        step = (self.first / (1 - 0.9**age)) / ((self.second / (1 - 0.99**age)).sqrt() + 1e-8)
        rate = self.lr * (0.2 + 0.8 * self._left())
        self.latents = torch.clamp(self.latents - rate * step, self._low, self._high)
        self.ages += 1

    def _left(self) -> Tensor:
        return (1 - self.ages / self.life).clamp(min=0).view(-1, 1, 1, 1).to(self.latents.device)

    def state_dict(self) -> dict[str, Any]:
        """All of it, for a checkpoint."""
        names = ("latents", "first", "second", "ages", "companions", "captions", "false_captions", "concepts")
        return {name: getattr(self, name) for name in names} | {"codebook": self.vqgan.codebook}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint. Dreams of another VQGAN, whose latents mean other things, begin anew."""
        if not torch.equal(state["codebook"], self.vqgan.codebook.cpu()):
            return
        for name, value in state.items():
            if name != "codebook":
                setattr(self, name, value.to(getattr(self, name).device) if isinstance(value, Tensor) else list(value))
