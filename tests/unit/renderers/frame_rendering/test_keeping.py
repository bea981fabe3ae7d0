"""Masks: what they keep stays what it was, token by token, and the rest is drawn as ever."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch

from manifests.schema import ManifestRow
from renderers.errors import BadInput, Stopped
from renderers.frame_plan.video_plan import VideoPlan
from renderers.frame_rendering.frame_object import FrameObject
from renderers.frame_rendering.renderer import FrameRenderer, FrameRequest, RenderedFrame
from renderers.models import decode_tokens
from renderers.step.optimiser import LatentAdam
from tests.helpers.frames import IMAGES as PICTURES
from tests.helpers.frames import chain, encoded, first
from tests.helpers.random_model import Planner


def half(side: int = 32) -> bytes:
    """The right half may change."""
    grey = np.zeros((side, side, 3), np.uint8)
    grey[:, side // 2 :] = 255
    return encoded(grey)


IMAGES = {**PICTURES, "half.png": half()}
MASKED: dict[str, Any] = {"init_image": "a.png", "mask": "half.png", "steps_first": 8, "steps": 8,
                          "optimiser": {"lr": 0.5}}  # fmt: skip


@pytest.mark.parametrize("more", [{}, {"optimiser": {"lr": 0.5, "even": True, "latent_noise": 2.0}}, {"seed": 4}])
def test_kept_tokens_are_those_of_the_picture_that_it_begins_with(
    renderer: FrameRenderer, planned: Planner, more: dict[str, Any]
) -> None:
    plan = planned(IMAGES, **MASKED | more)
    tokens = first(renderer, plan, IMAGES).frame.state.tokens
    vqgan = renderer.models.vqgan
    init = vqgan.tokenise(renderer.starts.cold(plan, IMAGES, 0).latent)
    assert torch.equal(tokens[..., :4].long(), init[..., :4])
    assert (tokens[..., 4:] != init[..., 4:]).float().mean() > 0.3


@pytest.mark.parametrize("handoff", ["chain", "keyframes"])
def test_they_stay_through_a_video_whose_camera_rests(renderer: FrameRenderer, planned: Planner, handoff: str) -> None:
    plan = planned(IMAGES, **MASKED, frames=7, handoff=handoff, keyframe_every=2)
    states: dict[int, Any] = {}
    for frame in plan.as_placed():
        parent = None if frame.start is None else states[frame.start]
        ahead = None if frame.target_frame is None else states[frame.target_frame]
        states[frame.index] = renderer.render(plan, frame, parent, IMAGES, target_state=ahead).frame.state
    if handoff == "chain":
        assert all(torch.equal(it.tokens[..., :4], states[0].tokens[..., :4]) for it in states.values())
    assert not torch.equal(states[6].tokens[..., 4:], states[0].tokens[..., 4:])
    for frame in plan.walk():  # a cross-fade of two pictures is encoded; what it starts from is kept all the same
        if frame.target_frame is None:
            continue
        start = renderer.starts.warm(plan, frame, states[frame.start], states[frame.target_frame])
        kept = renderer.models.vqgan.tokenise(start.latent)
        assert torch.equal(states[frame.index].tokens[..., :4].long(), kept[..., :4])


def test_a_mask_stands_in_the_frame_or_goes_with_the_camera(renderer: FrameRenderer, planned: Planner) -> None:
    def free(index: int, **columns: Any) -> list[int]:
        """The number of free tokens of each column."""
        plan = planned(IMAGES, **MASKED, frames=6, **columns)
        found = renderer.starts._masks.free(plan, index, IMAGES, (8, 8))
        assert found is not None
        return found[0, 0].sum(dim=0).tolist()

    camera = {"translate_x": "4"}  # a token a frame
    rest = [0] * 4 + [8] * 4
    assert free(0, **camera) == free(5, **camera) == free(0, mask_moves=True, **camera) == rest
    # what comes into view on the left is free
    assert free(2, mask_moves=True, **camera) == [8, 8, 0, 0, 0, 0, 8, 8]
    assert free(3, mask_moves=True) == rest
    assert free(1, mask_moves=True, translate_x="0", zoom="2") == rest  # about the middle


def test_what_a_moved_frame_starts_from_is_kept(renderer: FrameRenderer, planned: Planner) -> None:
    plan = planned(IMAGES, **MASKED, frames=2, translate_x="3", mask_moves=True)
    state, frame = first(renderer, plan, IMAGES).frame.state, list(plan.walk())[1]
    start = renderer.starts.warm(plan, frame, state)
    kept = renderer.starts.kept(plan, frame, IMAGES, start, state)
    assert kept is not None
    tokens = renderer.render(plan, frame, state, IMAGES).frame.state.tokens.long()
    stays = ~kept.free[:, 0]
    assert stays.any()
    assert torch.equal(tokens[stays], renderer.models.vqgan.tokenise(start.latent)[stays])


def test_a_white_mask_changes_no_picture(renderer: FrameRenderer, planned: Planner) -> None:
    images = {**IMAGES, "half.png": encoded(np.full((32, 32, 3), 255, np.uint8))}
    for more in ({}, {"optimiser": {"even": True}}):
        masked, plain = planned(images, **MASKED | more), planned(images, **MASKED | more | {"mask": None})
        one, other = (first(renderer, it, images).frame for it in (masked, plain))
        np.testing.assert_allclose(one.picture.astype(int), other.picture, atol=1)


@pytest.mark.parametrize("even", [False, True])
def test_the_optimiser_takes_the_steps_in_what_is_free_that_it_would_take_there_alone(even: bool) -> None:
    chance = torch.Generator().manual_seed(3)
    gradients = [torch.randn(1, 2, 4, 6, generator=chance) for _ in range(5)]
    free = torch.zeros(1, 1, 4, 6, dtype=torch.bool)
    free[..., 2:] = True
    whole, part = torch.zeros(1, 2, 4, 6), torch.zeros(1, 2, 4, 4)
    adam = LatentAdam(whole, beta1=0.9, beta2=0.99, even=even, free=free)
    alone = LatentAdam(part, beta1=0.9, beta2=0.99, even=even)
    for gradient in gradients:
        adam.step(gradient, 0.1)
        alone.step(gradient[..., 2:], 0.1)
    torch.testing.assert_close(whole[..., 2:], part)
    assert not whole[..., :2].any()
    torch.testing.assert_close(adam.second.mean(dim=(0, 2, 3)), alone.second.mean(dim=(0, 2, 3)))


def test_a_mask_counts_by_its_content(planned: Planner) -> None:
    def digests(name: str, data: bytes, **more: Any) -> tuple[str, ...]:
        columns = MASKED | {"mask": name} | more
        return tuple(planned({"a.png": b"a", name: data}, frames=3, **columns).digests)

    assert digests("m.png", b"one") == digests("there/n.png", b"one")
    without = tuple(planned({"a.png": b"a"}, frames=3, **MASKED | {"mask": None}).digests)
    found = {digests("m.png", b"one"), digests("m.png", b"two"), digests("m.png", b"one", mask_moves=True), without}
    assert len(found) == 4
    assert len({it[0] for it in found}) == 4


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"mask": "m.png"}, r"a mask keeps parts of what a video begins with, but it begins with nothing"),
        ({"mask_moves": True, "init_image": "a.png"}, r"mask_moves lets a mask go .* but no mask is given"),
        ({"mask": "m.png", "init_image": "a.png", "mask_moves": True, "depth": {"shape": "tunnel"}},
         r"a mask goes with a camera before a plane, but depth.shape is tunnel"),
        ({"mask": "m.png", "source": {"video": "f.mp4"}, "mask_moves": True}, r"the film moves and no camera"),
        ({"mask": ""}, r"mask"),
    ],
)  # fmt: skip
def test_what_a_mask_needs_is_said(columns: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ManifestRow(video_id="reef", prompt="a reef", **columns)


@pytest.mark.parametrize("data", [b"", b"a film", half()[:-30]])
def test_a_mask_that_can_not_be_read_is_bad_input(renderer: FrameRenderer, planned: Planner, data: bytes) -> None:
    images = {**IMAGES, "half.png": data}
    with pytest.raises(BadInput, match=r"'half.png' is not a picture that can be read"):
        first(FrameRenderer(renderer.models), planned(images, **MASKED), images)


def test_together_they_are_what_they_are_alone(renderer: FrameRenderer, planned: Planner) -> None:
    requests = []
    for seed in range(4):
        plan = planned(IMAGES, **MASKED, seed=seed, frames=2, translate_x=f"{seed}", mask_moves=seed % 2 == 0)
        state = first(renderer, plan, IMAGES).frame.state
        requests.append(FrameRequest(plan, list(plan.walk())[1], state, IMAGES))
    for request, one in zip(requests, renderer.render_together(requests), strict=True):
        (other,) = renderer.render_together([request])
        assert isinstance(one, RenderedFrame)
        assert isinstance(other, RenderedFrame)
        np.testing.assert_allclose(one.losses, other.losses, rtol=1e-3)
        assert torch.equal(one.frame.state.tokens[..., :1], other.frame.state.tokens[..., :1])


def test_a_frame_that_was_stopped_at_any_step_is_the_same_the_second_time(
    renderer: FrameRenderer, planned: Planner
) -> None:
    plan: VideoPlan = planned(IMAGES, **MASKED, frames=4, translate_x="2", mask_moves=True)
    uninterrupted, chance, parent = chain(renderer, plan, IMAGES), random.Random(3), None
    for frame, expected in zip(plan.walk(), uninterrupted, strict=True):
        state, last, asked = parent.state if parent else None, chance.randrange(8), iter(range(100))
        with pytest.raises(Stopped):
            renderer.render(plan, frame, state, IMAGES, should_stop=lambda at=last, n=asked: next(n) == at)  # type: ignore[misc]
        again = renderer.render(plan, frame, state, IMAGES)
        assert again.frame.to_bytes() == expected.frame.to_bytes()
        parent = FrameObject.from_bytes(again.frame.to_bytes())
        assert torch.equal(
            decode_tokens(renderer.models.vqgan, parent.state.tokens),
            decode_tokens(renderer.models.vqgan, expected.frame.state.tokens),
        )
