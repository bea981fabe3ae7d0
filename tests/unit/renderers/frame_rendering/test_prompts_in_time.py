"""Frames whose prompts change in time: drawn as if their numbers had been written down for each frame."""

from __future__ import annotations

import numpy as np

from renderers.frame_rendering.renderer import FrameRenderer, FrameRequest, RenderedFrame
from tests.helpers.frames import IMAGES, chain
from tests.helpers.random_model import Planner


def test_a_weight_in_brackets_is_the_weight_to_the_bit(renderer: FrameRenderer, planned: Planner) -> None:
    number, expression, keys = (
        chain(renderer, planned(frames=2, prompt=text))
        for text in ("a reef | fog:-.5:-.9", "a reef | fog:(-1/2):(-.9)", "a reef:(1) | fog:(0:(-.5)):(t*0 - .9)")
    )
    for one, other in ((number, expression), (number, keys)):
        assert [frame.losses for frame in one] == [frame.losses for frame in other]
        assert all(np.array_equal(a.frame.picture, b.frame.picture) for a, b in zip(one, other, strict=True))


def test_a_prompt_of_weight_0_is_not_there(renderer: FrameRenderer, planned: Planner) -> None:
    alone = chain(renderer, planned(frames=3, prompt="a reef"))
    later = chain(renderer, planned(frames=3, prompt="a reef | fog:(t > 1)"))
    assert [a.losses == b.losses for a, b in zip(alone, later, strict=True)] == [True, True, False]


def test_a_frame_that_nothing_pulls_at_is_drawn_all_the_same(renderer: FrameRenderer, planned: Planner) -> None:
    plan = planned(frames=2, prompt="a reef:(t < 0)", noise_prompts=[{"seed": 1, "weight": "t < 0"}])
    frames = chain(renderer, plan)
    assert [frame.losses for frame in frames] == [(0.0, 0.0, 0.0), (0.0, 0.0)]
    # beside another one in the same pass, too
    other = planned(prompt="a reef")
    requests = [FrameRequest(it, next(it.walk()), None, {}) for it in (plan, other)]
    idle, drawn = renderer.render_together(requests)
    assert isinstance(idle, RenderedFrame)
    assert isinstance(drawn, RenderedFrame)
    assert idle.losses == (0.0, 0.0, 0.0)
    assert drawn.losses[0] > 0


def test_pictures_and_noise_have_the_weight_of_the_frame(renderer: FrameRenderer, planned: Planner) -> None:
    digests = {"a.png": IMAGES["a.png"]}
    rows = [
        {"image_prompts": [{"image": "a.png", "weight": weight}], "noise_prompts": [{"seed": 2, "weight": weight}]}
        for weight in (0.5, "t + .5", "t + .6")
    ]
    one, same, other = (
        renderer.render(plan, next(plan.walk()), None, IMAGES)
        for plan in (planned(digests, prompt="a reef", **row) for row in rows)
    )
    assert one.losses == same.losses
    assert one.losses[0] < other.losses[0]
