"""The goals of a frame while it is rendered: what they weigh at each step, and what they have become by then."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from renderers.frame_plan.crops import CROPS, crop_boxes
from renderers.frame_plan.weights import Weights
from renderers.models import VQGAN, Models, Perceptor, decode_tokens
from renderers.step.goals import Goal, Kind
from renderers.step.guidance import Target

__all__ = ["FrameGoals", "film_goals", "mean_embedding", "own_goals"]

_OWN: tuple[Kind, ...] = ("picture", "edges", "latent", "meaning")


def own_goals(holds: Weights, picture: Tensor, coverage: Tensor | None, latent: Tensor) -> tuple[Goal, ...]:
    """The goals of a frame that is held to its own start by the weights `holds`: to the `picture` `(1, 3, H, W)` that
    it starts from, before it is encoded, where `coverage` says, and to its `latent` `(1, c, h, w)`."""
    weights = dict(holds)
    latent = latent.clone()  # the frame's own one is changed in place
    return tuple(
        Goal(kind, picture, weights[kind], coverage, latent if kind == "latent" else None)
        for kind in _OWN
        if kind in weights
    )


def film_goals(holds: Weights, picture: Tensor) -> tuple[Goal, ...]:
    """The goals of a frame that is held by the weights `holds` to its own frame of a film, `picture` `(1, 3, H, W)`:
    all of it, since nothing of that is moved."""
    weights = dict(holds)
    return tuple(Goal(kind, picture, weights[kind]) for kind in _OWN if kind in weights)


class FrameGoals:
    """The goals of one frame of a number of `steps`, which `vqgan` draws."""

    def __init__(self, goals: Iterable[Goal], models: Models, steps: int, vqgan: VQGAN) -> None:
        self._goals, self._models, self._steps, self._vqgan = list(goals), models, steps, vqgan
        self._seen: dict[tuple[int, int], Tensor] = {}  # by number and perceptor

    def at(self, step: int) -> tuple[Goal, ...]:
        """All of them, with the weights that they have at step number `step`."""
        return tuple(goal.at(step, self._steps) for goal in self._goals)

    def meanings(self, step: int, which: int) -> tuple[Target, ...]:
        """Those of kind meaning, as perceptor number `which` sees them."""
        return tuple(
            Target(self._embedding(number, which), goal.weight, -math.inf)
            for number, goal in enumerate(self.at(step))
            if goal.kind == "meaning"
        )

    @torch.no_grad()
    def climb(self, step: int, latent: Tensor) -> bool:
        """Take what `latent` `(1, c, h, w)` has come to for the goals that begin another stair with step number `step`;
        return whether any does, with which the optimiser begins anew."""
        climbing = [
            number
            for number, goal in enumerate(self._goals)
            if goal.stair(step, self._steps) > goal.stair(step - 1, self._steps)
        ]
        if not climbing:
            return False
        tokens = self._vqgan.tokenise(latent)
        picture, codes = decode_tokens(self._vqgan, tokens), self._vqgan.look_up(tokens)
        for number in climbing:
            goal = self._goals[number]
            kept = codes if goal.latent is not None else None
            self._goals[number] = replace(goal, picture=picture, latent=kept, coverage=None)
        self._seen = {key: seen for key, seen in self._seen.items() if key[0] not in climbing}
        return True

    def _embedding(self, number: int, which: int) -> Tensor:
        key = number, which
        if key not in self._seen:
            self._seen[key] = mean_embedding(self._models.perceptors[which], self._goals[number].picture)
        return self._seen[key]


@torch.no_grad()
def mean_embedding(perceptor: Perceptor, picture: Tensor) -> Tensor:
    """What a perceptor sees in `picture` `(1, 3, H, W)`, a unit vector `(d,)`: the mean over the crops that are looked
    at of an image prompt."""
    height, width = picture.shape[-2:]
    side = (perceptor.side, perceptor.side)
    crops = [
        F.interpolate(
            picture[..., round(top) : round(bottom), round(left) : round(right)],
            size=side, mode="bilinear", antialias=True,
        )
        for left, top, right, bottom in crop_boxes(width, height, CROPS)
    ]  # fmt: skip
    return F.normalize(perceptor.embed_pictures(torch.cat(crops)).sum(dim=0), dim=0)
