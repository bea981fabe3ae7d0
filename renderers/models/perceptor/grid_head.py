"""A picture tower of open_clip's that knows where things are: a head of ours over timm's trunk.

open_clip's own head averages what the trunk found over the picture, after which left and right are one. This one has a
linear layer for each cell of the trunk's last grid; where all of them are alike it is open_clip's. `grid_head` in
`open_clip_config.json`, a word of ours beside `model_cfg` that open_clip does not look at, says how many cells there
are each way.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from renderers.config_file import read_json_config
from renderers.errors import ModelFilesBroken

__all__ = ["GridHead", "cells_of", "give_grid_head"]

KEY = "grid_head"
MOST_CELLS = 16


class GridHead(nn.Module):
    """From features `(n, channels, h, w)` to `(n, dimensions)`, by a linear layer over `cells` x `cells` of them."""

    def __init__(self, channels: int, cells: int, dimensions: int) -> None:
        super().__init__()
        self.cells = cells
        self.proj = nn.Linear(channels * cells * cells, dimensions)

    def forward(self, features: Tensor) -> Tensor:
        if features.shape[-1] != self.cells or features.shape[-2] != self.cells:
            features = F.adaptive_avg_pool2d(features, self.cells)
        out: Tensor = self.proj(features.flatten(1))
        return out

    def begin_like(self, weight: Tensor, bias: Tensor) -> None:
        """Compute what an average over the grid and a linear layer of `weight` `(dimensions, channels)` do."""
        spread = weight[:, :, None].expand(-1, -1, self.cells**2) / self.cells**2
        self.proj.weight.data.copy_(spread.flatten(1))
        self.proj.bias.data.copy_(bias)


def give_grid_head(clip: Any, cells: int, *, held: Sequence[int] | None = None) -> None:
    """Put a `GridHead` in the place of the head of `clip`, a CLIP of open_clip's with a trunk of timm's. `held` is the
    shape of the weights that it is to have: it is looked at before a config of a few bytes has a large one built.

    Raises:
        ModelFilesBroken: `clip` has no such trunk, or the head would be of another shape than its weights.
    """
    trunk = getattr(clip.visual, "trunk", None)
    if trunk is None or not isinstance(clip.visual.head, nn.Sequential) or not hasattr(clip.visual.head, "proj"):
        raise ModelFilesBroken(f"{KEY} is for a picture tower of timm's with a linear head, and this one is none")
    proj: Any = clip.visual.head.proj
    dimensions, channels = proj.weight.shape
    wanted = [dimensions, channels * cells**2]
    if held is not None and list(held) != wanted:
        raise ModelFilesBroken(f"a head of {cells} x {cells} cells has weights of {wanted}, and the file {list(held)}")
    trunk.reset_classifier(0, global_pool="")
    clip.visual.head = GridHead(channels, cells, dimensions)


def cells_of(config: Path) -> int | None:
    """How many cells each way the head of the perceptor with the file `config` has; None where it is open_clip's own.

    Raises:
        ModelFilesBroken: the file can't be read, or has some other value.
    """
    cells = read_json_config(config).get(KEY)
    if cells is None:
        return None
    if type(cells) is not int or not 1 <= cells <= MOST_CELLS:
        raise ModelFilesBroken(f"'{config}': {KEY} is a whole number from 1 to {MOST_CELLS}")
    return cells
