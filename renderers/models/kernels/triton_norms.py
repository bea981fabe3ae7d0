"""GroupNorm and SiLU for channels_last tensors on a GPU, fused, in Triton.

PyTorch's GroupNorm on CUDA reads the other layout: between channels_last convolutions it costs two transpositions each
way. Here one pass makes sums per channel, a small one coefficients of them, and one writes the result; the gradient
takes the same three, from the input alone: neither the norm's output nor the activation is kept. Statistics are float32
whatever the tensor is. Sums are taken in a fixed order, without atomics: the same input gives the same output.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

__all__ = ["fused_norm"]

# Numbers that one program holds at a time; and the programs that share a sum at most: twice the processors of an H100.
TILE = 4096
PROGRAMS = 256


@triton.jit
def _slope(dy, x, scale, shift, SILU: tl.constexpr):
    """The gradient at the norm's output `x * scale + shift`, given that behind the activation."""
    if SILU:
        n = x * scale + shift
        s = tl.sigmoid(n)
        dy = dy * s * (1 + n * (1 - s))
    return dy


@triton.jit
def _sums(
    x_ptr, dy_ptr, saved_ptr, out_ptr, rows, CHANNELS: tl.constexpr, ROWS: tl.constexpr, SUMMED: tl.constexpr,
    BACKWARD: tl.constexpr, SILU: tl.constexpr,
):  # fmt: skip
    """Per channel of `SUMMED` rows: the sums of x and x^2, or backward of d and d * x, `d` the gradient at the norm."""
    batch, chunk, chunks = tl.program_id(0).to(tl.int64), tl.program_id(1), tl.num_programs(1)
    channel = tl.arange(0, CHANNELS)
    one = tl.zeros([CHANNELS], dtype=tl.float32)
    two = tl.zeros([CHANNELS], dtype=tl.float32)
    if BACKWARD:
        saved = saved_ptr + batch * 4 * CHANNELS + channel
        scale, shift = tl.load(saved)[None, :], tl.load(saved + CHANNELS)[None, :]
    for start in range(0, SUMMED, ROWS):
        row = chunk * SUMMED + start + tl.arange(0, ROWS)
        place = (batch * rows + row)[:, None] * CHANNELS + channel[None, :]
        inside = (row < rows)[:, None]
        x = tl.load(x_ptr + place, mask=inside, other=0.0).to(tl.float32)
        if BACKWARD:
            d = tl.load(dy_ptr + place, mask=inside, other=0.0).to(tl.float32)
            d = _slope(d, x, scale, shift, SILU)
            one += tl.sum(d, axis=0)
            two += tl.sum(d * x, axis=0)
        else:
            one += tl.sum(x, axis=0)
            two += tl.sum(x * x, axis=0)
    target = (batch * chunks + chunk) * 2 * CHANNELS + channel
    tl.store(out_ptr + target, one)
    tl.store(out_ptr + target + CHANNELS, two)


@triton.jit
def _apply(
    x_ptr, dy_ptr, saved_ptr, back_ptr, out_ptr, rows, CHANNELS: tl.constexpr, ROWS: tl.constexpr,
    BACKWARD: tl.constexpr, SILU: tl.constexpr,
):  # fmt: skip
    """`act(x * scale + shift)`, or backward `d * scale + x * slope + offset`, `d` the gradient at the norm."""
    batch = tl.program_id(0).to(tl.int64)
    channel = tl.arange(0, CHANNELS)
    row = tl.program_id(1) * ROWS + tl.arange(0, ROWS)
    place = (batch * rows + row)[:, None] * CHANNELS + channel[None, :]
    inside = (row < rows)[:, None]
    saved = saved_ptr + batch * 4 * CHANNELS + channel
    scale, shift = tl.load(saved)[None, :], tl.load(saved + CHANNELS)[None, :]
    x = tl.load(x_ptr + place, mask=inside, other=0.0).to(tl.float32)
    if BACKWARD:
        back = back_ptr + batch * 4 * CHANNELS + channel
        slope, offset = tl.load(back)[None, :], tl.load(back + CHANNELS)[None, :]
        d = tl.load(dy_ptr + place, mask=inside, other=0.0).to(tl.float32)
        y = _slope(d, x, scale, shift, SILU) * scale + x * slope + offset
    else:
        y = x * scale + shift
        if SILU:
            y = y * tl.sigmoid(y)
    tl.store(out_ptr + place, y.to(out_ptr.dtype.element_ty), mask=inside)


@triton.jit
def _coefficients(
    sums_ptr, weight_ptr, bias_ptr, saved_ptr, out_ptr, chunks, size, eps, CHANNELS: tl.constexpr, GROUPS: tl.constexpr,
    CHUNKS: tl.constexpr, BACKWARD: tl.constexpr,
):  # fmt: skip
    """From partial sums to what `_apply` multiplies and adds, per channel, `size` numbers to a group.

    Forward writes scale, shift, mean and reciprocal deviation; backward reads those and writes slope and offset: what
    a norm's mean and deviation take back of a gradient (Ba et al. 2016, "Layer normalization", supplement).
    """
    batch = tl.program_id(0).to(tl.int64)
    channel = tl.arange(0, CHANNELS)
    one = tl.zeros([CHANNELS], dtype=tl.float32)
    two = tl.zeros([CHANNELS], dtype=tl.float32)
    for start in range(0, chunks, CHUNKS):
        chunk = start + tl.arange(0, CHUNKS)
        place = (batch * chunks + chunk)[:, None] * 2 * CHANNELS + channel[None, :]
        inside = (chunk < chunks)[:, None]
        one += tl.sum(tl.load(sums_ptr + place, mask=inside, other=0.0), axis=0)
        two += tl.sum(tl.load(sums_ptr + place + CHANNELS, mask=inside, other=0.0), axis=0)
    saved = saved_ptr + batch * 4 * CHANNELS + channel
    out = out_ptr + batch * 4 * CHANNELS + channel
    if BACKWARD:
        scale = tl.load(saved)
        mean, rstd = tl.load(saved + 2 * CHANNELS), tl.load(saved + 3 * CHANNELS)
        plain = _over_group(one * scale, CHANNELS, GROUPS) / size
        along = _over_group((two - mean * one) * scale * rstd, CHANNELS, GROUPS) / size
        slope = -along * rstd
        tl.store(out, slope)
        tl.store(out + CHANNELS, -plain - mean * slope)
    else:
        mean = _over_group(one, CHANNELS, GROUPS) / size
        variance = _over_group(two, CHANNELS, GROUPS) / size - mean * mean
        rstd = 1 / tl.sqrt(tl.maximum(variance, 0.0) + eps)
        scale = rstd * tl.load(weight_ptr + channel).to(tl.float32)
        tl.store(out, scale)
        tl.store(out + CHANNELS, tl.load(bias_ptr + channel).to(tl.float32) - mean * scale)
        tl.store(out + 2 * CHANNELS, mean)
        tl.store(out + 3 * CHANNELS, rstd)


@triton.jit
def _over_group(values, CHANNELS: tl.constexpr, GROUPS: tl.constexpr):
    """For each channel the sum over its group."""
    each: tl.constexpr = CHANNELS // GROUPS
    summed = tl.sum(tl.reshape(values, [GROUPS, each]), axis=1)
    return tl.reshape(tl.broadcast_to(summed[:, None], [GROUPS, each]), [CHANNELS])


class _FusedNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float, silu: bool) -> Tensor:
        # scale, shift, mean, reciprocal deviation
        saved = _reduce(x, None, None, weight, bias, groups, eps, silu)
        ctx.save_for_backward(x, saved)
        ctx.groups, ctx.silu = groups, silu
        return _write(x, None, saved, None, silu)

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, saved = ctx.saved_tensors
        dy = dy.contiguous(memory_format=torch.channels_last)
        back = _reduce(x, dy, saved, None, None, ctx.groups, 0.0, ctx.silu)
        return _write(x, dy, saved, back, ctx.silu), None, None, None, None, None


def _reduce(
    x: Tensor, dy: Tensor | None, saved: Tensor | None, weight: Tensor | None, bias: Tensor | None, groups: int,
    eps: float, silu: bool,
) -> Tensor:  # fmt: skip
    """The coefficients of one direction, `(b, 4, c)`; backward, with the gradient `dy`, only two of the four are."""
    b, c, h, w = x.shape
    rows = max(TILE // c, 1)
    summed = max(triton.next_power_of_2(triton.cdiv(h * w, PROGRAMS)), rows)
    chunks = triton.cdiv(h * w, summed)
    sums = x.new_empty((b, chunks, 2, c), dtype=torch.float32)
    out = x.new_empty((b, 4, c), dtype=torch.float32)
    backward = saved is not None
    known = out if saved is None else saved
    _sums[(b, chunks)](x, x if dy is None else dy, known, sums, h * w, c, rows, summed, backward, silu)
    scaled, added = (out if each is None else each for each in (weight, bias))
    size = h * w * c // groups
    _coefficients[(b,)](sums, scaled, added, known, out, chunks, size, eps, c, groups, max(2 * TILE // c, 1), backward)
    return out


def _write(x: Tensor, dy: Tensor | None, saved: Tensor, back: Tensor | None, silu: bool) -> Tensor:
    b, c, h, w = x.shape
    rows, out = max(TILE // c, 1), torch.empty_like(x)
    given = (x, x if dy is None else dy, saved, saved if back is None else back, out)
    _apply[(b, triton.cdiv(h * w, rows))](*given, h * w, c, rows, back is not None, silu)
    return out


def fused_norm(x: Tensor, weight: Tensor, bias: Tensor, groups: int, eps: float, silu: bool) -> Tensor:
    """`group_norm(x)`, and SiLU of it if `silu`, for a channels_last `x` `(b, c, h, w)`, `c` and `groups` powers of
    two; `weight` and `bias` `(c,)` get no gradient."""
    out: Tensor = _FusedNorm.apply(x, weight, bias, groups, eps, silu)
    return out
