"""A whole video without storage: every frame as it is alone, in order, and no sooner than it is asked for."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from PIL import Image

from renderers.errors import Stopped
from renderers.frame_plan.frame_plan import Retake
from renderers.frame_plan.video_plan import VideoPlan
from renderers.frame_rendering.frame_object import FrameObject
from renderers.frame_rendering.renderer import FrameRenderer
from renderers.frame_rendering.video import VideoProgress, _Video, render_video
from tests.helpers.frames import IMAGES, chain
from tests.helpers.random_model import Planner
from tests.unit.renderers.frame_rendering.test_keyframes import keyed, render_all


def test_a_chain_is_the_frames_one_after_the_other(renderer: FrameRenderer, planned: Planner) -> None:
    plan = planned(IMAGES, frames=3, zoom="1.05", init_image="a.png")
    frames = list(render_video(renderer, plan, IMAGES))
    assert [frame.index for frame in frames] == [0, 1, 2]
    assert [frame.digest for frame in frames] == list(plan.digests)
    assert [frame.to_png() for frame in frames] == [done.frame.to_bytes() for done in chain(renderer, plan, IMAGES)]


def test_a_video_with_keyframes_is_the_same_frames_in_order(renderer: FrameRenderer, planned: Planner) -> None:
    plan = keyed(planned)
    expected = render_all(renderer, plan, list(range(14)))
    frames = list(render_video(renderer, plan, {}))
    assert [frame.to_png() for frame in frames] == [expected[index].frame.to_bytes() for index in range(14)]


def test_a_frame_is_rendered_when_it_is_asked_for_after_those_that_it_needs(
    renderer: FrameRenderer, planned: Planner
) -> None:
    begun: list[int] = []

    def on_step(step: VideoProgress) -> None:
        if step.step == 1:
            begun.append(step.frame)

    frames = render_video(renderer, keyed(planned), {}, on_step=on_step)
    seen = []
    for _ in range(5):
        next(frames)
        seen.append(list(begun))
    # the first alone; the second needs the near keyframe 3, which needs the far one 12; the fourth is there already
    assert seen == [[0], [0, 12, 3, 1], [0, 12, 3, 1, 2], [0, 12, 3, 1, 2], [0, 12, 3, 1, 2, 6, 4]]


@pytest.mark.parametrize("handoff", ["chain", "keyframes"])
def test_what_no_frame_needs_any_more_is_dropped(renderer: FrameRenderer, planned: Planner, handoff: str) -> None:
    video = _Video(renderer, keyed(planned, handoff=handoff), {}, None, None, lambda _: None)
    most = 0
    for frame in video.frames():
        assert frame.index not in video._finished
        most = max(most, len(video._states), len(video._finished))
    assert video._states == video._finished == {}
    assert most <= (1 if handoff == "chain" else 4)  # two far keyframes, a near one, and the frame before


@pytest.mark.parametrize("handoff", [{"frames": 72}, {"frames": 9, "handoff": "keyframes", "keyframe_every": 3}])
def test_a_loop_goes_on_from_storage_as_if_it_had_never_stopped(
    renderer: FrameRenderer, planned: Planner, handoff: dict[str, Any]
) -> None:
    plan = planned(zoom="1.05", loop=True, steps=1, **handoff)
    whole = [frame.to_png() for frame in render_video(renderer, plan, {})]
    first = FrameObject.from_bytes(whole[0], plan.digests[0]).state
    for index in (plan.frames - plan.closing + 1, plan.frames - 1):
        before = FrameObject.from_bytes(whole[index - 1], plan.digests[index - 1]).state
        frame = plan.frame_plans[index]
        again = FrameRenderer(renderer.models).render(plan, frame, before, {}, target_state=first)
        assert again.frame.to_bytes() == whole[index]
        # and it is held to the first frame
        free = replace(frame, place=replace(frame.place, left=None))
        assert again.losses[0] > renderer.render(plan, free, before, {}, target_state=first).losses[0]


def test_progress_says_which_frame_of_how_many(renderer: FrameRenderer, planned: Planner) -> None:
    seen: list[VideoProgress] = []
    frames = list(render_video(renderer, planned(frames=2), {}, on_step=seen.append))
    found = [(it.frame, it.frames_done, it.frames, it.step, it.steps) for it in seen]
    assert found == [(0, 0, 2, 1, 3), (0, 0, 2, 2, 3), (0, 0, 2, 3, 3), (1, 1, 2, 1, 2), (1, 1, 2, 2, 2)]
    assert [it.loss for it in seen] == pytest.approx([*frames[0].losses, *frames[1].losses])
    assert frames[1].loss == frames[1].losses[-1]
    assert all(it.seconds > 0 for it in seen)


def test_a_stop_ends_the_video_in_the_frame_in_progress(renderer: FrameRenderer, planned: Planner) -> None:
    seen: list[VideoProgress] = []
    frames = render_video(renderer, planned(frames=3), {}, on_step=seen.append, should_stop=lambda: len(seen) == 4)
    next(frames)
    with pytest.raises(Stopped, match="stopped in frame 1 of video 'reef' before step 2"):
        next(frames)


def test_a_picture_is_as_large_as_the_row_wants_and_says_how_it_was_made(
    renderer: FrameRenderer, planned: Planner
) -> None:
    small, large = (next(render_video(renderer, planned(upscale=factor), {})) for factor in (1, 3))
    assert (small.image.size, large.image.size) == ((32, 32), (96, 96))
    assert np.array_equal(np.asarray(small.image), small.rendered.frame.picture)
    assert FrameObject.from_bytes(small.to_png(), small.digest).state.to_bytes()
    with Image.open(io.BytesIO(large.to_png())) as png, Image.open(io.BytesIO(small.to_png())) as plain:
        assert png.size == (96, 96)
        assert set(png.text) == set(plain.text)  # type: ignore[attr-defined]
    assert FrameObject.from_bytes(large.to_png(), large.digest).picture.shape == (96, 96, 3)


def test_a_retake_that_goes_on_from_what_only_storage_has_is_a_mistake(
    renderer: FrameRenderer, planned: Planner
) -> None:
    plan = planned(frames=3)
    retake = Retake(2, plan.digests[2], start_digest="0" * 64)
    frames = render_video(renderer, VideoPlan(plan.row, plan.entry, {}, (retake,)), {})
    next(frames)
    next(frames)
    with pytest.raises(ValueError, match="frame 2 needs state to start from"):
        next(frames)
