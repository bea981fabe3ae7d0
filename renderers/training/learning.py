"""What a step of every training ends with: weights that learn, and their running average."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from renderers.training.workers import average_gradients

__all__ = ["average_weights", "learn"]


def learn(loss: Tensor, weights: Iterable[nn.Parameter], adam: torch.optim.Optimizer, *, clip: float | None) -> None:
    """Have `weights` take one step down the gradient of `loss`, the mean over all workers, of a norm of `clip` at
    most."""
    weights = list(weights)
    adam.zero_grad(set_to_none=True)
    loss.backward()
    average_gradients(weights)
    if clip is not None:
        nn.utils.clip_grad_norm_(weights, clip)
    adam.step()


@torch.no_grad()
def average_weights(averaged: Mapping[str, Tensor], present: Mapping[str, Tensor], share: float, step: int) -> None:
    """Move the running average of weights towards the `present` ones, in place; `share` of it stays."""
    decay = min(share, (step + 1) / (step + 10))  # the first weights soon count for nothing
    for key, value in present.items():
        if value.is_floating_point():
            averaged[key].lerp_(value, 1 - decay)
