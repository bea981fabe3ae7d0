"""taming's blocks, computed with fewer passes: the same networks and keys, the same numbers within rounding.

Each class here is taming's own with another `forward`; `our_blocks` has taming's Encoder and Decoder built from them.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import taming.modules.diffusionmodules.model as taming_blocks
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch import Tensor

from renderers.models.kernels.norms import normalise

__all__ = ["AttnBlock", "Decoder", "Encoder", "ResnetBlock", "Upsample", "our_blocks"]


class ResnetBlock(taming_blocks.ResnetBlock):
    """Norm, SiLU, convolution, twice, and a way around. VQGAN's have no time embedding."""

    def forward(self, x: Tensor, temb: None = None) -> Tensor:
        h = self.conv1(normalise(x, self.norm1))
        h = self.conv2(self.dropout(normalise(h, self.norm2)))
        if self.in_channels != self.out_channels:
            x = self.conv_shortcut(x) if self.use_conv_shortcut else self.nin_shortcut(x)
        out: Tensor = x + h
        return out


class AttnBlock(taming_blocks.AttnBlock):
    """Attention of one head over all places, through PyTorch's own kernels: no table of places times places is kept."""

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        places = normalise(x, self.norm, silu=False).permute(0, 2, 3, 1).reshape(b, h * w, c)
        # a 1x1 convolution is a matrix product over the places
        q, k, v = (F.linear(places, conv.weight.flatten(1), conv.bias)[:, None] for conv in (self.q, self.k, self.v))
        seen = F.scaled_dot_product_attention(q, k, v)[:, 0]
        out = F.linear(seen, self.proj_out.weight.flatten(1), self.proj_out.bias)
        return x + out.view(b, h, w, c).permute(0, 3, 1, 2)


class Upsample(taming_blocks.Upsample):
    """Doubling and a 3x3 convolution as ONE transposed convolution: 4 products for each number instead of 9.

    Doubled pixels under the kernel are equal, so their weights may be added first (Aitken et al. 2017, "Checkerboard
    artifact free sub-pixel convolution", the other way round). The sums make up a 4x4 kernel of stride 2.
    """

    _merged: tuple[tuple[object, ...], Tensor] | None = None

    def forward(self, x: Tensor) -> Tensor:
        if not self.with_conv or self.conv.weight.requires_grad:  # in a training the sum would be due at every step
            doubled: Tensor = super().forward(x)
            return doubled
        return F.conv_transpose2d(x, self._kernel(), self.conv.bias, stride=2, padding=1)

    def _kernel(self) -> Tensor:
        """The kernel `(in, out, 4, 4)`, summed in float32, made again when the weight has changed or moved."""
        weight = self.conv.weight
        version = (weight.data_ptr(), weight._version, weight.dtype, weight.device)
        if self._merged is None or self._merged[0] != version:
            flipped = weight.detach().float().flip(2, 3).transpose(0, 1)
            spread = F.conv_transpose2d(flipped.reshape(-1, 1, 3, 3), weight.new_ones(1, 1, 2, 2, dtype=torch.float32))
            kernel = spread.view(*flipped.shape[:2], 4, 4).to(weight.dtype)
            last = weight.is_contiguous(memory_format=torch.channels_last)
            layout = torch.channels_last if last else torch.contiguous_format
            self._merged = version, kernel.contiguous(memory_format=layout)
        return self._merged[1]


class Encoder(taming_blocks.Encoder):
    """taming's, which keeps every layer's output to the end; this one frees them."""

    def forward(self, x: Tensor) -> Tensor:
        h = self.conv_in(x)
        for level, down in enumerate(self.down):
            h = _blocks(h, down)
            if level != self.num_resolutions - 1:
                h = down.downsample(h)
        return _end(self, _middle(h, self.mid))


class Decoder(taming_blocks.Decoder):
    """taming's; its last norm and activation are fused as well."""

    def forward(self, z: Tensor) -> Tensor:
        h = _middle(self.conv_in(z), self.mid)
        for level, up in reversed(list(enumerate(self.up))):
            h = _blocks(h, up)
            if level != 0:
                h = up.upsample(h)
        return _end(self, h)


def _blocks(h: Tensor, level: Any) -> Tensor:
    for index, block in enumerate(level.block):
        h = block(h)
        if len(level.attn) > 0:
            h = level.attn[index](h)
    return h


def _middle(h: Tensor, mid: Any) -> Tensor:
    out: Tensor = mid.block_2(mid.attn_1(mid.block_1(h)))
    return out


def _end(coder: Any, h: Tensor) -> Tensor:
    out: Tensor = coder.conv_out(normalise(h, coder.norm_out))
    return out


_LOCK = threading.Lock()


@contextmanager
def our_blocks(groups: int) -> Iterator[None]:
    """Have taming's Encoder and Decoder take these blocks, and GroupNorms of `groups` groups, while they are built.

    taming's code names its blocks and `Normalize` in its own module and offers no argument for either; a GroupNorm of
    32 groups on 16 channels can't even be constructed, so it can't be repaired afterwards. The lock keeps two builds in
    threads apart.
    """

    def normalize(channels: int) -> nn.GroupNorm:
        return nn.GroupNorm(num_groups=groups, num_channels=channels, eps=1e-6, affine=True)

    ours = {"Normalize": normalize, "ResnetBlock": ResnetBlock, "AttnBlock": AttnBlock, "Upsample": Upsample}
    with _LOCK:
        originals = {name: getattr(taming_blocks, name) for name in ours}
        try:
            for name, block in ours.items():
                setattr(taming_blocks, name, block)
            yield
        finally:
            for name, block in originals.items():
                setattr(taming_blocks, name, block)
