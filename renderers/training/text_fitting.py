"""A text tower that learns the language of a picture tower that is there: locked-image tuning (Zhai et al. 2022,
"LiT") over features that were computed once. Scenes are what a step of a training costs; here none is drawn twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from renderers.errors import TrainingBroken
from renderers.randomness import generator
from renderers.training.learning import average_weights, learn
from renderers.training.perceptor_training import PerceptorTraining, exclusions
from renderers.training.run import trapezoid

__all__ = ["TextFitting", "TextFittingSettings"]

SEEN = "seen.pt"
AT_ONCE = 64


class TextFittingSettings(BaseModel):
    """How a text tower is fitted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(0, ge=0, description="decides the weights at the start and every batch")
    steps: int = Field(800, ge=1, description="steps altogether")
    batch: int = Field(160, ge=2, description="scenes per step")
    scenes: int = Field(8192, ge=64, description="scenes altogether, each looked at once")
    lr: float = Field(1e-3, gt=0, description="learning rate")
    warm_up: int = Field(50, ge=0, description="steps over which it rises")
    cool_down: float = Field(0.4, ge=0, le=1, description="last share of the steps, over which it falls to 0")
    average: float = Field(0.99, ge=0, lt=1, description="decay of the averaged weights, which are the result")
    log_every: int = Field(20, ge=1, description="steps between two lines of the curves")
    checkpoint_every: int = Field(20, ge=1, description="steps between two checkpoints")


class TextFitting:
    """The state of one fit, and its step. `learner` has the perceptor, and all that draws and reads; what its picture
    tower makes of the scenes is kept in `folder`."""

    def __init__(self, learner: PerceptorTraining, settings: TextFittingSettings, folder: Path) -> None:
        """Look at all scenes, or read what was seen of them.

        Raises:
            TrainingBroken: what was kept can't be read, or is of other scenes.
        """
        self.learner, self.settings = learner, settings
        clip = learner.clip
        own = {id(p) for p in clip.visual.parameters()} | {id(clip.token_embedding.weight)}
        self.weights = [p for p in clip.parameters() if id(p) not in own]
        self.adam = torch.optim.AdamW(self.weights, lr=settings.lr, betas=(0.9, 0.98), weight_decay=0.05)
        self.averaged = {key: value.clone() for key, value in clip.state_dict().items()}
        clip.eval().requires_grad_(False)
        for weight in self.weights:
            weight.requires_grad_(True)
        folder.mkdir(parents=True, exist_ok=True)
        kept = folder / SEEN
        seen = self._read(kept) if kept.exists() else self._look()
        if not kept.exists():
            unfinished = kept.with_suffix(".unfinished")
            torch.save(seen, unfinished)
            unfinished.replace(kept)
        self.views: Tensor = seen["views"].float()
        self.concepts: Tensor = seen["concepts"]
        self.captions: list[str] = seen["captions"]
        self.false_captions: list[str] = seen["false_captions"]

    def _read(self, kept: Path) -> dict[str, Any]:
        try:
            seen: dict[str, Any] = torch.load(kept, map_location="cpu", weights_only=True)
            if len(seen["views"]) < self.settings.scenes or len(seen["captions"]) != len(seen["views"]):
                raise ValueError(f"it has {len(seen['views'])} scenes")
        except Exception as error:  # torch raises whatever its pickle, zip and file readers do
            raise TrainingBroken(
                f"'{kept}' can't be read: {error}; delete it, and the scenes are drawn again"
            ) from error
        return seen

    @torch.no_grad()
    def _look(self) -> dict[str, Any]:
        """What the picture tower makes of all scenes, one cutout each."""
        views, concepts, captions, false = [], [], list[str](), list[str]()
        for part in range(-(-self.settings.scenes // AT_ONCE)):
            scenes = self.learner.composer.compose(AT_ONCE, self.settings.seed, part, "text")
            seen = self.learner.look(scenes.pictures.to(self.learner.device), part)
            views.append(F.normalize(self.learner.clip.encode_image(seen), dim=-1).cpu().half())
            concepts.append(scenes.concepts)
            captions += scenes.captions
            false += scenes.false_captions
        return {
            "views": torch.cat(views),
            "concepts": torch.cat(concepts),
            "captions": captions,
            "false_captions": false,
        }

    def step(self, step: int) -> Mapping[str, Tensor]:
        """Do step number `step` (from 0); gives the losses."""
        settings, learner = self.settings, self.learner
        for group in self.adam.param_groups:
            group["lr"] = settings.lr * trapezoid(
                step, settings.steps, warm_up=settings.warm_up, cool_down=settings.cool_down
            )
        chance = generator(settings.seed, 0, step, "scenes of a text")
        chosen = torch.randperm(len(self.captions), generator=chance)[: settings.batch]
        captions = [self.captions[i] for i in chosen]
        texts = [*captions, *(self.false_captions[i] for i in chosen)]
        wrong = exclusions(captions, self.concepts[chosen], [], torch.zeros(0, dtype=torch.long))
        learner.read_names(step)
        words = F.normalize(learner.read(learner.among_kin(learner.tokenizer(texts), step).to(learner.device)), dim=-1)
        views = self.views[chosen].to(learner.device)
        others = learner.wrong_names(captions, self.concepts[chosen])
        by_picture, by_text = learner.losses(views, words, wrong.to(learner.device), len(captions), others)
        loss = (by_picture + by_text) / 2
        learn(loss, self.weights, self.adam, clip=1.0)
        average_weights(self.averaged, learner.clip.state_dict(), settings.average, step)
        return {"loss": loss.detach(), "by_picture": by_picture.detach(), "by_text": by_text.detach()}

    def state_dict(self) -> dict[str, Any]:
        """All that the next step needs."""
        state = {"clip": self.learner.clip.state_dict(), "averaged": self.averaged, "adam": self.adam.state_dict()}
        return state | {"names": self.learner.named}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.learner.clip.load_state_dict(state["clip"])
        self.averaged = {key: value.to(self.learner.device) for key, value in state["averaged"].items()}
        self.adam.load_state_dict(state["adam"])
        self.learner.named = state["names"]
