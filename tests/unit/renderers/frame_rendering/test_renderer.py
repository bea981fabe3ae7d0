"""The frame loop on random weights: what it keeps, what pulls, and how it ends badly."""

from __future__ import annotations

import copy
import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import torch

from renderers.errors import NonFiniteLoss, Stopped
from renderers.frame_rendering.frame_object import FrameObject
from renderers.frame_rendering.renderer import FrameRenderer, StepProgress
from renderers.models import Models
from tests.helpers.frames import IMAGES, chain, first, start, with_vqgan
from tests.helpers.random_model import Planner

# --- what a frame is --------------------------------------------------------------------------------------------------


def test_a_frame_holds_picture_tokens_moments_and_provenance(renderer: FrameRenderer, planned: Planner) -> None:
    plan = planned(width=40, height=24, frames=2)
    done, later = chain(renderer, plan)
    assert done.frame.picture.shape == (24, 40, 3)
    assert done.frame.picture.dtype == np.uint8
    assert done.frame.state.tokens.shape == (1, 6, 10)
    assert done.frame.state.tokens.dtype == torch.int32
    assert len(done.losses) == plan.row.steps_first == 3
    assert len(later.losses) == plan.row.steps == 2
    assert (done.frame.state.moments.steps, later.frame.state.moments.steps) == (3, 5)
    provenance = later.frame.provenance
    assert (provenance["digest"], provenance["parent"], provenance["frame"]) == (plan.digests[1], plan.digests[0], 1)
    assert provenance["loss"] == later.losses[-1]
    assert provenance["row"]["prompt"] == "a coral reef"
    assert FrameObject.from_bytes(later.frame.to_bytes(), plan.digests[1]).provenance == provenance


def test_the_tokens_determine_the_picture(renderer: FrameRenderer, planned: Planner) -> None:
    frame = first(renderer, planned()).frame
    picture = renderer.models.vqgan.decode(renderer.models.vqgan.look_up(frame.state.tokens)).clamp(0, 1)
    assert np.array_equal((picture[0] * 255).round().byte().permute(1, 2, 0).numpy(), frame.picture)


def test_the_latent_never_leaves_the_range_of_the_codebook(renderer: FrameRenderer, planned: Planner) -> None:
    """Adam's first step moves every element by the learning rate; one of 10 would carry all of them far out."""
    state = first(renderer, planned(steps_first=1, optimiser={"lr": 10})).frame.state
    latent = state.expand(renderer.starts.low, renderer.starts.high)
    at_a_bound = torch.isclose(latent, renderer.starts.low) | torch.isclose(latent, renderer.starts.high)
    assert float(at_a_bound.float().mean()) > 0.99
    assert set(state.latent.unique().tolist()) <= {0, 255}


# --- the same again ---------------------------------------------------------------------------------------------------


def test_the_same_row_gives_the_same_bytes_whatever_went_before(renderer: FrameRenderer, planned: Planner) -> None:
    plan = planned(frames=3, zoom="1.05", optimiser={"latent_noise": 0.5})
    once = [done.frame.to_bytes() for done in chain(renderer, plan)]
    first(renderer, planned(seed=5, prompt="something else", width=64))
    torch.manual_seed(99)
    assert [done.frame.to_bytes() for done in chain(FrameRenderer(renderer.models), plan)] == once


def test_a_chain_that_goes_on_from_storage_is_the_chain_that_never_stopped(
    renderer: FrameRenderer, planned: Planner
) -> None:
    plan = planned(frames=4, zoom="1.05", angle="3")
    whole = [done.frame.to_bytes() for done in chain(renderer, plan)]
    frames = tuple(plan.walk())
    for index in (1, 2, 3):
        parent = FrameObject.from_bytes(whole[index - 1], plan.digests[index - 1]).state
        again = FrameRenderer(renderer.models).render(plan, frames[index], parent, {})
        assert again.frame.to_bytes() == whole[index]


def test_the_number_of_threads_is_the_models_not_the_callers(renderer: FrameRenderer, planned: Planner) -> None:
    plan = planned(width=64, height=64)
    once = first(renderer, plan).frame.to_bytes()
    torch.set_num_threads(3)
    assert first(renderer, plan).frame.to_bytes() == once
    assert torch.get_num_threads() == renderer.models.threads == 1


def test_another_seed_is_another_picture(renderer: FrameRenderer, planned: Planner) -> None:
    for init in ("tokens", "noise", "fractal", "gradient", "blank"):
        one, other = (first(renderer, planned(seed=seed, init=init)).frame.state.tokens for seed in (0, 1))
        assert not torch.equal(one, other)


def test_another_seed_is_another_picture_always_the_same_and_reported(
    renderer: FrameRenderer, planned: Planner
) -> None:
    plan = planned()
    frame = next(plan.walk())
    once, again = (renderer.render(plan, frame, None, {}, reseeded=True).frame for _ in range(2))
    assert once.to_bytes() == again.to_bytes()
    assert not np.array_equal(once.picture, first(renderer, plan).frame.picture)
    assert once.provenance["seed"] != plan.row.seed


# --- what pulls -------------------------------------------------------------------------------------------------------


def loss_of(renderer: FrameRenderer, planned: Planner, **columns: Any) -> float:
    """Loss of the first step, on the same start and the same cutouts."""
    return first(renderer, planned(IMAGES, steps_first=1, **columns), IMAGES).losses[0]


def test_the_loss_is_the_sum_over_prompts_of_every_kind(renderer: FrameRenderer, planned: Planner) -> None:
    text, picture, noise = {"prompt": "a reef"}, [{"image": "a.png", "weight": 0.5}], [{"seed": 4, "weight": 0.25}]
    one = loss_of(renderer, planned, **text)
    with_picture = loss_of(renderer, planned, **text, image_prompts=picture)
    with_noise = loss_of(renderer, planned, **text, noise_prompts=noise)
    every = loss_of(renderer, planned, **text, image_prompts=picture, noise_prompts=noise)
    assert with_picture > one
    assert with_noise > one
    assert every - one == pytest.approx((with_picture - one) + (with_noise - one), rel=1e-4)
    assert loss_of(renderer, planned, prompt="a reef:2") == pytest.approx(2 * one, rel=1e-5)
    assert loss_of(renderer, planned, prompt="a reef:-1") == pytest.approx(-one, rel=1e-5)
    assert loss_of(renderer, planned, prompt="a reef | a reef:-1") == pytest.approx(0, abs=1e-5)


def test_regularisers_add_to_the_loss(renderer: FrameRenderer, planned: Planner) -> None:
    plain = loss_of(renderer, planned)
    plan = planned(steps_first=1)
    latent = start(renderer, plan)
    z_decay = loss_of(renderer, planned, loss={"z_decay": 3}) - plain
    assert z_decay == pytest.approx(
        3 / 2 * float((latent**2).mean()), rel=1e-4
    )  # iw / (2 (2 i + 1)) mean(z^2) at i = 0
    vqgan = renderer.models.vqgan
    picture = vqgan.decode(vqgan.quantise(latent)).clamp(0, 1)
    neighbours = picture.diff(dim=-1).abs().mean() + picture.diff(dim=-2).abs().mean()
    assert loss_of(renderer, planned, loss={"tv": 2}) - plain == pytest.approx(2 * float(neighbours), rel=1e-4)
    assert loss_of(renderer, planned, loss={"contrast": 1}) > plain
    # contrast is for what the picture should show, never for what it should not
    away = loss_of(renderer, planned, prompt="a reef:-1")
    assert loss_of(renderer, planned, prompt="a reef:-1", loss={"contrast": 1}) == pytest.approx(away)


def test_every_step_and_every_frame_sees_cutouts_of_its_own(renderer: FrameRenderer, planned: Planner) -> None:
    """At next to no learning rate and without noise, only the cutouts tell one step from the next."""
    plan = planned(frames=2, steps_first=3, steps=3, cutouts={"noise": 0}, optimiser={"lr": 1e-9})
    one, other = (done.losses for done in chain(renderer, plan))
    assert len({round(loss, 6) for loss in (*one, *other)}) == 6
    still = {
        "affine_probability": 0, "perspective_probability": 0, "jitter_probability": 0, "erase_probability": 0,
        "noise": 0,
    }  # fmt: skip
    losses = first(renderer, planned(steps_first=3, cutouts=still, optimiser={"lr": 1e-9})).losses
    assert losses == pytest.approx([losses[0]] * 3, abs=1e-5)


def test_steps_lower_the_loss(renderer: FrameRenderer, planned: Planner) -> None:
    quiet = {
        "number": 8, "affine_probability": 0, "perspective_probability": 0, "jitter_probability": 0,
        "erase_probability": 0, "noise": 0,
    }  # fmt: skip
    losses = first(renderer, planned(steps_first=40, cutouts=quiet)).losses
    assert min(losses[-5:]) < losses[0] - 0.02
    losses = first(renderer, planned(prompt="a coral reef:-1", steps_first=40, cutouts=quiet)).losses
    assert min(losses[-5:]) < losses[0] - 0.02


def test_several_perceptors_are_averaged(models: Models, renderer: FrameRenderer, planned: Planner) -> None:
    two = FrameRenderer(dataclasses.replace(models, perceptors=models.perceptors * 2))
    quiet = {"affine_probability": 0, "perspective_probability": 0, "jitter_probability": 0, "erase_probability": 0,
             "noise": 0}  # fmt: skip
    assert loss_of(two, planned, cutouts=quiet) == pytest.approx(loss_of(renderer, planned, cutouts=quiet), rel=1e-5)
    # with augmentation they see different cutouts
    assert loss_of(two, planned) != pytest.approx(loss_of(renderer, planned), rel=1e-5)


# --- progress and bad ends --------------------------------------------------------------------------------------------


def test_every_step_reports(renderer: FrameRenderer, planned: Planner) -> None:
    plan = planned(steps_first=4)
    seen: list[StepProgress] = []
    done = renderer.render(plan, next(plan.walk()), None, {}, on_step=seen.append)
    assert [(step.step, step.steps) for step in seen] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert tuple(step.loss for step in seen) == done.losses
    assert 0 < seen[0].seconds <= seen[-1].seconds <= done.seconds


@pytest.mark.parametrize("after", [0, 2])
def test_a_stop_between_steps_keeps_nothing(renderer: FrameRenderer, planned: Planner, after: int) -> None:
    plan = planned(steps_first=5)
    seen: list[StepProgress] = []
    with pytest.raises(Stopped, match=rf"stopped in frame 0 of video 'reef' before step {after + 1}"):
        renderer.render(plan, next(plan.walk()), None, {}, on_step=seen.append, should_stop=lambda: len(seen) == after)
    assert len(seen) == after


def test_a_loss_that_is_no_number_is_an_error(models: Models, planned: Planner) -> None:
    vqgan = copy.deepcopy(models.vqgan)
    vqgan.decoder.conv_out.weight.data[0] = math.nan
    said = r"frame 0 of video 'reef': the loss became non-finite \(nan\) at step 1: try a smaller"
    with pytest.raises(NonFiniteLoss, match=said):
        first(with_vqgan(models, vqgan), planned())


def test_a_latent_that_is_no_number_is_an_error_though_the_loss_is_one(models: Models, planned: Planner) -> None:
    """The last step's gradient shows in no loss: without a check, garbage would be committed."""
    vqgan = copy.deepcopy(models.vqgan)
    # so steep that its pictures saturate, which the clamp undoes, and its gradient overflows, which nothing undoes
    vqgan.decoder.conv_out.weight.data.abs_().mul_(1e38)
    vqgan.decoder.norm_out.weight.data.mul_(1e6)
    with pytest.raises(NonFiniteLoss, match=r"frame 0 of video 'reef': the latent became non-finite at the last step"):
        first(with_vqgan(models, vqgan), planned(steps_first=1))
