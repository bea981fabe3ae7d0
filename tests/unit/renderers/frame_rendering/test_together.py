"""Several frames in one pass through the networks: each as if it were alone, in what it gives and in how it fails."""

from __future__ import annotations

import dataclasses
import math
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from renderers.errors import BadInput, NonFiniteLoss, OutOfMemory, Stopped
from renderers.frame_rendering.renderer import FrameRenderer, FrameRequest, RenderedFrame
from renderers.models import Models
from tests.helpers.frames import IMAGES, first
from tests.helpers.random_model import Planner


def cold(plan: Any, **more: Any) -> FrameRequest:
    return FrameRequest(plan, next(plan.walk()), None, IMAGES, **more)


def alone(renderer: FrameRenderer, requests: Sequence[FrameRequest]) -> list[RenderedFrame]:
    found = [renderer.render_together([request])[0] for request in requests]
    assert all(isinstance(one, RenderedFrame) for one in found)
    return found  # type: ignore[return-value]


def test_frames_together_are_what_they_are_alone(renderer: FrameRenderer, planned: Planner) -> None:
    moving = planned(frames=2, zoom="1.1", seed=4)
    parent = first(renderer, moving).frame.state
    requests = [
        cold(planned(prompt="a fish", seed=1, steps_first=5)),
        cold(planned(prompt="a boat", seed=2, steps_first=3, optimiser={"latent_noise": 1.0})),
        FrameRequest(moving, list(moving.walk())[1], parent, {}),
        cold(planned(IMAGES, seed=3, init_image="a.png", loss={"tv": 1.0, "z_decay": 0.5})),
        cold(planned(prompt="a boat", seed=7), cutouts_at_once=1),
        cold(planned(prompt="a tree", seed=5, width=64, height=32)),  # of another shape
        cold(planned(prompt="a tree", seed=6, steps_first=6, optimiser={"coarse": 0.5})),  # of two shapes
    ]
    together = renderer.render_together(requests)
    for one, other in zip(together, alone(renderer, requests), strict=True):
        assert isinstance(one, RenderedFrame)
        assert len(one.losses) == len(other.losses)
        np.testing.assert_allclose(one.losses, other.losses, rtol=1e-4)
        assert np.abs(one.frame.picture.astype(int) - other.frame.picture).max() <= 2
        assert one.frame.provenance["digest"] == other.frame.provenance["digest"]


def test_one_at_a_time_is_the_same_to_the_bit(renderer: FrameRenderer, planned: Planner) -> None:
    plan = planned(seed=9)
    (one,) = alone(renderer, [cold(plan)])
    assert one.frame.to_bytes() == first(renderer, plan, IMAGES).frame.to_bytes()


def test_the_failure_of_one_is_not_the_others(renderer: FrameRenderer, planned: Planner) -> None:
    moving = planned(frames=2)
    parent = first(renderer, moving).frame.state
    moments = dataclasses.replace(parent.moments, scale=torch.full_like(parent.moments.scale, math.nan))
    broken = dataclasses.replace(parent, moments=moments)
    requests = [
        cold(planned(seed=1)),
        FrameRequest(p := planned({"gone.png": b"no picture"}, init_image="gone.png"), next(p.walk()), None,
                     {"gone.png": b"no picture"}),
        FrameRequest(moving, list(moving.walk())[1], broken, {}),
        cold(planned(seed=3)),
    ]  # fmt: skip
    found = renderer.render_together(requests)
    assert [type(one) for one in found] == [RenderedFrame, BadInput, NonFiniteLoss, RenderedFrame]
    # a number that is none spoils no sum of another's
    for one, other in zip((found[0], found[3]), alone(renderer, [requests[0], requests[3]]), strict=True):
        assert isinstance(one, RenderedFrame)
        np.testing.assert_allclose(one.losses, other.losses, rtol=1e-4)


def test_a_stop_stops_all_of_them(renderer: FrameRenderer, planned: Planner) -> None:
    stop = threading.Event()
    requests = [
        cold(planned(seed=seed), should_stop=stop.is_set, on_step=lambda step: stop.set()) for seed in (1, 2, 3)
    ]
    assert [type(one) for one in renderer.render_together(requests)] == [Stopped] * 3


def test_fewer_go_together_where_memory_is_short(
    models: Models, planned: Planner, monkeypatch: pytest.MonkeyPatch
) -> None:
    renderer = FrameRenderer(models)
    requests = [cold(planned(seed=seed)) for seed in range(5)]
    expected = alone(renderer, requests)
    tried: list[int] = []
    losses = renderer._losses

    def short_of_memory(frames: Sequence[Any]) -> list[torch.Tensor]:
        tried.append(len(frames))
        if len(frames) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return losses(frames)

    monkeypatch.setattr(renderer, "_losses", short_of_memory)
    found = renderer.render_together(requests)
    assert tried[:4] == [5, 2, 3, 1]  # halves of halves
    assert max(tried[5:]) <= 2  # learnt at the first step
    for one, other in zip(found, expected, strict=True):
        assert isinstance(one, RenderedFrame)
        np.testing.assert_allclose(one.losses, other.losses, rtol=1e-4)

    monkeypatch.setattr(renderer, "_losses", lambda frames: (_ for _ in ()).throw(torch.OutOfMemoryError("no")))
    (one,) = renderer.render_together(requests[:1])
    assert isinstance(one, OutOfMemory)
    assert "frame 0 of video" in str(one)
