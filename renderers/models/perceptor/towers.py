"""open_clip's picture towers, computed with fewer passes: the same numbers within rounding.

Only what is known by its type is computed here; every other tower runs its own `forward`. Types are known by their
names: open_clip is imported by those who need it, and takes five seconds.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

__all__ = ["is_open_clips", "is_plain_vit", "picture_features", "plain_vision_transformer", "quick_gelu"]

_TOWERS = "open_clip.transformer"


def is_open_clips(thing: object, module: str, *names: str) -> bool:
    """Whether the very class of `thing` is one of those `names` of a `module` of open_clip's."""
    return type(thing).__module__ == module and type(thing).__qualname__ in names


def picture_features(visual: Any, pictures: Tensor) -> Tensor:
    """The features `(n, d)` that the tower `visual` gives `pictures` `(n, 3, side, side)`, not normalised."""
    features: Tensor = plain_vision_transformer(visual, pictures) if is_plain_vit(visual) else visual(pictures)
    return features


def is_plain_vit(visual: Any) -> bool:
    """Whether `visual` is a plain vision transformer (Dosovitskiy et al. 2021) read out at its class token, as
    OpenAI's ViTs are."""
    return (
        is_open_clips(visual, _TOWERS, "VisionTransformer")
        and visual.attn_pool is None
        and visual.pool_type == "tok"
        and not visual.output_tokens
        and visual.proj is not None
        and isinstance(visual.patch_dropout, nn.Identity)
        and all(_is_plain_block(block) for block in visual.transformer.resblocks)
    )


def _is_plain_block(block: Any) -> bool:
    if not is_open_clips(block, _TOWERS, "ResidualAttentionBlock") or hasattr(block, "ln_1_kv"):
        return False
    attention = block.attn
    return (
        type(attention) is nn.MultiheadAttention
        and attention.in_proj_weight is not None
        and attention.in_proj_bias is not None
        and attention.bias_k is None
        and not attention.add_zero_attn
        and attention.dropout == 0
    )


def plain_vision_transformer(visual: Any, pictures: Tensor) -> Tensor:
    """The features of `picture_features` from a plain vision transformer's parts, as open_clip names them."""
    x: Tensor = visual.ln_pre(_embed(visual, pictures))
    *blocks, last = visual.transformer.resblocks
    for block in blocks:
        x = _block(block, x, x.shape[1])
    # of the last block only the class token is used: for the others 10 of the 12 d^2 products per token are left out
    x = _block(last, x, 1)
    features: Tensor = visual.ln_post(x[:, 0]) @ visual.proj
    return features


def _embed(visual: Any, pictures: Tensor) -> Tensor:
    """Class token and patches with their places, `(n, 1 + patches, d)`: patches don't overlap, so their convolution is
    one matrix product."""
    n, _, height, width = pictures.shape
    (ph, pw), weight = visual.patch_size, visual.conv1.weight
    cells = pictures.reshape(n, 3, height // ph, ph, width // pw, pw).permute(0, 2, 4, 1, 3, 5)
    patches = F.linear(cells.reshape(n, -1, 3 * ph * pw), weight.flatten(1))
    first = visual.class_embedding.to(patches.dtype).expand(n, 1, -1)
    places: Tensor = visual.positional_embedding.to(patches.dtype)
    return torch.cat([first, patches], dim=1) + places


def _block(block: Any, x: Tensor, read: int) -> Tensor:
    """What `block` makes of the first `read` tokens of `x` `(n, tokens, d)`, which look at all of them."""
    n, tokens, d = x.shape
    attention, heads = block.attn, block.attn.num_heads
    weight, bias = attention.in_proj_weight, attention.in_proj_bias
    seen = block.ln_1(x)
    if read == tokens:
        q, k, v = F.linear(seen, weight, bias).chunk(3, dim=2)
    else:
        q = F.linear(seen[:, :read], weight[:d], bias[:d])
        k, v = F.linear(seen, weight[d:], bias[d:]).chunk(2, dim=2)
    q, k, v = (t.unflatten(2, (heads, d // heads)).transpose(1, 2) for t in (q, k, v))
    mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(n, read, d)
    x = x[:, :read] + block.ls_1(F.linear(mixed, attention.out_proj.weight, attention.out_proj.bias))
    mlp = block.mlp
    hidden: Tensor = mlp.c_fc(block.ln_2(x))
    hidden = quick_gelu(hidden) if type(mlp.gelu).__name__ == "QuickGELU" else mlp.gelu(hidden)
    out: Tensor = x + block.ls_2(mlp.c_proj(hidden))
    return out


def quick_gelu(x: Tensor) -> Tensor:
    """`x * sigmoid(1.702 x)` (Hendrycks & Gimpel 2016, section 2), of which one tensor is kept for the gradient."""
    activated: Tensor = _QuickGELU.apply(x)
    return activated


class _QuickGELU(torch.autograd.Function):
    """With `y = 1.702 x` it is `SiLU(y) / 1.702`, and its slope at x is SiLU's at y."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        scaled = x * 1.702
        ctx.save_for_backward(scaled)
        return F.silu(scaled).div_(1.702)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (scaled,) = ctx.saved_tensors
        slope: Tensor = torch.ops.aten.silu_backward(gradient, scaled)
        return slope
