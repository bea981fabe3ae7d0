"""Small nets that enlarge, with random weights, in the shapes that trainers publish."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

__all__ = ["compact", "write_upscaler"]


def compact(scale: int = 2, features: int = 8, convolutions: int = 2, seed: int = 0) -> dict[str, Tensor]:
    """The state dict of a Compact net (Real-ESRGAN's SRVGGNetCompact), nearly the picture enlarged as it is."""
    generator = torch.Generator().manual_seed(seed)

    def weights(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator) * 0.1

    state: dict[str, Tensor] = {}
    for number in range(convolutions + 1):
        inward = 3 if number == 0 else features
        state[f"body.{2 * number}.weight"] = weights(features, inward, 3, 3)
        state[f"body.{2 * number}.bias"] = weights(features)
        state[f"body.{2 * number + 1}.weight"] = torch.full((features,), 0.2)
    last = 2 * (convolutions + 1)
    state[f"body.{last}.weight"] = weights(3 * scale**2, features, 3, 3) * 0.3
    state[f"body.{last}.bias"] = weights(3 * scale**2) * 0.1
    return state


def write_upscaler(path: Path, scale: int = 2, seed: int = 0) -> Path:
    """Write one as safetensors."""
    save_file(compact(scale, seed=seed), path)
    return path
