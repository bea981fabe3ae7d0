"""The terms of the loss: each by its weight, to the last bit; and a new one by one class."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from manifests.schema import LossSettings
from manifests.schema.settings import LOSS_LIMITS
from renderers.frame_plan.handoff import PULL
from renderers.frame_plan.video_plan import VideoPlan
from renderers.frame_rendering.renderer import FrameRenderer, RenderedFrame
from renderers.models import Models
from renderers.step.goals import Goal
from renderers.step.guidance import Target, Targets
from renderers.step.losses import (
    colourfulness,
    concept_contrast,
    palette_distance,
    prompt_distance,
    squared_variation,
    total_variation,
)
from renderers.step.terms import TERMS, Embeddings, FrameTerms, InTime, Latent, Picture, Term
from tests.helpers.frames import first
from tests.helpers.random_model import Planner


def chance(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def unit(*shape: int, seed: int = 0) -> Tensor:
    return F.normalize(chance(*shape, seed=seed), dim=-1)


# --- those that there are ---------------------------------------------------------------------------------------------


def test_every_weight_of_the_settings_has_its_term_and_those_without_one_say_their_weight() -> None:
    weights = set(LossSettings.model_fields) - {"contrast_scale", "z_decay_every", "palette_colours", "colour_target"}
    by_setting = {term.name for term in TERMS if term.weight.__func__ in (Term.weight.__func__, InTime.weight.__func__)}  # type: ignore[attr-defined]
    assert by_setting == weights
    assert {term.name for term in TERMS if issubclass(term, InTime)} == LOSS_LIMITS.keys()
    assert len({term.name for term in TERMS}) == len(TERMS)


def test_embeddings_are_judged_prompt_by_prompt_then_concept_by_concept(planned: Planner) -> None:
    """In this order, and to the last bit: frames are addressed by what decides them, and must come out the same."""
    prompts = (Target(unit(8, seed=1), 1.0, -math.inf), Target(unit(8, seed=2), -0.7, -math.inf),
               Target(unit(8, seed=3), 0.3, 0.9))  # fmt: skip
    others = (Target(unit(8, seed=4), 0.5, -math.inf),)
    cutouts, concepts = unit(5, 8, seed=5).requires_grad_(True), unit(6, 8, seed=6)

    expected = torch.zeros(())
    for target in (*prompts, *others):
        expected = expected + prompt_distance(cutouts, target.vector, target.weight, target.stop)
    for target in (prompts[0], prompts[2]):
        expected = expected + 0.37 * target.weight * concept_contrast(cutouts, target.vector, concepts, 11.0)

    plan = planned(loss={"contrast": 0.37, "contrast_scale": 11.0})
    terms = FrameTerms(TERMS, plan.row.loss, next(plan.walk()))
    found = terms.add(torch.zeros(()), Embeddings(cutouts, Targets(prompts, others), concepts))
    assert torch.equal(found, expected)
    assert torch.equal(*(torch.autograd.grad(loss, cutouts)[0] for loss in (found, expected)))
    without = terms.add(torch.zeros(()), Embeddings(cutouts, Targets(prompts, others), None))
    assert float(without.detach()) < float(found.detach())


def test_pictures_and_latents_are_judged_in_order(planned: Planner) -> None:
    plan = planned(frames=14, keyframe_every=3, handoff="keyframes", loss={"tv": 0.7, "z_decay": 0.3})
    frame = list(plan.walk())[1]
    assert frame.share
    picture, latent = chance(1, 3, 6, 6).requires_grad_(True), chance(1, 2, 3, 3).requires_grad_(True)
    goal = chance(1, 3, 6, 6, seed=1)

    expected = torch.tensor(0.25) + 0.7 * total_variation(picture)
    expected = expected + 0.3 / (2 * (2 * 4 + 1)) * (latent**2).mean()
    expected = expected + PULL * frame.share * F.mse_loss(picture, goal)

    terms = FrameTerms(TERMS, plan.row.loss, frame)
    found = terms.add(
        torch.tensor(0.25), Latent(latent, 4), Picture(picture, (Goal("picture", goal, PULL * frame.share),))
    )
    assert torch.equal(found, expected)
    leaves = (picture, latent)
    for one, other in zip(torch.autograd.grad(found, leaves), torch.autograd.grad(expected, leaves), strict=True):
        assert torch.equal(one, other)


def test_a_frame_of_a_chain_is_drawn_to_no_keyframe(planned: Planner) -> None:
    plan = planned()
    terms = FrameTerms(TERMS, plan.row.loss, next(plan.walk()))
    total = torch.tensor(0.5)
    assert terms.add(total, Latent(chance(1, 2, 3, 3), 0), Picture(chance(1, 3, 6, 6))) is total


def led(plan: VideoPlan, frame: int, *, steps: int = 150) -> tuple[Tensor, Tensor]:
    """A picture of noise, and what the terms of one frame alone make of it."""
    terms = FrameTerms(TERMS, plan.row.loss, list(plan.walk())[frame])
    before = (0.5 + 0.2 * chance(1, 3, 20, 24)).clamp(0, 1)
    picture = before.clone().requires_grad_(True)
    optimiser = torch.optim.Adam([picture], lr=0.02)
    for _ in range(steps):
        optimiser.zero_grad()
        total = terms.add(torch.zeros(()), Picture(picture))
        if total.requires_grad:
            total.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    return before, picture.detach()


COLOURS = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.0, 128 / 255]])


@pytest.mark.parametrize(
    ("loss", "measure"),
    [
        ({"mirror_x": 9}, lambda it: F.mse_loss(it, it.flip(-1))),
        ({"mirror_y": 9}, lambda it: F.mse_loss(it, it.flip(-2))),
        ({"palette": 9, "palette_colours": "red navy"}, lambda it: palette_distance(it, COLOURS)),
        ({"colour": 9, "colour_target": 0.4}, lambda it: (colourfulness(it) - 0.4).abs()),
        ({"colour": 9, "colour_target": 0}, colourfulness),
        ({"tv2": 9}, squared_variation),
    ],
)
def test_each_that_changes_in_time_leads_where_it_says_in_the_frames_that_it_has_a_weight_in(
    planned: Planner, loss: dict[str, Any], measure: Any
) -> None:
    (name,) = set(loss) & LOSS_LIMITS.keys()
    plan = planned(frames=3, handoff="chain", loss=loss | {name: f"where(t < 2, 0, {loss[name]})"})
    before, after = led(plan, 2)
    assert measure(after) < 0.1 * measure(before)
    before, after = led(plan, 1)
    assert torch.equal(before, after)


# --- a new one --------------------------------------------------------------------------------------------------------


class Mirror(Term[Picture]):
    """Pictures whose left half is their right half's reflection."""

    name = "mirror"
    needs = Picture

    def losses(self, weight: float, view: Picture) -> Iterator[Tensor]:
        yield weight * F.mse_loss(view.picture, view.picture.flip(-1))


class WithMirror(LossSettings):
    mirror: float = 0.0


def weighing(plan: VideoPlan, **loss: Any) -> VideoPlan:
    """`plan` with settings that have one more field."""
    return dataclasses.replace(plan, row=plan.row.model_copy(update={"loss": WithMirror(**loss)}))


def asymmetry(done: RenderedFrame) -> float:
    picture = done.frame.picture.astype(float)
    return float(((picture - picture[:, ::-1]) ** 2).mean())


def test_a_new_term_is_one_class_and_one_field(models: Models, planned: Planner) -> None:
    renderer = FrameRenderer(models, terms=(*TERMS, Mirror))
    plan = planned(steps_first=12, optimiser={"lr": 0.3})
    plain, mirrored = (first(renderer, weighing(plan, mirror=weight)) for weight in (0.0, 100.0))
    assert asymmetry(mirrored) < 0.8 * asymmetry(plain)
    assert mirrored.losses[0] > plain.losses[0]
    # and at its neutral weight no trace of it: the picture is the one that there was before it
    before = first(FrameRenderer(models), plan).frame
    assert (plain.frame.picture == before.picture).all()
    assert plain.losses[-1] == before.provenance["loss"]


def test_a_term_of_weight_0_costs_nothing(models: Models, planned: Planner) -> None:
    class Costly(Mirror):
        def __init__(self, settings: LossSettings) -> None:
            raise AssertionError("a term without a weight was made")

    renderer = FrameRenderer(models, terms=(*TERMS, Costly))
    first(renderer, weighing(planned()))
    with pytest.raises(AssertionError, match="without a weight"):
        first(renderer, weighing(planned(), mirror=0.1))


def test_a_term_gets_what_it_needs_at_every_step(models: Models, planned: Planner) -> None:
    seen: dict[type, list[Any]] = {Latent: [], Picture: [], Embeddings: []}

    def spy(view: type) -> type[Term[Any]]:
        class Spy(Term[Any]):
            name = "mirror"
            needs = view

            def losses(self, weight: float, view: Any) -> Iterator[Tensor]:
                seen[self.needs].append((weight, view))
                return iter(())

        return Spy

    terms = [spy(Latent), spy(Picture), spy(Embeddings)]
    plan = weighing(planned(prompt="a reef | a boat", noise_prompts=[{"seed": 4}], steps_first=3), mirror=2.5)
    first(FrameRenderer(models, terms=(*TERMS, *terms)), plan)

    assert {weight for views in seen.values() for weight, _ in views} == {2.5}
    assert [view.step for _, view in seen[Latent]] == [0, 1, 2]
    assert [tuple(view.latent.shape) for _, view in seen[Latent]] == [(1, 4, 8, 8)] * 3
    assert [(tuple(view.picture.shape), view.goals) for _, view in seen[Picture]] == [((1, 3, 32, 32), ())] * 3
    views = [view for _, view in seen[Embeddings]]
    assert [tuple(view.cutouts.shape) for view in views] == [(4, 16)] * 3
    assert {(len(view.targets.prompts), len(view.targets.others), len(view.concepts)) for view in views} == {(2, 1, 2)}


def test_a_pull_in_stairs_falls_by_a_fifth_five_times(planned: Planner) -> None:
    """EleutherAI's: of a weight of 1.5 and a rate of 50, 1.5 up to and with step 50, 1.2 up to 100, none after 250."""
    plan = planned(loss={"z_decay": 1.5, "z_decay_every": 50})
    terms, latent = FrameTerms(TERMS, plan.row.loss, next(plan.walk())), chance(1, 4, 2, 2)
    found = {step: float(terms.add(torch.zeros(()), Latent(latent, step))) for step in (0, 50, 51, 100, 101, 250, 251)}
    half = float((latent**2).mean()) / 2
    wanted = dict(zip(found, (1.5, 1.5, 1.2, 1.2, 0.9, 0.3, 0), strict=True))
    assert found == {step: pytest.approx(weight * half, abs=1e-6) for step, weight in wanted.items()}


def test_with_each_stair_adam_begins_anew(models: Models, planned: Planner) -> None:
    def steps_of_moments(**loss: Any) -> int:
        plan = planned(steps_first=9, loss={"z_decay": 1.0, **loss})
        return first(FrameRenderer(models), plan).frame.state.moments.steps

    assert steps_of_moments() == 9
    assert steps_of_moments(z_decay_every=3) == 2  # anew after steps number 3 and 6, counted from 0
    assert steps_of_moments(z_decay_every=1) == 3  # after 1, 2, 3, 4, 5, and never again
