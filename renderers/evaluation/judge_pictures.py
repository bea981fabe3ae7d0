"""What the judge is shown while it is fitted: one sprite on a background, in every guise, crisp or through the VQGAN.

It has composition code of its own, apart from the training's scenes: a shared one could share its mistakes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from renderers.models.vqgan.vqgan import VQGAN, decode_tokens

__all__ = [
    "PLAIN_GUISE",
    "Guise",
    "Sitters",
    "blurred",
    "compose",
    "compose_for_fitting",
    "recoloured",
    "reconstruct",
]


@dataclass(frozen=True)
class Guise:
    """How far a picture may be from its sprite. The defaults are what the judge is fitted on."""

    size: tuple[float, float] = (0.6, 1.1)  # of the picture's side
    degrees: float = 25.0
    squeeze: float = 0.2  # log of the aspect
    shear: float = 0.12
    bend: float = 0.05  # of the side, elastic
    shift: float = 0.18
    flips: bool = True
    hue: float = 0.25  # radians about the grey axis, standard deviation
    light: float = 0.2  # contrast and brightness, standard deviation
    plain: float = 0.65  # share of backgrounds of one colour


# A picture as a person would set it up: what the ceiling is measured on.
PLAIN_GUISE = Guise(
    size=(0.72, 0.98), degrees=10, squeeze=0.05, shear=0, bend=0, shift=0.06, hue=0, light=0.05, plain=1.0
)
# Between the two: what the judge is fitted on as often as on the strange ones.
MILD_GUISE = Guise(
    size=(0.68, 1.02), degrees=14, squeeze=0.1, shear=0.05, bend=0.02, shift=0.1, hue=0.15, light=0.12, plain=0.8
)


@dataclass(frozen=True)
class Sitters:
    """Sprites `(n, 4, s, s)` uint8 RGBA and the class of each `(n,)`."""

    pixels: Tensor
    classes: Tensor

    def draw(self, count: int, chance: torch.Generator) -> Tensor:
        """Indices `(count,)` of sprites, every class as likely as any other, whatever number it has."""
        wanted = torch.randint(int(self.classes.max()) + 1, (count,), generator=chance)
        keys = torch.rand(count, len(self.classes), generator=chance)
        return keys.masked_fill(self.classes != wanted[:, None], -1).argmax(dim=1)


def _spread(count: int, low: float, high: float, chance: torch.Generator) -> Tensor:
    return low + (high - low) * torch.rand(count, generator=chance)


def compose(sprites: Tensor, side: int, chance: torch.Generator, guise: Guise) -> Tensor:
    """Pictures `(n, 3, side, side)` in [0, 1] of `sprites` `(n, 4, s, s)` uint8, one each."""
    n = len(sprites)
    paint = sprites.float() / 255
    alpha = paint[:, 3:]
    # premultiplied, so that resampling does not draw a dark rim
    colour = recoloured(paint[:, :3], chance, guise.hue, guise.light) * alpha
    size = _spread(n, *guise.size, chance)
    turn = _spread(n, -guise.degrees, guise.degrees, chance) * (math.pi / 180)
    wide = torch.exp(_spread(n, -guise.squeeze, guise.squeeze, chance))
    tilt = _spread(n, -guise.shear, guise.shear, chance)
    flip = (torch.rand(n, generator=chance) < 0.5).float() * -2 + 1 if guise.flips else torch.ones(n)
    matrix = torch.zeros(n, 2, 3)
    matrix[:, 0, 0], matrix[:, 0, 1] = turn.cos() * flip / (size * wide), (turn.sin() + tilt) * flip / size
    matrix[:, 1, 0], matrix[:, 1, 1] = -turn.sin() / size, turn.cos() * wide / size
    centre = (torch.rand(n, 2, 1, generator=chance) * 2 - 1) * guise.shift
    matrix[:, :, 2:] = -matrix[:, :, :2] @ centre
    grid = F.affine_grid(matrix, [n, 4, side, side], align_corners=False)
    if guise.bend:
        knots = torch.randn(n, 2, 4, 4, generator=chance) * guise.bend * 2
        grid = grid + F.interpolate(knots, size=(side, side), mode="bicubic", align_corners=True).permute(0, 2, 3, 1)
    seen = F.grid_sample(torch.cat([colour, alpha], dim=1), grid, align_corners=False)
    return (_backgrounds(n, side, chance, guise.plain) * (1 - seen[:, 3:]) + seen[:, :3]).clamp(0, 1)


def compose_for_fitting(sprites: Tensor, side: int, chance: torch.Generator) -> Tensor:
    """As `compose`, the first half in strange guises, the rest in mild ones."""
    half = len(sprites) // 2
    strange = compose(sprites[:half], side, chance, Guise())
    return torch.cat([strange, compose(sprites[half:], side, chance, MILD_GUISE)])


def _backgrounds(n: int, side: int, chance: torch.Generator, plain: float) -> Tensor:
    """Backgrounds `(n, 3, side, side)`: white, of any one colour, or stained with colours of any fineness."""
    kind = torch.rand(n, generator=chance)
    colour = torch.rand(n, 3, 1, 1, generator=chance)
    colour = torch.where((kind < plain * 0.45)[:, None, None, None], torch.ones(()), colour)
    stains = torch.zeros(n, 3, side, side)
    for cells in (2, 4, 8):
        knots = torch.randn(n, 3, cells, cells, generator=chance)
        weight = torch.rand(n, 1, 1, 1, generator=chance) * 0.2
        stains += weight * F.interpolate(knots, size=(side, side), mode="bilinear", align_corners=False)
    return (colour + stains * (kind >= plain)[:, None, None, None]).clamp(0, 1)


def recoloured(pictures: Tensor, chance: torch.Generator, hue: float, light: float) -> Tensor:
    """`pictures` `(n, 3, h, w)` with their hues turned about the grey axis, their contrast and brightness changed."""
    n = len(pictures)
    turn = torch.randn(n, generator=chance) * hue
    cos, sin = turn.cos(), turn.sin()
    # the rotation about (1, 1, 1) by Rodrigues' formula
    third = (1 - cos) / 3
    plus, minus = third + sin / math.sqrt(3), third - sin / math.sqrt(3)
    one = cos + third
    matrix = torch.stack([one, minus, plus, plus, one, minus, minus, plus, one], dim=1).view(n, 3, 3)
    saturation = (1 + torch.randn(n, generator=chance) * light).clamp(0.2, 2).view(n, 1, 1)
    grey = torch.full((3, 3), 1 / 3)
    matrix = matrix * saturation + grey * (1 - saturation)
    contrast = (1 + torch.randn(n, generator=chance) * light).clamp(0.4, 1.8).view(n, 1, 1, 1)
    shift = (torch.randn(n, generator=chance) * light * 0.4).view(n, 1, 1, 1)
    turned = torch.einsum("nij,njhw->nihw", matrix, pictures)
    return ((turned - 0.5) * contrast + 0.5 + shift).clamp(0, 1)


def blurred(pictures: Tensor, chance: torch.Generator, share: float = 0.4) -> Tensor:
    """`pictures` `(n, 3, h, w)`, a `share` of them made smaller and large again, all with some grain."""
    n, side = len(pictures), pictures.shape[-1]
    small = F.interpolate(pictures, scale_factor=float(_spread(1, 0.35, 0.8, chance)), mode="area")
    soft = F.interpolate(small, size=(side, side), mode="bilinear", align_corners=False)
    pick = (torch.rand(n, 1, 1, 1, generator=chance) < share).float()
    grain = torch.randn(pictures.shape, generator=chance) * torch.rand(n, 1, 1, 1, generator=chance) * 0.05
    return (pictures * (1 - pick) + soft * pick + grain).clamp(0, 1)


@torch.no_grad()
def reconstruct(vqgan: VQGAN, pictures: Tensor, chance: torch.Generator | None = None) -> Tensor:
    """`pictures` `(n, 3, h, w)` through the VQGAN and back.

    With `chance` half of the latents are disturbed on the way: what a search finds is no clean encoding of anything.
    """
    results = []
    for some in torch.split(pictures, 16):
        latents = vqgan.encode(some.to(memory_format=torch.channels_last))
        if chance is not None:
            strength = torch.rand(len(some), 1, 1, 1, generator=chance) * 0.6 - 0.3
            noise = torch.randn(latents.shape, generator=chance) * float(vqgan.codebook.std())
            latents = latents + noise * strength.clamp(min=0)
        results.append(decode_tokens(vqgan, vqgan.tokenise(latents)))
    return torch.cat(results).contiguous()
