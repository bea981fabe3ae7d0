"""What the terms of the loss (renderers/step/terms.py) compute, one small function per idea."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from renderers.pictures.lab import lab

__all__ = [
    "ClampWithGradient", "colourfulness", "concept_contrast", "palette_distance", "prompt_distance",
    "spherical_distance", "squared_variation", "total_variation",
]  # fmt: skip

# The longer side, in pixels, of what a palette is held against: it is about areas, not about single pixels.
PALETTE_SIDE = 64
# A variance, and a squared mean, below which colours are as good as none (of pixels in [0, 1]).
FLAT = 1e-6


def spherical_distance(a: Tensor, b: Tensor) -> Tensor:
    """Squared great-circle distance `2 * asin(|a - b| / 2)^2` between unit vectors, over the last dimension.

    After Crowson's VQGAN+CLIP notebook (2021), where it replaced the cosine. The chord is kept off its ends, where the
    square root's and the arc sine's gradients are infinite.
    """
    chord = (a - b).norm(dim=-1).clamp(1e-6, 2 - 1e-6)
    return 2 * torch.asin(chord / 2) ** 2


def prompt_distance(cutouts: Tensor, target: Tensor, weight: float, stop: float) -> Tensor:
    """The pull of one prompt, a scalar.

    `cutouts` `(n, d)` and `target` `(d,)`, or `(n, d)` for one of each cutout's own, are unit vectors. A negative
    `weight` pushes away. Once a cutout's signed distance is below `stop` it keeps its value but gives no gradient
    (nerdyrodent/VQGAN-CLIP's `replace_grad`).
    """
    signed = spherical_distance(cutouts, target) * (1.0 if weight >= 0 else -1.0)
    held = signed.clamp(min=stop)
    return abs(weight) * (signed.detach() + held - held.detach()).mean()


def concept_contrast(cutouts: Tensor, target: Tensor, concepts: Tensor, scale: float) -> Tensor:
    """Cross-entropy of the prompt against the model's list of concepts, a scalar: be the prompt and none of the others.

    `cutouts` `(n, d)`, `target` `(d,)`, `concepts` `(m, d)`, all unit vectors. Concepts that all but equal the prompt
    (cosine above 0.8) are no rivals and drop out.
    """
    logits = scale * torch.cat([(cutouts @ target)[:, None], cutouts @ concepts.T], dim=1)
    rivals = concepts @ target <= 0.8
    keep = torch.cat([rivals.new_ones(1), rivals])
    return -logits.masked_fill(~keep, -1e4).log_softmax(dim=1)[:, 0].mean()


def total_variation(pictures: Tensor) -> Tensor:
    """Mean absolute difference of neighbours in `pictures` `(b, 3, h, w)`, a scalar (anisotropic total variation)."""
    return F.l1_loss(pictures[..., 1:, :], pictures[..., :-1, :]) + F.l1_loss(pictures[..., 1:], pictures[..., :-1])


def squared_variation(pictures: Tensor) -> Tensor:
    """Mean squared difference of neighbours in `pictures` `(b, 3, h, w)`, a scalar (pytti's smoothing)."""
    down = F.mse_loss(pictures[..., 1:, :], pictures[..., :-1, :])
    return down + F.mse_loss(pictures[..., 1:], pictures[..., :-1])


def colourfulness(pictures: Tensor) -> Tensor:
    """How colourful `pictures` `(b, 3, h, w)` in [0, 1] are, the mean of their figures, a scalar: 0 for greys, 1 / 255
    of the figure of Hasler and Suesstrunk 2003 (Measuring colourfulness in natural images, p. 91, M3)."""
    red, green, blue = pictures.flatten(2).unbind(1)
    yellow = (red + green) / 2 - blue
    opponent = torch.stack([red - green, yellow])  # (2, b, pixels)
    # of greys the spread is 0, where a root has no gradient
    spread = (opponent.var(dim=2, correction=0).sum(dim=0) + FLAT).sqrt()
    mean = (opponent.mean(dim=2).square().sum(dim=0) + FLAT).sqrt()
    return (spread + 0.3 * mean).mean()


def palette_distance(pictures: Tensor, colours: Tensor) -> Tensor:
    """Mean squared distance of the pixels of `pictures` `(b, 3, h, w)` in [0, 1], reduced to PALETTE_SIDE where
    they are larger, to the nearest of `colours` `(n, 3)`, a scalar: in CIELAB, black and white 1 apart."""
    height, width = pictures.shape[-2:]
    share = min(1.0, PALETTE_SIDE / max(height, width))
    size = max(1, round(height * share)), max(1, round(width * share))
    pixels = F.adaptive_avg_pool2d(pictures, size).flatten(2).transpose(1, 2)
    apart = (lab(pixels.float())[:, :, None] - lab(colours.float())[None, None]) / 100
    return apart.square().sum(dim=-1).amin(dim=-1).mean()


class ClampWithGradient(torch.autograd.Function):
    """Clamp to [0, 1] whose gradient survives where it points back inside (Crowson's `clamp_with_grad`)."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, pictures: Tensor) -> Tensor:
        ctx.save_for_backward(pictures)
        return pictures.clamp(0, 1)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, gradient: Tensor) -> Tensor:
        (pictures,) = ctx.saved_tensors  # type: ignore[attr-defined]  # torch declares it on a class of its own only
        inward: Tensor = gradient * (gradient * (pictures - pictures.clamp(0, 1)) >= 0)
        return inward
