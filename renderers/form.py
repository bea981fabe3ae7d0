"""The form of a video's pictures: along which of their axes they go on at their other side (`tile`), and along which
one half is the other's mirror image (`symmetry`)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from manifests.schema import ManifestRow

__all__ = ["FLAT", "PLAIN", "Form", "Wrap", "joined", "led_back", "rolled", "seamless"]

# Pixels on each side of one that bicubic resampling looks at.
REACH = 2


class Wrap(NamedTuple):
    """Along which axes pictures go on at their other side."""

    x: bool = False
    y: bool = False

    @property
    def dimensions(self) -> tuple[int, ...]:
        """Of a tensor `(..., h, w)`."""
        return tuple(dimension for dimension, on in ((-1, self.x), (-2, self.y)) if on)


FLAT = Wrap()


class Form(NamedTuple):
    """How pictures `wrap`, and whether the left half is mirrored to the right, and the upper one to the lower."""

    wrap: Wrap = FLAT
    mirror_x: bool = False
    mirror_y: bool = False

    @classmethod
    def of(cls, row: ManifestRow) -> Form:
        """That of a row's pictures."""
        tile, symmetry = row.tile, row.symmetry
        return cls(Wrap("x" in tile, "y" in tile), symmetry in ("x", "both"), symmetry in ("y", "both"))

    @property
    def mirrors(self) -> tuple[int, ...]:
        """The dimensions of a tensor `(..., h, w)` along which it is mirrored."""
        return tuple(dimension for dimension, on in ((-1, self.mirror_x), (-2, self.mirror_y)) if on)

    def mirrored(self, tensor: Tensor) -> Tensor:
        """`tensor` `(..., h, w)` with its left half, and its upper one, in the place of the other, mirrored."""
        for dimension in self.mirrors:
            size = tensor.shape[dimension]
            kept = tensor.narrow(dimension, 0, size - size // 2)
            tensor = torch.cat([kept, kept.narrow(dimension, 0, size // 2).flip(dimension)], dim=dimension)
        return tensor

    def evened(self, gradient: Tensor) -> Tensor:
        """The mean of a `gradient` `(..., h, w)` and its mirror images: that of what has both halves in common."""
        for dimension in self.mirrors:
            gradient = (gradient + gradient.flip(dimension)) / 2
        return gradient


PLAIN = Form()


def joined(pictures: Tensor, wrap: Wrap, before: int = 0, after: int = 1) -> Tensor:
    """`pictures` `(..., h, w)` with so many places of their other side before and after them, along each axis that they
    wrap."""
    for dimension in wrap.dimensions:
        size = pictures.shape[dimension]
        parts = [pictures.narrow(dimension, size - before, before), pictures, pictures.narrow(dimension, 0, after)]
        pictures = torch.cat([part for part in parts if part.shape[dimension]], dim=dimension)
    return pictures


def led_back(pictures: Tensor, grid: Tensor, wrap: Wrap) -> tuple[Tensor, Tensor]:
    """`pictures` `(b, c, h, w)` with `REACH` pixels of their other side beyond each edge that they wrap, and a `grid`
    `(n, ..., 2)` for `grid_sample` led back into them: as if they were laid side by side without end."""
    height, width = pictures.shape[-2:]
    places = []
    for at, side, on in zip(grid.unbind(dim=-1), (width, height), wrap, strict=True):
        places.append((torch.remainder(at + 1, 2) - 1) * side / (side + 2 * REACH) if on else at)
    reach = {-1: width, -2: height}
    for dimension in wrap.dimensions:
        # a picture may be narrower than the reach
        index = torch.arange(-REACH, reach[dimension] + REACH, device=pictures.device) % reach[dimension]
        pictures = pictures.index_select(dimension, index)
    return pictures, torch.stack(places, dim=-1)


def rolled(pictures: Tensor, wrap: Wrap, chance: torch.Generator) -> Tensor:
    """`pictures` `(..., h, w)` shifted by chance along the axes that they wrap; nothing is drawn where they don't."""
    for dimension in wrap.dimensions:
        size = pictures.shape[dimension]
        pictures = pictures.roll(int(torch.randint(size, (1,), generator=chance)), dimension)
    return pictures


def seamless(pictures: Tensor, wrap: Wrap) -> Tensor:
    """`pictures` `(b, c, h, w)` that go on at their other side: each fades into itself, shifted by half, towards the
    edges that it wraps. For pictures of chance, to which a fade does no harm."""
    for dimension in wrap.dimensions:
        size = pictures.shape[dimension]
        near = 1 - torch.linspace(-1, 1, size).abs()  # 0 at the edges, 1 in the middle
        share = (4 * near).clamp(max=1).view(-1, *([1] * (-1 - dimension)))
        mean = pictures.mean(dim=(-2, -1), keepdim=True)
        one, other = pictures - mean, pictures.roll(size // 2, dimension) - mean
        # so that the spread of what is independent stays
        pictures = mean + (share * one + (1 - share) * other) / (share**2 + (1 - share) ** 2).sqrt()
    return pictures
