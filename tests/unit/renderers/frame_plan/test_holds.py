"""What frames are held to, as it is planned: digests, cold starts, what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from manifests.schema import ManifestRow
from manifests.schema.hold import HOLD_LIMITS
from renderers.errors import BadInput
from renderers.frame_plan import addressing_v4
from renderers.frame_plan.frame_plan import ParentFrame
from renderers.frame_plan.part import part_plans
from tests.helpers.random_model import Planner

OWN = sorted(HOLD_LIMITS.keys() - {"init"})
IMAGES = {"a.png": b"a"}


@pytest.mark.parametrize("name", OWN)
def test_each_enters_the_digests_of_the_warm_frames_where_it_is_not_0(planned: Planner, name: str) -> None:
    at_rest = planned(frames=6)
    for nothing in ("0", "0:(0), 5:(0)", "t*0", 0.0):
        assert planned(frames=6, hold={name: nothing, "init_as": "edges", "init_fade": "linear"}).digests == (
            at_rest.digests
        )
    assert planned(frames=6, hold={name: 0.0}).expressible(addressing_v4.ALGORITHM)
    plan = planned(frames=6, hold={name: 2})
    assert not plan.expressible(addressing_v4.ALGORITHM)
    assert plan.digests[0] == at_rest.digests[0]  # a cold start is held to nothing
    assert not set(plan.digests[1:]) & set(at_rest.digests)
    assert [frame.holds for frame in plan.walk()] == [()] + [((name, 2.0),)] * 5
    late = planned(frames=6, hold={name: "where(t < 3, 0, 1+1)"})
    assert late.digests[:3] == at_rest.digests[:3]
    assert not set(late.digests[3:]) & set(at_rest.digests)


def test_the_picture_it_begins_with_holds_the_first_frame_too(planned: Planner) -> None:
    at_rest = planned(IMAGES, frames=4, init_image="a.png").digests

    def digests(**hold: Any) -> tuple[str, ...]:
        return tuple(planned(IMAGES, frames=4, init_image="a.png", hold=hold).digests)

    assert digests(init=0, init_as="edges") == tuple(at_rest)
    found = {
        digests(init="where(t < 3, 0, 2)", **more)
        for more in ({}, {"init_as": "edges"}, {"init_fade": "linear"}, {"init_fade": "steps:5"})
    }
    assert len(found) == 4
    assert {it[:3] for it in found} == {tuple(at_rest[:3])}
    assert digests(init=2)[0] != at_rest[0]
    assert digests(init=2, init_fade=" steps: 05 ") == digests(init="2.0", init_fade="steps:5")


def test_keyframes_and_what_lies_between_them_are_held_alike(planned: Planner) -> None:
    plan = planned(frames=14, keyframe_every=3, handoff="keyframes", hold={"picture": "t"})
    assert [frame.holds for frame in plan.walk()] == [(), *((("picture", float(t)),) for t in range(1, 14))]


def test_a_video_that_continues_another_is_held_to_its_frame(planned: Planner) -> None:
    plan = replace(planned(continues="dawn@7", frames=2, hold={"picture": 3}), parent=ParentFrame("dawn", 7, "a" * 64))
    assert [frame.holds for frame in plan.walk()] == [(("picture", 3.0),)] * 2


def test_a_part_begins_with_a_cold_start(planned: Planner) -> None:
    plan = planned(IMAGES, frames=6, init_image="a.png", hold={"picture": 3, "init": 1})
    assert [frame.holds for frame in part_plans(plan, range(3, 5))] == [
        (("init", 1.0),), (("picture", 3.0), ("init", 1.0)),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("hold", "message"),
    [
        ({"picture": "-1"}, r"'-1' is -1 at frame 0; allowed is 0 to 1000"),
        ({"edges": "0:(0), 20:(2000)"}, r"is 2000 at frame 20; allowed is 0 to 1000"),
        ({"latent": "1/t"}, r"at frame 0, character 1: division by zero"),
        ({"meening": "1"}, r"meening"),
        ({"init": "1"}, r"hold\.init '1' holds frames to init_image, but none is given: name a picture"),
        ({"init": "where(t > 9, 1, 0)"}, r"but none is given"),
        ({"init_as": "colours"}, r"'picture', 'edges', 'latent' or 'meaning'"),
        ({"init_fade": "liner"}, r"'liner' is neither none, linear nor inverse.*did you mean 'linear'"),
        ({"init_fade": "steps:0"}, r"'steps:0' asks for 0 stairs; allowed is 1 to 100"),
        ({"init_fade": "steps:999"}, r"asks for 999 stairs; allowed is 1 to 100"),
        ({"init_fade": "steps:" + "9" * 90}, r"is neither none"),
    ],
)
def test_what_is_not_allowed_is_said_with_its_place(hold: dict[str, str], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ManifestRow(video_id="reef", prompt="a reef", frames=48, hold=hold)


def test_long_videos_are_checked_frame_by_frame(planned: Planner) -> None:
    plan = planned(frames=5000, hold={"picture": "where(t == 4321, -1, 1)"})
    with pytest.raises(BadInput, match=r"hold\.picture of video 'reef' is -1 at frame 4321; allowed is 0 to 1000"):
        _ = plan.digests
