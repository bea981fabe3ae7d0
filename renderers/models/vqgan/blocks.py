"""taming's blocks, computed with fewer passes: the same networks and keys, the same numbers within rounding.

Each class here is taming's own with another `forward`; `our_blocks` has taming's Encoder and Decoder built from them.
Where pictures `wrap`, convolutions find their other side beyond an edge instead of zeros. Norms and attention, which
have no edges, need nothing.
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

from renderers.form import FLAT, Wrap, joined
from renderers.models.kernels.norms import normalise

__all__ = ["AttnBlock", "Decoder", "Downsample", "Encoder", "ResnetBlock", "Upsample", "our_blocks"]


class ResnetBlock(taming_blocks.ResnetBlock):
    """Norm, SiLU, convolution, twice, and a way around. VQGAN's have no time embedding."""

    def forward(self, x: Tensor, temb: None = None, wrap: Wrap = FLAT) -> Tensor:
        h = _convolved(self.conv1, normalise(x, self.norm1), wrap)
        h = _convolved(self.conv2, self.dropout(normalise(h, self.norm2)), wrap)
        if self.in_channels != self.out_channels:
            x = _convolved(self.conv_shortcut, x, wrap) if self.use_conv_shortcut else self.nin_shortcut(x)
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

    def forward(self, x: Tensor, wrap: Wrap = FLAT) -> Tensor:
        if not self.with_conv:
            doubled: Tensor = super().forward(x)
            return doubled
        if self.conv.weight.requires_grad:  # in a training the sum would be due at every step
            return _convolved(self.conv, F.interpolate(x, scale_factor=2.0, mode="nearest"), wrap)
        # a place more on each side becomes two pixels, which are cut off with the one that always is
        padding = 3 if wrap.y else 1, 3 if wrap.x else 1
        return F.conv_transpose2d(joined(x, wrap, 1), self._kernel(), self.conv.bias, stride=2, padding=padding)

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


class Downsample(taming_blocks.Downsample):
    """A convolution of stride 2, with a place more to the right and below."""

    def forward(self, x: Tensor, wrap: Wrap = FLAT) -> Tensor:
        if wrap == FLAT or not self.with_conv:
            halved: Tensor = super().forward(x)
            return halved
        further = F.pad(joined(x, wrap), (0, int(not wrap.x), 0, int(not wrap.y)))
        convolved: Tensor = self.conv(further)
        return convolved


class Encoder(taming_blocks.Encoder):
    """taming's, which keeps every layer's output to the end; this one frees them."""

    def forward(self, x: Tensor, wrap: Wrap = FLAT) -> Tensor:
        h = _convolved(self.conv_in, x, wrap)
        for level, down in enumerate(self.down):
            h = _blocks(h, down, wrap)
            if level != self.num_resolutions - 1:
                h = down.downsample(h, wrap)
        return _end(self, _middle(h, self.mid, wrap), wrap)


class Decoder(taming_blocks.Decoder):
    """taming's; its last norm and activation are fused as well."""

    def forward(self, z: Tensor, wrap: Wrap = FLAT) -> Tensor:
        h = _middle(_convolved(self.conv_in, z, wrap), self.mid, wrap)
        for level, up in reversed(list(enumerate(self.up))):
            h = _blocks(h, up, wrap)
            if level != 0:
                h = up.upsample(h, wrap)
        return _end(self, h, wrap)


def _blocks(h: Tensor, level: Any, wrap: Wrap) -> Tensor:
    for index, block in enumerate(level.block):
        h = block(h, wrap=wrap)
        if len(level.attn) > 0:
            h = level.attn[index](h)
    return h


def _middle(h: Tensor, mid: Any, wrap: Wrap) -> Tensor:
    out: Tensor = mid.block_2(mid.attn_1(mid.block_1(h, wrap=wrap)), wrap=wrap)
    return out


def _end(coder: Any, h: Tensor, wrap: Wrap) -> Tensor:
    return _convolved(coder.conv_out, normalise(h, coder.norm_out), wrap)


def _convolved(conv: nn.Conv2d, x: Tensor, wrap: Wrap) -> Tensor:
    """`conv`, of 3x3 and as much padding as keeps the size, of `x` `(b, c, h, w)`."""
    if wrap == FLAT:
        plain: Tensor = conv(x)
        return plain
    return F.conv2d(joined(x, wrap, 1), conv.weight, conv.bias, padding=(int(not wrap.y), int(not wrap.x)))


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

    ours = {"Normalize": normalize, "ResnetBlock": ResnetBlock, "AttnBlock": AttnBlock, "Upsample": Upsample,
            "Downsample": Downsample}  # fmt: skip
    with _LOCK:
        originals = {name: getattr(taming_blocks, name) for name in ours}
        try:
            for name, block in ours.items():
                setattr(taming_blocks, name, block)
            yield
        finally:
            for name, block in originals.items():
                setattr(taming_blocks, name, block)
