"""Group normalisation with SiLU behind it, as taming's blocks have it before every convolution."""

from __future__ import annotations

import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

__all__ = ["normalise"]


def normalise(x: Tensor, norm: nn.GroupNorm, *, silu: bool = True) -> Tensor:
    """`norm(x)` for `x` `(b, c, h, w)`, and `SiLU` of it unless told otherwise, in the layout of `x`.

    taming writes `x * sigmoid(x)`: two passes over the tensor and one more of them kept for the gradient.
    """
    y = F.group_norm(x, norm.num_groups, norm.weight, norm.bias, norm.eps)
    return F.silu(y) if silu else y
