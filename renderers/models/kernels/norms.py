"""Group normalisation with SiLU behind it, as taming's blocks have it before every convolution."""

from __future__ import annotations

import logging
from functools import cache

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from manifests.errors import first_line

__all__ = ["normalise"]

log = logging.getLogger(__name__)


def normalise(x: Tensor, norm: nn.GroupNorm, *, silu: bool = True) -> Tensor:
    """`norm(x)` for `x` `(b, c, h, w)`, and `SiLU` of it if `silu`, in the layout of `x`.

    taming writes `x * sigmoid(x)`: two passes over the tensor and one more of them kept for the gradient. On a GPU the
    fused kernels of `triton_norms` take over where they can.
    """
    if x.is_cuda and fusable(x, norm) and kernels_work(x.device):
        from renderers.models.kernels.triton_norms import fused_norm  # Triton comes with PyTorch's CUDA builds only

        return fused_norm(x, norm.weight, norm.bias, norm.num_groups, norm.eps, silu)
    y = F.group_norm(x, norm.num_groups, norm.weight, norm.bias, norm.eps)
    return F.silu(y) if silu else y


def fusable(x: Tensor, norm: nn.GroupNorm) -> bool:
    """Whether the kernels know the case: channels_last, powers of two, and nobody asks for the weights' gradient."""
    frozen = norm.weight is not None and not norm.weight.requires_grad and not norm.bias.requires_grad
    whole = all(n & (n - 1) == 0 for n in (x.shape[1], norm.num_groups))
    return frozen and whole and x.shape[1] <= 4096 and x.is_contiguous(memory_format=torch.channels_last)


@cache
def kernels_work(device: torch.device) -> bool:
    """Try the kernels once on `device`: Triton compiles them there, and needs a C compiler for it."""
    try:
        from renderers.models.kernels.triton_norms import fused_norm

        x = torch.randn(1, 64, 9, 7, device=device).contiguous(memory_format=torch.channels_last).requires_grad_(True)
        weight, bias = torch.rand(2, 64, device=device)
        results = []
        with torch.enable_grad():
            for y in (fused_norm(x, weight, bias, 32, 1e-6, True), F.silu(F.group_norm(x, 32, weight, bias, 1e-6))):
                results += [y.detach(), *torch.autograd.grad(y.square().sum(), x)]
        torch.testing.assert_close(results[:2], results[2:], atol=1e-3, rtol=1e-3)
    except Exception as error:  # whatever a compiler on somebody's machine can raise; the plain way gives the same
        reason = f"{type(error).__name__}: {first_line(error)}"
        log.warning("no fused norms on %s, PyTorch's own are slower: %s", device, reason)
        return False
    return True
