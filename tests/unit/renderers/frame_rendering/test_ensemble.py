"""Several perceptors: what the word of each counts, how much it is shown, and whom a step asks."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from renderers.frame_rendering.in_progress import FrameInProgress
from renderers.frame_rendering.renderer import FrameRenderer, FrameRequest, RenderedFrame
from renderers.models import Models, Perceptor, load_models
from renderers.registry import ModelEntry
from renderers.step.ensemble import asked_at, crops_of_share, weighed
from tests.helpers.frames import first
from tests.helpers.random_model import Planner


def perceptors(models: Models, *weights: float, cutouts: tuple[float, ...] = (1, 1, 1)) -> tuple[Perceptor, ...]:
    """As many other networks, each of its own weights."""
    made = []
    for number, weight in enumerate(weights):
        other = copy.deepcopy(models.perceptors[0])
        chance = torch.Generator().manual_seed(number)
        for parameter in other.clip.visual.parameters():
            parameter.data += 0.1 * torch.randn(parameter.shape, generator=chance)
        other.weight, other.cutouts = weight, cutouts[number]
        made.append(other)
    return tuple(made)


def ensemble(models: Models, *weights: float, **how: Any) -> FrameRenderer:
    return FrameRenderer(dataclasses.replace(models, perceptors=perceptors(models, *weights, **how)))


def loss(renderer: FrameRenderer, planned: Planner, step: int = 0, **columns: Any) -> float:
    """The loss of a frame's first picture, as step number `step` sees it."""
    plan = planned(steps_first=6, **columns)
    frame = next(plan.walk())
    targets = [guide.targets(plan, frame, {}) for guide in renderer._guides]
    begun = FrameInProgress(FrameRequest(plan, frame, None, {}), renderer.models, renderer.starts, targets)
    begun._step_losses = [torch.zeros(())] * step
    return float(renderer._losses([begun])[0].detach())


def test_the_loss_is_the_mean_by_weights(models: Models, planned: Planner) -> None:
    first_, second = (loss(ensemble(models, *weights), planned) for weights in ((1, 0), (0, 1)))
    assert first_ != pytest.approx(second, rel=1e-3)
    # the second perceptor of the plain pair draws other numbers of chance than the first, as it does here
    assert loss(ensemble(models, 1, 1), planned) == pytest.approx((first_ + second) / 2, rel=1e-5)
    assert loss(ensemble(models, 3, 1), planned) == pytest.approx((3 * first_ + second) / 4, rel=1e-5)


def test_equal_weights_divide_as_ever_and_one_is_left_alone(models: Models) -> None:
    value = torch.tensor(0.7)
    for number in (1, 2, 3):
        same = perceptors(models, *[1.0] * number)
        assert torch.equal(weighed(value, same, 0), value / number)
        assert torch.equal(weighed(value, same, 0, alternate=True), value)


@pytest.mark.parametrize("weights", [(1, 1, 1), (2, 0, 1), (0.5, 3, 0)])
def test_a_turn_of_all_comes_to_the_mean_of_one_step(models: Models, weights: tuple[float, ...]) -> None:
    some = perceptors(models, *weights)
    values = torch.tensor([1.0, 20.0, 300.0])
    together = sum(weighed(values[which], some, which) for which in asked_at(some, 0, alternate=False))
    turn = [asked_at(some, step, alternate=True) for step in range(sum(map(bool, weights)))]
    assert sorted(which for (which,) in turn) == [which for which, weight in enumerate(weights) if weight]
    alone = sum(weighed(values[which], some, which, alternate=True) for (which,) in turn)
    assert float(alone) / len(turn) == pytest.approx(float(together), rel=1e-5)


def test_each_step_asks_the_next(models: Models, planned: Planner) -> None:
    renderer = ensemble(models, 1, 1)
    columns = {"cutouts": {"noise": 0}, "optimiser": {"alternate": True}}
    only = [ensemble(models, 1, 0), ensemble(models, 0, 1)]
    for step in range(4):
        alone = loss(only[step % 2], planned, step, cutouts={"noise": 0})
        assert loss(renderer, planned, step, **columns) == pytest.approx(alone, rel=1e-5)


def test_a_share_of_the_cutouts_is_shown(models: Models, planned: Planner) -> None:
    renderer = ensemble(models, 1, 1, 1, cutouts=(1.0, 0.5, 0.01))
    assert [crops_of_share(8, it) for it in renderer.models.perceptors] == [8, 4, 1]
    plan = planned(cutouts={"number": 8}, prompts=[{"prompts": [{"text": "a reef"}]}])
    frame = next(plan.walk())
    targets = [guide.targets(plan, frame, {}) for guide in renderer._guides]
    begun = FrameInProgress(FrameRequest(plan, frame, None, {}), renderer.models, renderer.starts, targets)
    picture = torch.rand(1, 3, 32, 32)
    assert [len(begun.cutouts(which, 32, picture)) for which in range(3)] == [8, 4, 1]
    first(renderer, plan)


def test_frames_that_ask_by_turns_come_out_together_as_alone(models: Models, planned: Planner) -> None:
    renderer = ensemble(models, 2, 1, cutouts=(0.5, 1, 1))
    plans = [planned(seed=1, steps_first=5), planned(seed=2, steps_first=5, optimiser={"alternate": True}),
             planned(seed=3, steps_first=5, optimiser={"alternate": True}, candidates=2)]  # fmt: skip
    together = renderer.render_together([FrameRequest(plan, next(plan.walk()), None, {}) for plan in plans])
    for plan, made in zip(plans, together, strict=True):
        assert isinstance(made, RenderedFrame)
        np.testing.assert_allclose(made.losses, first(renderer, plan).losses, rtol=1e-3)


def test_an_entry_says_it_of_each_and_has_another_digest(entry: ModelEntry) -> None:
    (plain,) = entry.perceptors

    def of(**how: float) -> ModelEntry:
        return ModelEntry.model_validate(entry.model_dump() | {"perceptors": [plain.model_dump() | how]})

    assert of(weight=1, cutouts=1).digest == entry.digest
    assert len({of(**how).digest for how in ({}, {"weight": 2}, {"cutouts": 0.5})}) == 3
    (loaded,) = load_models(of(weight=2, cutouts=0.5), device="cpu").perceptors
    assert (loaded.weight, loaded.cutouts) == (2, 0.5)
    for wrong in ({"weight": 0}, {"weight": 11}, {"cutouts": 0}, {"cutouts": 1.1}):
        with pytest.raises(ValidationError):
            of(**wrong)
