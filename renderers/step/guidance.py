"""What a frame is guided by: texts, pictures and noise as one perceptor sees them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from renderers.frame_plan.frame_plan import FramePlan
from renderers.frame_rendering.pictures import read_picture
from renderers.models import Perceptor
from renderers.randomness import address

__all__ = ["Guide", "Target", "Targets"]


@dataclass(frozen=True)
class Target:
    """One prompt as a perceptor sees it: a unit vector `(d,)` with its weight and stop."""

    vector: Tensor
    weight: float
    stop: float


@dataclass(frozen=True)
class Targets:
    """All that guides a frame, as one perceptor sees it: the texts of its `prompts`, then `others`, pictures and
    noise."""

    prompts: tuple[Target, ...] = ()
    others: tuple[Target, ...] = ()

    def __iter__(self) -> Iterator[Target]:
        yield from self.prompts
        yield from self.others


class Guide:
    """One perceptor of a model, with the texts that it has embedded before; `concepts` `(m, d)` are the embeddings of
    the names that it tells apart, None where there are none."""

    def __init__(self, perceptor: Perceptor, concepts: Sequence[str], device: torch.device) -> None:
        self.perceptor, self.device = perceptor, device
        self.concepts = perceptor.embed_texts([f"a {name}" for name in concepts]) if concepts else None
        self._texts: dict[str, Tensor] = {}

    def targets(self, frame: FramePlan, images: Mapping[str, bytes]) -> Targets:
        """The targets of a frame: its texts, its pictures, whose bytes `images` holds, and its noise.

        Raises:
            BadInput: a picture can't be read.
        """
        texts = tuple(Target(self._text(it.text), it.weight, it.stop) for it in frame.prompts)
        pictures = (Target(self._picture(images, it.prompt.image), it.weight, it.stop) for it in frame.pictures)
        noise = (Target(self._noise(it.prompt.seed), it.weight, -math.inf) for it in frame.noise)
        return Targets(texts, (*pictures, *noise))

    def _picture(self, images: Mapping[str, bytes], uri: str) -> Tensor:
        side = self.perceptor.side
        picture = read_picture(images, uri, side, side).to(self.device)
        with torch.no_grad():
            return self.perceptor.embed_pictures(picture)[0]

    def _noise(self, seed: int) -> Tensor:
        chance = torch.Generator().manual_seed(address(seed, 0, 0, "noise prompt"))
        return F.normalize(torch.randn(self.perceptor.dimensions, generator=chance), dim=0).to(self.device)

    def _text(self, text: str) -> Tensor:
        """The embedding `(d,)` of a text, computed once."""
        if text not in self._texts:
            if len(self._texts) >= 4096:  # an actor renders millions of prompts
                self._texts.clear()
            self._texts[text] = self.perceptor.embed_texts([text])[0]
        return self._texts[text]
