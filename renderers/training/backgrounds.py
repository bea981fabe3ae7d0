"""Plain grounds of scenes: one colour, a gradient, clouds, a horizon."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from renderers.training.captions import COLOURS
from renderers.training.painting import COLOUR_NAMES, COLOUR_VALUES

__all__ = ["backgrounds"]

# One is named in the caption when it has one colour.
BACKGROUNDS = {"white": 0.30, "plain": 0.34, "gradient": 0.13, "clouds": 0.11, "landscape": 0.12}


def backgrounds(n: int, side: int, rng: np.random.Generator) -> tuple[Tensor, list[str | None]]:
    """Backgrounds `(n, 3, side, side)` and the colour word of each, None where no word fits."""
    kinds = list(BACKGROUNDS)
    chosen = rng.choice(len(kinds), size=n, p=list(BACKGROUNDS.values()))
    ramp = torch.linspace(0, 1, side)
    pictures, names = torch.empty(n, 3, side, side), []
    for i, kind in enumerate(kinds[k] for k in chosen):
        name: str | None = None
        if kind == "white":
            name = "white"
            pictures[i] = 1 - 0.04 * rng.random()
        elif kind == "plain":
            colour = int(rng.integers(len(COLOURS)))
            name = COLOUR_NAMES[colour]
            value = COLOUR_VALUES[colour] + torch.from_numpy(rng.normal(0, 0.04, 3)).float()
            pictures[i] = value.view(3, 1, 1) + float(rng.normal(0, 0.04)) * (ramp.view(-1, 1) - 0.5)
        elif kind == "gradient":
            a, b = torch.from_numpy(rng.random((2, 3))).float().view(2, 3, 1, 1)
            along = ramp.view(1, -1, 1) if rng.random() < 0.6 else ramp.view(1, 1, -1)
            pictures[i] = a * (1 - along) + b * along
        elif kind == "clouds":
            cells = int(rng.choice([2, 4, 8]))
            low = rng.random((1, 3, 1, 1)) + rng.normal(0, 0.18, (1, 3, cells, cells))
            pictures[i] = F.interpolate(torch.from_numpy(low).float(), size=(side, side), mode="bilinear")[0]
        else:
            horizon = int(side * rng.uniform(0.5, 0.8))
            sky, grass = torch.from_numpy(np.array([[0.55, 0.8, 0.97], [0.4, 0.72, 0.3]]) + rng.normal(0, 0.05, (2, 3)))
            pictures[i] = sky.float().view(3, 1, 1)
            pictures[i, :, horizon:] = grass.float().view(3, 1, 1)
        names.append(name)
    return pictures.clamp_(0, 1), names
