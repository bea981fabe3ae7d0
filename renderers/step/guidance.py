"""What pulls at a frame: texts, pictures and noise as one perceptor sees them, and their pull on cutouts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from manifests.schema import LossSettings, ManifestRow
from renderers.frames.pictures import read_picture
from renderers.models import Perceptor
from renderers.plan.frame_plan import WeightedPrompt
from renderers.randomness import address
from renderers.step.losses import concept_contrast, prompt_distance

__all__ = ["Guide", "Target"]


@dataclass(frozen=True)
class Target:
    """One prompt as a perceptor sees it: a unit vector `(d,)` with its weight and stop."""

    vector: Tensor
    weight: float
    stop: float


class Guide:
    """One perceptor of a model, with the texts that it has read before; `concepts` are the names it tells apart."""

    def __init__(self, perceptor: Perceptor, concepts: Sequence[str], device: torch.device) -> None:
        self.perceptor, self.device = perceptor, device
        self._concepts = perceptor.embed_texts([f"a {name}" for name in concepts]) if concepts else None
        self._texts: dict[str, Tensor] = {}

    def targets(
        self, row: ManifestRow, prompts: Sequence[WeightedPrompt], images: Mapping[str, bytes]
    ) -> tuple[Target, ...]:
        """Everything that pulls: `prompts` first, then the row's pictures, whose bytes `images` holds, and noise.

        Raises:
            BadInput: a picture can't be read.
        """
        perceptor = self.perceptor
        targets = [Target(self._text(prompt.text), prompt.weight, prompt.stop) for prompt in prompts]
        for image in row.image_prompts or ():
            picture = read_picture(images, image.image, perceptor.side, perceptor.side).to(self.device)
            with torch.no_grad():
                targets.append(Target(perceptor.embed_pictures(picture)[0], image.weight, image.stop))
        for noise in row.noise_prompts or ():
            chance = torch.Generator().manual_seed(address(noise.seed, 0, 0, "noise prompt"))
            vector = F.normalize(torch.randn(perceptor.dimensions, generator=chance), dim=0).to(self.device)
            targets.append(Target(vector, noise.weight, -math.inf))
        return tuple(targets)

    def pull(self, loss: LossSettings, targets: Sequence[Target], prompts: int, seen: Tensor) -> Tensor:
        """The mean pull of all `targets` on cutouts as the perceptor has `seen` them, `(n, d)`, a scalar; the first
        `prompts` of the targets are prompts, which the other concepts rival."""
        pull = seen.new_zeros(())
        for target in targets:
            pull = pull + prompt_distance(seen, target.vector, target.weight, target.stop)
        if loss.contrast and self._concepts is not None:
            for target in targets[:prompts]:
                if target.weight > 0:
                    rivalry = concept_contrast(seen, target.vector, self._concepts, loss.contrast_scale)
                    pull = pull + loss.contrast * target.weight * rivalry
        return pull

    def _text(self, text: str) -> Tensor:
        """The embedding `(d,)` of a text, computed once."""
        if text not in self._texts:
            if len(self._texts) >= 4096:  # an actor lives for millions of prompts
                self._texts.clear()
            self._texts[text] = self.perceptor.embed_texts([text])[0]
        return self._texts[text]
