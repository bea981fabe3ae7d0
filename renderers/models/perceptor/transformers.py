"""The two transformers of a plain CLIP (Radford et al. 2021, section 2.4), under open_clip's keys, the same numbers to
the last bit: what reads texts, and a vision transformer read out at its class token (Dosovitskiy et al. 2021).

open_clip's own are not imported: the package brings timm, torchvision and what both have of PyTorch's compiler, five
seconds that every worker's process would wait for (infra/docs/figures.md).
"""

from __future__ import annotations

from collections import OrderedDict

import torch
import torch.nn as nn
from torch import Tensor

from renderers.models.perceptor.towers import plain_vision_transformer

__all__ = ["Block", "QuickGELU", "TextTransformer", "VisionTransformer"]


class QuickGELU(nn.Module):
    """`x * sigmoid(1.702 x)` (Hendrycks & Gimpel 2016, section 2)."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(1.702 * x)


class Block(nn.Module):
    """Attention, then two layers, each beside what came in (Vaswani et al. 2017, with the norms first)."""

    def __init__(self, width: int, heads: int, *, quick: bool) -> None:
        super().__init__()
        self.ln_1 = nn.LayerNorm(width)
        self.attn = nn.MultiheadAttention(width, heads, batch_first=True)
        self.ls_1, self.ls_2 = nn.Identity(), nn.Identity()  # where others scale
        self.ln_2 = nn.LayerNorm(width)
        layers = [("c_fc", nn.Linear(width, 4 * width)), ("gelu", QuickGELU() if quick else nn.GELU()),
                  ("c_proj", nn.Linear(4 * width, width))]  # fmt: skip
        self.mlp = nn.Sequential(OrderedDict(layers))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        seen = self.ln_1(x)
        x = x + self.attn(seen, seen, seen, need_weights=False, attn_mask=mask.to(x.dtype))[0]
        out: Tensor = x + self.mlp(self.ln_2(x))
        return out


class _Blocks(nn.Module):
    def __init__(self, width: int, layers: int, heads: int, *, quick: bool) -> None:
        super().__init__()
        self.resblocks = nn.ModuleList(Block(width, heads, quick=quick) for _ in range(layers))


class TextTransformer(nn.Module):
    """Tokens `(n, length)` to features `(n, dimensions)`, read out at the highest token, which is the end."""

    def __init__(
        self, dimensions: int, *, context_length: int, vocab_size: int, width: int, heads: int, layers: int, quick: bool
    ) -> None:
        super().__init__()
        self.context_length = context_length
        self.token_embedding = nn.Embedding(vocab_size, width)
        self.positional_embedding = nn.Parameter(torch.empty(context_length, width))
        self.transformer = _Blocks(width, layers, heads, quick=quick)
        self.ln_final = nn.LayerNorm(width)
        self.text_projection = nn.Parameter(torch.empty(width, dimensions))

    def encode_text(self, tokens: Tensor) -> Tensor:
        """Features `(n, dimensions)` of tokens `(n, context_length)`."""
        x = self.token_embedding(tokens) + self.positional_embedding
        length = tokens.shape[1]
        # no token looks at those after it
        mask = torch.full((length, length), float("-inf"), device=x.device).triu_(1)
        for block in self.transformer.resblocks:
            x = block(x, mask)
        x = self.ln_final(x)
        x = x[torch.arange(x.shape[0], device=x.device), tokens.argmax(dim=-1)]
        features: Tensor = x @ self.text_projection
        return features


class VisionTransformer(nn.Module):
    """Pictures `(n, 3, side, side)`, normalised, to features `(n, dimensions)`."""

    def __init__(
        self, dimensions: int, *, image_size: int, patch_size: int, width: int, head_width: int, layers: int,
        quick: bool,
    ) -> None:  # fmt: skip
        super().__init__()
        self.image_size, self.patch_size = image_size, (patch_size, patch_size)
        places = (image_size // patch_size) ** 2
        self.class_embedding = nn.Parameter(torch.empty(width))
        self.positional_embedding = nn.Parameter(torch.empty(places + 1, width))
        self.conv1 = nn.Conv2d(3, width, patch_size, patch_size, bias=False)
        self.ln_pre = nn.LayerNorm(width)
        self.transformer = _Blocks(width, layers, width // head_width, quick=quick)
        self.ln_post = nn.LayerNorm(width)
        self.proj = nn.Parameter(torch.empty(width, dimensions))

    def forward(self, pictures: Tensor) -> Tensor:
        return plain_vision_transformer(self, pictures)
