"""The codebook's own learning: running means instead of gradients, and new places for codes that nobody uses."""

from __future__ import annotations

import torch
from torch import Tensor

from renderers.training.workers import broadcast, sum_over_workers

__all__ = ["RunningCodebook"]


class RunningCodebook:
    """Moves codes to the running mean of the latents that chose them (van den Oord et al. 2017, appendix A.1), and puts
    those that fall out of use onto latents of the batch (Dhariwal et al. 2020, "Jukebox", section 3.1).

    `codes` `(n, c)` is changed in place.
    """

    def __init__(self, codes: Tensor, *, decay: float = 0.97, dead: float = 0.02) -> None:
        self.codes, self.decay, self.dead = codes, decay, dead
        self.counts = torch.ones(len(codes), device=codes.device)
        self.sums = codes.clone()

    @torch.no_grad()
    def start(self, latents: Tensor, chance: torch.Generator) -> None:
        """Begin with random `latents` `(m, c)` as codes, m >= n."""
        chosen = torch.randperm(len(latents), generator=chance)[: len(self.codes)].to(latents.device)
        self.codes.copy_(broadcast(latents[chosen].contiguous()))
        self.counts.fill_(1)
        self.sums.copy_(self.codes)

    @torch.no_grad()
    def update(self, latents: Tensor, tokens: Tensor, chance: torch.Generator | None = None) -> None:
        """Learn from `latents` `(m, c)` that chose `tokens` `(m,)`; with `chance`, dead codes move to random ones."""
        counts = sum_over_workers(torch.bincount(tokens, minlength=len(self.codes)).float())
        sums = sum_over_workers(torch.zeros_like(self.sums).index_add_(0, tokens, latents))
        self.counts.lerp_(counts, 1 - self.decay)
        self.sums.lerp_(sums, 1 - self.decay)
        used = self.counts > 1e-3  # below, the quotient is noise: a code that is not used stays where it is
        self.codes[used] = self.sums[used] / self.counts[used, None]
        if chance is None:
            return
        dead = (self.counts < self.dead).nonzero().flatten()
        if len(dead):
            places = torch.randint(len(latents), (len(dead),), generator=chance).to(latents.device)
            self.codes[dead] = broadcast(latents[places].contiguous())
            self.counts[dead] = 0.3
            self.sums[dead] = self.codes[dead] * 0.3

    def state_dict(self) -> dict[str, Tensor]:
        """What a checkpoint keeps besides the codes, which are the model's."""
        return {"counts": self.counts, "sums": self.sums}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from a checkpoint."""
        self.counts.copy_(state["counts"])
        self.sums.copy_(state["sums"])
