"""The terms of a frame's loss, one small class per idea.

To add one: write its class here, put it into TERMS, and give LossSettings (manifests/schema/settings.py) a field of its
`name`, whose default 0 leaves it out. It says with `needs` what it looks at; whoever renders gives it that, and the
weight that it has in this frame, and adds up what it yields.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeAlias, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from manifests.schema import LossSettings
from manifests.schema.palette import colours_in
from renderers.form import FLAT, Wrap, joined
from renderers.frame_plan.frame_plan import FramePlan
from renderers.step.goals import Goal, edge_distance, latent_distance, picture_distance
from renderers.step.guidance import Target, Targets
from renderers.step.losses import (
    colourfulness,
    concept_contrast,
    palette_distance,
    prompt_distance,
    squared_variation,
    total_variation,
)

__all__ = ["STAIRS", "TERMS", "Embeddings", "FrameTerms", "Latent", "Picture", "Term"]


# Of a pull that falls in stairs (`loss.z_decay_every`).
STAIRS = 5


@dataclass(frozen=True)
class Latent:
    """The `latent` `(1, c, h, w)` that is optimised, before step number `step`, from 0; and the `goals` that the frame
    is held to, with the weights that they have at this step."""

    latent: Tensor
    step: int
    goals: tuple[Goal, ...] = ()


@dataclass(frozen=True)
class Picture:
    """The `picture` `(1, 3, H, W)` in [0, 1] that the latent decodes to, along which axes it goes on at its other side
    (`wrap`), and the `goals` as of `Latent`."""

    picture: Tensor
    goals: tuple[Goal, ...] = ()
    wrap: Wrap = FLAT


@dataclass(frozen=True)
class Embeddings:
    """A picture's cutouts as one perceptor sees them: unit vectors `cutouts` `(n, d)`; in the same space the `targets`
    of the frame, and the `concepts` `(m, d)` that the model tells apart, if it has any; and the goals of kind meaning,
    `held`, each the mean embedding of what is seen of it.

    A term of these must be a mean over the cutouts: where memory is short it gets some of them at a time. With several
    perceptors the loss takes the mean over them.
    """

    cutouts: Tensor
    targets: Targets
    concepts: Tensor | None
    held: tuple[Target, ...] = ()


View: TypeAlias = Latent | Picture | Embeddings
V = TypeVar("V", Latent, Picture, Embeddings)


class Term(ABC, Generic[V]):
    """One idea of what a frame should be like. `name` is that of its weight in the row's `loss` settings; `needs` is
    what it looks at."""

    name: ClassVar[str]
    needs: type[V]

    def __init__(self, settings: LossSettings) -> None:
        """For a frame of a row with these `settings`, of which a term may have some beside its weight."""
        self.settings = settings

    @classmethod
    def weight(cls, settings: LossSettings, frame: FramePlan) -> float:
        """Its weight in `frame`; the row's setting, unless the plan decides it."""
        return float(getattr(settings, cls.name))

    @abstractmethod
    def losses(self, weight: float, view: V) -> Iterator[Tensor]:
        """What it adds to the loss, scalars with `weight`, which is not 0, already in them."""


class PromptDistance(Term[Embeddings]):
    """Near to every prompt, and away from those of negative weight (Crowson 2021): see `prompt_distance`."""

    name = "prompts"
    needs = Embeddings

    @classmethod
    def weight(cls, settings: LossSettings, frame: FramePlan) -> float:
        """1: each prompt has a weight of its own."""
        return 1.0

    def losses(self, weight: float, view: Embeddings) -> Iterator[Tensor]:
        """One for each target."""
        for target in view.targets:
            yield prompt_distance(view.cutouts, target.vector, weight * target.weight, target.stop)


class Contrast(Term[Embeddings]):
    """The prompts' concepts rather than any other that the model knows; ours: see `concept_contrast`. It is for what
    the picture should show, never for what it should not."""

    name = "contrast"
    needs = Embeddings

    def losses(self, weight: float, view: Embeddings) -> Iterator[Tensor]:
        """One for each text of positive weight."""
        if view.concepts is None:
            return
        for target in view.targets.prompts:
            if target.weight > 0:
                scale = self.settings.contrast_scale
                yield weight * target.weight * concept_contrast(view.cutouts, target.vector, view.concepts, scale)


class InTime(Term[V]):
    """One whose weight may change in time: the plan says what it is in each frame."""

    @classmethod
    def weight(cls, settings: LossSettings, frame: FramePlan) -> float:
        """The plan's."""
        return dict(frame.weights).get(cls.name, 0.0)


class Palette(InTime[Picture]):
    """The colours of a palette; ours: see `palette_distance`."""

    name = "palette"
    needs = Picture

    def __init__(self, settings: LossSettings) -> None:
        super().__init__(settings)
        self._colours = torch.tensor(colours_in(settings.palette_colours)) / 255

    def losses(self, weight: float, view: Picture) -> Iterator[Tensor]:
        """One."""
        yield weight * palette_distance(view.picture, self._colours.to(view.picture))


class Colourfulness(InTime[Picture]):
    """As colourful as `colour_target` says; ours: the squared difference of `colourfulness`."""

    name = "colour"
    needs = Picture

    def losses(self, weight: float, view: Picture) -> Iterator[Tensor]:
        """One."""
        yield weight * (colourfulness(view.picture) - self.settings.colour_target) ** 2


class MirrorX(InTime[Picture]):
    """The left half is the right one's mirror image (pixray's `symmetry`, as a mean of squares)."""

    name = "mirror_x"
    needs = Picture

    def losses(self, weight: float, view: Picture) -> Iterator[Tensor]:
        """One."""
        yield weight * F.mse_loss(view.picture, view.picture.flip(-1))


class MirrorY(InTime[Picture]):
    """The upper half is the lower one's mirror image."""

    name = "mirror_y"
    needs = Picture

    def losses(self, weight: float, view: Picture) -> Iterator[Tensor]:
        """One."""
        yield weight * F.mse_loss(view.picture, view.picture.flip(-2))


class SquaredVariation(InTime[Picture]):
    """Smooth pictures without hard edges: see `squared_variation`."""

    name = "tv2"
    needs = Picture

    def losses(self, weight: float, view: Picture) -> Iterator[Tensor]:
        """One."""
        yield weight * squared_variation(joined(view.picture, view.wrap))


class TotalVariation(Term[Picture]):
    """Smooth pictures (Rudin, Osher and Fatemi 1992, in its anisotropic form): see `total_variation`."""

    name = "tv"
    needs = Picture

    def losses(self, weight: float, view: Picture) -> Iterator[Tensor]:
        """One."""
        yield weight * total_variation(joined(view.picture, view.wrap))


class LatentDecay(Term[Latent]):
    """A latent near 0, less with every step: nerdyrodent/VQGAN-CLIP's `-iw`; with `z_decay_every` less by a fifth of
    the weight after each so many steps, EleutherAI's `mse_decay_rate` (notebook "MSE regularized z+quantize method",
    whose first stair is a step longer)."""

    name = "z_decay"
    needs = Latent

    def losses(self, weight: float, view: Latent) -> Iterator[Tensor]:
        """One."""
        stairs = self.settings.z_decay_every
        if not stairs:
            yield weight / (2 * (2 * view.step + 1)) * (view.latent**2).mean()
        elif (left := STAIRS - max(view.step - 1, 0) // stairs) > 0:
            yield weight * left / STAIRS / 2 * (view.latent**2).mean()


class Held(Term[V]):
    """Near to the frame's goals (renderers/step/goals.py), of which each has a weight of its own."""

    @classmethod
    def weight(cls, settings: LossSettings, frame: FramePlan) -> float:
        """1: the goals are known once the frame has its start."""
        return 1.0


class HeldPicture(Held[Picture]):
    """Pixels and edges; the pull of a keyframe is one of them (renderers/frame_plan/handoff.py)."""

    name = "held picture"
    needs = Picture

    def losses(self, weight: float, view: Picture) -> Iterator[Tensor]:
        """One for each goal of these kinds."""
        for goal in view.goals:
            if goal.kind == "picture":
                yield weight * goal.weight * picture_distance(view.picture, goal)
            elif goal.kind == "edges":
                yield weight * goal.weight * edge_distance(view.picture, goal)


class HeldLatent(Held[Latent]):
    """Latents."""

    name = "held latent"
    needs = Latent

    def losses(self, weight: float, view: Latent) -> Iterator[Tensor]:
        """One for each goal of this kind."""
        for goal in view.goals:
            if goal.kind == "latent":
                yield weight * goal.weight * latent_distance(view.latent, goal)


class HeldMeaning(Held[Embeddings]):
    """What a perceptor sees: the distance of a prompt, but of pictures."""

    name = "held meaning"
    needs = Embeddings

    def losses(self, weight: float, view: Embeddings) -> Iterator[Tensor]:
        """One for each goal of this kind."""
        for target in view.held:
            yield weight * prompt_distance(view.cutouts, target.vector, target.weight, target.stop)


# Added up in this order: sums of floats depend on it, and frames must come out the same to the last bit.
TERMS: tuple[type[Term[Any]], ...] = (
    PromptDistance, Contrast, TotalVariation, LatentDecay, HeldPicture,
    Palette, Colourfulness, MirrorX, MirrorY, SquaredVariation, HeldLatent, HeldMeaning,
)  # fmt: skip


class FrameTerms:
    """Those of `terms` that have a weight in one frame; the others cost it nothing."""

    def __init__(self, terms: Iterable[type[Term[Any]]], settings: LossSettings, frame: FramePlan) -> None:
        weighted = ((term, term.weight(settings, frame)) for term in terms)
        self._weighted = [(term(settings), weight) for term, weight in weighted if weight]

    def add(self, total: Tensor, *views: View) -> Tensor:
        """`total`, a scalar, with the loss of all terms that look at one of `views`."""
        for term, weight in self._weighted:
            for view in views:
                if isinstance(view, term.needs):
                    for loss in term.losses(weight, view):
                        total = total + loss
        return total
