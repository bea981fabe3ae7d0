"""Batch norms of a frozen network, folded into the convolutions before them: the same function, two passes less."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn as nn
from timm.layers import BatchNormAct2d
from timm.models import EfficientNet
from timm.models._efficientnet_blocks import DepthwiseSeparableConv, InvertedResidual

__all__ = ["fold_batch_norms"]

# Which norm follows which convolution: the order in which modules are registered does not say it.
FOLLOWS: dict[type, dict[str, str]] = {
    EfficientNet: {"conv_stem": "bn1", "conv_head": "bn2"},
    DepthwiseSeparableConv: {"conv_dw": "bn1", "conv_pw": "bn2"},
    InvertedResidual: {"conv_pw": "bn1", "conv_dw": "bn2", "conv_pwl": "bn3"},
}


@torch.no_grad()
def fold_batch_norms(network: nn.Module) -> int:
    """Fold, in place, what can be folded in `network`, which must be frozen and in eval mode; returns how many were.

    The network's state dict is no longer that of its files. Networks of other kinds than those known here stay as
    they are (a ViT has no batch norms).
    """
    folded = 0
    for module in list(network.modules()):
        for conv_name, norm_name in FOLLOWS.get(type(module), {}).items():
            conv, norm = getattr(module, conv_name, None), getattr(module, norm_name, None)
            if isinstance(conv, nn.Conv2d) and isinstance(norm, BatchNormAct2d) and _frozen(conv, norm):
                _fold(conv, norm)
                setattr(module, norm_name, norm.act)
                folded += 1
    return folded


def _frozen(conv: nn.Conv2d, norm: Any) -> bool:
    still = not any(p.requires_grad for p in (*conv.parameters(), *norm.parameters()))
    return still and not norm.training and norm.running_var is not None and norm.weight is not None


def _fold(conv: nn.Conv2d, norm: Any) -> None:
    """In float64, so that a folded network is as near to the exact one as an unfolded one."""
    scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    before = conv.bias.double() if conv.bias is not None else torch.zeros_like(scale)
    bias = norm.bias.double() + (before - norm.running_mean.double()) * scale
    conv.weight.copy_((conv.weight.double() * scale.view(-1, 1, 1, 1)).to(conv.weight.dtype))
    conv.bias = nn.Parameter(bias.to(conv.weight.dtype), requires_grad=False)
