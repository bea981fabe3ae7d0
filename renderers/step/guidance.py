"""What a frame is guided by: texts, pictures and noise as one perceptor sees them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from renderers.frame_plan.crops import crop_boxes
from renderers.frame_plan.frame_plan import FramePlan, WeightedPicture, WeightedPrompt
from renderers.frame_plan.video_plan import VideoPlan
from renderers.frame_rendering.pictures import FittedPictures, read_crops, read_picture
from renderers.models import Perceptor
from renderers.randomness import address
from renderers.step.cutouts import CutoutDraw, cut

__all__ = ["AlignedPicture", "Guide", "Target", "Targets"]

# Embeddings of texts, and of pictures, that are remembered: an actor renders millions of prompts.
REMEMBERED = 4096


@dataclass(frozen=True)
class Target:
    """One prompt as a perceptor sees it: a unit vector `(d,)`, or one for each cutout `(n, d)`; its weight and stop."""

    vector: Tensor
    weight: float
    stop: float


@dataclass(frozen=True)
class AlignedPicture:
    """An aligned image prompt, `picture` `(1, 3, H, W)` in [0, 1] of the frame's size, which at each step is cut as the
    frame is; with its weight and stop."""

    picture: Tensor
    weight: float
    stop: float


@dataclass(frozen=True)
class Targets:
    """All that guides a frame, as one perceptor sees it: the texts of its `prompts`, then `others`, pictures and
    noise; and the `aligned` pictures, which are targets only once they are cut (`with_aligned`). Those of its regions
    stand apart, `regions`, and are no part of the others."""

    prompts: tuple[Target, ...] = ()
    others: tuple[Target, ...] = ()
    aligned: tuple[AlignedPicture, ...] = ()
    regions: tuple[tuple[Target, ...], ...] = ()

    def of_region(self, position: int, area: float) -> Targets:
        """Those of one region, from 0, which count by its `area`."""
        return Targets(tuple(replace(it, weight=it.weight * area) for it in self.regions[position]))

    def cut_aligned(self, draw: CutoutDraw, side: int) -> list[Tensor]:
        """Cutouts `(n, 3, side, side)` of each aligned picture: turned, coloured and erased as the frame's are, but
        without noise, which is there for the frame to stand out from."""
        return [cut(it.picture, draw, side, None) for it in self.aligned]

    def with_aligned(self, vectors: Sequence[Tensor]) -> Targets:
        """With the aligned pictures as others, after those that there are; of each its `vectors` `(n, d)`, one for each
        cutout of the frame."""
        if not self.aligned:
            return self
        cut = (Target(vector, it.weight, it.stop) for it, vector in zip(self.aligned, vectors, strict=True))
        return replace(self, others=(*self.others, *cut), aligned=())

    def __iter__(self) -> Iterator[Target]:
        yield from self.prompts
        yield from self.others


class Guide:
    """One perceptor of a model, with the texts and pictures that it has embedded before; `concepts` `(m, d)` are the
    embeddings of the names that it tells apart, None where there are none. `fitted` is what the perceptors share."""

    def __init__(
        self, perceptor: Perceptor, concepts: Sequence[str], device: torch.device, fitted: FittedPictures
    ) -> None:
        self.perceptor, self.device, self._fitted = perceptor, device, fitted
        self.concepts = perceptor.embed_texts([f"a {name}" for name in concepts]) if concepts else None
        self._texts: dict[str, Tensor] = {}
        self._pictures: dict[tuple[str, int], Tensor] = {}  # by content and number of crops

    def targets(self, plan: VideoPlan, frame: FramePlan, images: Mapping[str, bytes]) -> Targets:
        """The targets of a frame of `plan`: its texts, its pictures, whose bytes `images` holds, and its noise.

        Raises:
            BadInput: a picture can't be read.
        """
        texts = self._targets(frame.prompts)
        regions = tuple(self._targets(it.texts) for it in frame.regions)
        pictures = (
            Target(self._picture(plan, it, images), it.weight, it.stop)
            for it in frame.pictures
            if not it.prompt.aligned
        )
        noise = (Target(self._noise(it.prompt.seed), it.weight, -math.inf) for it in frame.noise)
        aligned = tuple(self._aligned(plan, it, images) for it in frame.pictures if it.prompt.aligned)
        return Targets(texts, (*pictures, *noise), aligned, regions)

    def _targets(self, texts: Sequence[WeightedPrompt]) -> tuple[Target, ...]:
        return tuple(Target(self._text(it.text), it.weight, it.stop) for it in texts)

    def _picture(self, plan: VideoPlan, it: WeightedPicture, images: Mapping[str, bytes]) -> Tensor:
        """The embedding `(d,)` of a picture, computed once: the mean of those of its crops."""
        uri = it.prompt.image
        key = plan.images[uri], it.crops
        if key not in self._pictures:
            _make_room(self._pictures)
            self._pictures[key] = self._embedded(images, uri, it.crops)
        return self._pictures[key]

    def _embedded(self, images: Mapping[str, bytes], uri: str, crops: int) -> Tensor:
        side = self.perceptor.side
        if crops == 1:  # as it was before there were several, to the last bit
            seen = read_picture(images, uri, side, side)
        else:
            seen = read_crops(images, uri, partial(crop_boxes, crops=crops), side)
        with torch.no_grad():
            embeddings = self.perceptor.embed_pictures(seen.to(self.device))
            return embeddings[0] if crops == 1 else F.normalize(embeddings.sum(dim=0), dim=0)

    def _aligned(self, plan: VideoPlan, it: WeightedPicture, images: Mapping[str, bytes]) -> AlignedPicture:
        uri, row = it.prompt.image, plan.row
        picture = self._fitted.read(images, uri, plan.images[uri], row.width, row.height)
        return AlignedPicture(picture, it.weight, it.stop)

    def _noise(self, seed: int) -> Tensor:
        chance = torch.Generator().manual_seed(address(seed, 0, 0, "noise prompt"))
        return F.normalize(torch.randn(self.perceptor.dimensions, generator=chance), dim=0).to(self.device)

    def _text(self, text: str) -> Tensor:
        """The embedding `(d,)` of a text, computed once."""
        if text not in self._texts:
            _make_room(self._texts)
            self._texts[text] = self.perceptor.embed_texts([text])[0]
        return self._texts[text]


def _make_room(remembered: dict[Any, Tensor]) -> None:
    if len(remembered) >= REMEMBERED:
        remembered.clear()
