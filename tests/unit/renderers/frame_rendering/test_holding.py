"""Frames that are held to something: to their own start, and to the picture that their video begins with."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from renderers.errors import Stopped
from renderers.frame_plan.handoff import PULL
from renderers.frame_rendering.frame_object import FrameObject
from renderers.frame_rendering.holding import FrameGoals, mean_embedding
from renderers.frame_rendering.in_progress import FrameInProgress
from renderers.frame_rendering.pictures import read_picture
from renderers.frame_rendering.renderer import FrameRenderer, FrameRequest, RenderedFrame
from renderers.frame_rendering.warp import warp_of
from renderers.models import Models, decode_tokens
from renderers.step.goals import Goal
from tests.helpers.frames import IMAGES, chain, first
from tests.helpers.random_model import Planner

ALL: dict[str, Any] = {
    "picture": "3", "edges": "50", "latent": ".5", "meaning": "0.5", "init": "4 - t", "init_as": "latent",
    "init_fade": "steps:2",
}  # fmt: skip


def test_no_hold_leaves_frames_as_they_are(renderer: FrameRenderer, planned: Planner) -> None:
    plan = planned(IMAGES, frames=3, zoom="1.1", init_image="a.png")
    without = chain(renderer, plan, IMAGES)
    at_rest = chain(renderer, planned(IMAGES, frames=3, zoom="1.1", init_image="a.png", hold={"picture": 0}), IMAGES)
    for one, other in zip(without, at_rest, strict=True):
        assert np.array_equal(one.frame.picture, other.frame.picture)
        assert one.losses == other.losses
        assert one.frame.state.to_bytes() == other.frame.state.to_bytes()


def test_what_a_frame_is_held_to_is_what_it_starts_from_before_it_is_encoded(
    renderer: FrameRenderer, planned: Planner
) -> None:
    plan = planned(frames=2, zoom="0.8", angle="5", hold={"picture": 2, "edges": 3, "latent": 4, "meaning": 5})
    parent, frame = first(renderer, plan).frame.state, list(plan.walk())[1]
    start = renderer.starts.warm(plan, frame, parent)
    shown = decode_tokens(renderer.models.vqgan, parent.tokens)
    warp = warp_of(frame.motion, shown)
    assert [(goal.kind, goal.weight) for goal in start.goals] == [
        ("picture", 2), ("edges", 3), ("latent", 4), ("meaning", 5),
    ]  # fmt: skip
    for goal in start.goals:
        assert torch.equal(goal.picture, warp.move(shown, border="reflect").clamp(0, 1))
        assert goal.coverage is not None
        assert torch.equal(goal.coverage, warp.coverage(32, 32))
        assert 0 < float(goal.coverage.mean()) < 1  # new border is free
        if goal.kind == "latent":
            assert goal.latent is not None
            assert torch.equal(goal.latent, start.latent)
            assert goal.latent is not start.latent  # that one is changed in place


def test_where_the_camera_rests_it_is_the_parents_picture(renderer: FrameRenderer, planned: Planner) -> None:
    plan = planned(frames=2, hold={"picture": 2})
    parent = first(renderer, plan).frame.state
    start = renderer.starts.warm(plan, list(plan.walk())[1], parent)
    (goal,) = start.goals
    assert goal.coverage is None
    assert torch.equal(goal.picture, decode_tokens(renderer.models.vqgan, parent.tokens))
    assert torch.equal(start.latent, parent.expand(renderer.starts.low, renderer.starts.high))


def test_in_a_gap_the_keyframe_pulls_first(renderer: FrameRenderer, planned: Planner) -> None:
    gaps = {"frames": 4, "zoom": "1.05", "handoff": "keyframes", "keyframe_every": 3}
    plan = planned(**gaps, hold={"picture": 7})
    state, frame = first(renderer, plan).frame.state, list(plan.walk())[1]
    pull, own = renderer.starts.warm(plan, frame, state, state).goals
    assert (pull.kind, pull.weight, pull.coverage) == ("picture", pytest.approx(PULL / 3), None)
    assert (own.kind, own.weight) == ("picture", 7)
    assert torch.equal(own.picture, pull.picture)  # the cross-fade that it starts from


@pytest.mark.parametrize("name", ["picture", "edges", "latent", "meaning"])
def test_a_held_frame_is_nearer_to_its_start(renderer: FrameRenderer, planned: Planner, name: str) -> None:
    columns: dict[str, Any] = {"frames": 2, "prompt": "a coral reef:20", "steps": 30, "optimiser": {"lr": 0.05}}
    weight = {"picture": 1000, "edges": 1000, "latent": 100, "meaning": 1000}[name]
    plain, held = planned(**columns), planned(**columns, hold={name: weight})
    parent = first(renderer, plain)
    frames = [renderer.render(it, list(it.walk())[1], parent.frame.state, {}).frame for it in (plain, held)]

    def distance(frame: FrameObject) -> float:
        one, other = (torch.from_numpy(it.picture).permute(2, 0, 1)[None].float() / 255 for it in (frame, parent.frame))
        if name == "meaning":
            seen = [mean_embedding(renderer.models.perceptors[0], it) for it in (one, other)]
            return float((seen[0] - seen[1]).norm())
        if name == "latent":
            latents = [it.state.expand(renderer.starts.low, renderer.starts.high) for it in (frame, parent.frame)]
            return float(F.mse_loss(*latents))
        return float(F.mse_loss(one, other))

    assert distance(frames[1]) < 0.8 * distance(frames[0])


@pytest.mark.parametrize("kind", ["picture", "edges", "latent", "meaning"])
def test_the_init_picture_holds_frames_in_the_sense_that_is_wanted(
    renderer: FrameRenderer, planned: Planner, kind: str
) -> None:
    plan = planned(IMAGES, init_image="a.png", hold={"init": 2, "init_as": kind, "init_fade": "linear"})
    (goal,) = renderer.starts.init_goals(plan, next(plan.walk()), IMAGES)
    picture = read_picture(IMAGES, "a.png", 32, 32)
    assert (goal.kind, goal.weight, goal.fade, goal.coverage) == (kind, 2, "linear", None)
    torch.testing.assert_close(goal.picture, picture)
    assert (goal.latent is not None) == (kind == "latent")
    if goal.latent is not None:
        torch.testing.assert_close(goal.latent, renderer.models.vqgan.encode(picture))
    plain = first(renderer, planned(IMAGES, init_image="a.png"), IMAGES)
    assert first(renderer, plan, IMAGES).losses[-1] > plain.losses[-1]


def test_at_each_stair_what_it_has_come_to_is_the_goal_and_adam_begins_anew(
    renderer: FrameRenderer, planned: Planner
) -> None:
    plan = planned(
        IMAGES, init_image="a.png", steps_first=9, hold={"init": 3, "init_as": "latent", "init_fade": "steps:3"}
    )
    frame = FrameInProgress(
        FrameRequest(plan, next(plan.walk()), None, IMAGES), renderer.models, renderer.starts,
        [guide.targets(plan, next(plan.walk()), IMAGES) for guide in renderer._guides],
    )  # fmt: skip
    vqgan, goals, steps = renderer.models.vqgan, [], []
    while not frame.done:
        (goal,) = frame._goals.at(frame.step)
        goals.append(goal)
        if frame.step in (3, 6):
            assert goal.latent is not None
            torch.testing.assert_close(goal.latent, vqgan.quantise(frame.latent.detach()))
            assert torch.equal(goal.picture, decode_tokens(vqgan, vqgan.tokenise(frame.latent)))
        loss = frame.add_regularisers(torch.zeros(()), vqgan.decode(vqgan.quantise(frame.latent)).clamp(0, 1))
        (gradient,) = torch.autograd.grad(loss + (frame.latent - 0.3).square().sum(), frame.latent)
        frame.apply_gradient(loss, gradient)
        steps.append(frame._adam.steps)
    assert [goal.weight for goal in goals] == [pytest.approx(it) for it in (3, 3, 3, 2, 2, 2, 1, 1, 1)]
    assert steps == [1, 2, 0, 1, 2, 0, 1, 2, 3]


def test_meanings_are_seen_anew_where_their_picture_changes(models: Models) -> None:
    one, other = (read_picture(IMAGES, name, 32, 32) for name in IMAGES)
    perceptor, vqgan = models.perceptors[0], models.vqgan
    goals = FrameGoals([Goal("picture", one, 1.0), Goal("meaning", one, 4.0, fade="steps:2")], models, 4, vqgan)
    (target,) = goals.meanings(1, 0)
    assert target.weight == 4
    assert torch.equal(target.vector, mean_embedding(perceptor, one))
    latent = vqgan.encode(other)
    assert not goals.climb(1, latent)
    assert goals.climb(2, latent)
    (target,) = goals.meanings(2, 0)
    assert target.weight == 2
    assert torch.equal(target.vector, mean_embedding(perceptor, decode_tokens(vqgan, vqgan.tokenise(latent))))
    kept, _ = goals.at(2)
    assert torch.equal(kept.picture, one)


def test_a_mean_embedding_is_that_of_an_image_prompt(models: Models, renderer: FrameRenderer, planned: Planner) -> None:
    """Nearly: Pillow resizes there, in whole levels."""
    plan = planned(IMAGES, image_prompts=[{"image": "a.png"}])
    (target,) = renderer._guides[0].targets(plan, next(plan.walk()), IMAGES).others
    seen = mean_embedding(models.perceptors[0], read_picture(IMAGES, "a.png", 32, 32))
    assert float(seen @ target.vector) > 0.98
    assert float(seen.norm()) == pytest.approx(1)


def test_together_they_are_what_they_are_alone(renderer: FrameRenderer, planned: Planner) -> None:
    requests = []
    for seed in range(4):
        hold = dict(ALL, picture=f"{seed + 1}", init_as=("latent", "picture", "edges", "meaning")[seed])
        plan = planned(IMAGES, frames=2, seed=seed, zoom="1.1", init_image="a.png", hold=hold, handoff="chain")
        requests.append(FrameRequest(plan, list(plan.walk())[1], first(renderer, plan, IMAGES).frame.state, IMAGES))
    together = renderer.render_together(requests)
    for request, one in zip(requests, together, strict=True):
        (other,) = renderer.render_together([request])
        assert isinstance(one, RenderedFrame)
        assert isinstance(other, RenderedFrame)
        np.testing.assert_allclose(one.losses, other.losses, rtol=1e-4)
        assert np.abs(one.frame.picture.astype(int) - other.frame.picture).max() <= 2


def test_a_few_cutouts_at_a_time_come_to_the_same(renderer: FrameRenderer, planned: Planner) -> None:
    plan = planned(IMAGES, init_image="a.png", hold={"init": 5, "init_as": "meaning"})
    frame = next(plan.walk())
    whole, parts = (renderer.render(plan, frame, None, IMAGES, cutouts_at_once=number) for number in (None, 1))
    np.testing.assert_allclose(whole.losses, parts.losses, rtol=1e-4)


def test_a_frame_that_was_stopped_at_any_step_is_the_same_the_second_time(
    renderer: FrameRenderer, planned: Planner
) -> None:
    """From what storage gives back, after a stop at a step of chance."""
    plan = planned(IMAGES, frames=4, steps=6, steps_first=6, zoom="1.1", init_image="a.png", hold=ALL)
    uninterrupted = chain(renderer, plan, IMAGES)
    chance, parent = random.Random(7), None
    for frame, expected in zip(plan.walk(), uninterrupted, strict=True):
        state, last, asked = parent.state if parent else None, chance.randrange(6), iter(range(100))
        with pytest.raises(Stopped):
            renderer.render(plan, frame, state, IMAGES, should_stop=lambda at=last, n=asked: next(n) == at)  # type: ignore[misc]
        again = renderer.render(plan, frame, state, IMAGES)
        assert again.frame.to_bytes() == expected.frame.to_bytes()
        parent = FrameObject.from_bytes(again.frame.to_bytes())
