"""Batch norms of a frozen network, folded into the convolutions before them: the same function, two passes less."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn as nn

__all__ = ["fold_batch_norms"]

_TIMM, _OURS = "timm.models", "renderers.models.perceptor.efficientnet"
_WHOLE = {"conv_stem": "bn1", "conv_head": "bn2"}
_SEPARABLE = {"conv_dw": "bn1", "conv_pw": "bn2"}
_INVERTED = {"conv_pw": "bn1", "conv_dw": "bn2", "conv_pwl": "bn3"}

# Which norm follows which convolution: the order in which modules are registered does not say it. Classes by their
# names, since timm takes seconds to import and most perceptors have nothing of it.
FOLLOWS: dict[str, dict[str, str]] = {
    f"{_TIMM}.efficientnet.EfficientNet": _WHOLE,
    f"{_TIMM}._efficientnet_blocks.DepthwiseSeparableConv": _SEPARABLE,
    f"{_TIMM}._efficientnet_blocks.InvertedResidual": _INVERTED,
    f"{_OURS}.EfficientNet": _WHOLE,
    f"{_OURS}.SeparableConvolution": _SEPARABLE,
    f"{_OURS}.InvertedResidual": _INVERTED,
}


@torch.no_grad()
def fold_batch_norms(network: nn.Module) -> int:
    """Fold, in place, what can be folded in `network`, which must be frozen and in eval mode; returns how many were.

    The network's state dict is no longer that of its files. Networks of other kinds than those known here stay as
    they are (a ViT has no batch norms).
    """
    folded = 0
    for module in list(network.modules()):
        for conv_name, norm_name in FOLLOWS.get(_name(type(module)), {}).items():
            conv, norm = getattr(module, conv_name, None), getattr(module, norm_name, None)
            if (
                isinstance(conv, nn.Conv2d)
                and isinstance(norm, nn.BatchNorm2d)
                and hasattr(norm, "act")
                and _frozen(conv, norm)
            ):
                _fold(conv, norm)
                setattr(module, norm_name, norm.act)
                folded += 1
    return folded


def _name(kind: type) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


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
