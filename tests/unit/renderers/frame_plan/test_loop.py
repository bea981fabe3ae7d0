"""Loops: the last frames lead back to the first, which comes again after the last."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from manifests.checking import check_row
from manifests.results import RowProblem
from manifests.schema import ManifestRow
from manifests.schema.row import CHAIN_CLOSING
from renderers.errors import BadInput
from renderers.frame_plan.frame_plan import FramePlan, Retake
from renderers.frame_plan.handoff import Place, chain_places, keyframe_places
from renderers.frame_plan.motion import Homography
from renderers.frame_plan.part import part_plans, smaller
from tests.helpers.random_model import Planner

N = 80
KEYFRAMES = {"handoff": "keyframes", "keyframe_every": 5}


def weights(frame: FramePlan) -> dict[str, float]:
    return {prompt.text: prompt.weight for prompt in frame.prompts}


# --- places -----------------------------------------------------------------------------------------------------------


def test_the_last_frames_of_a_chain_are_a_gap_that_ends_at_the_first() -> None:
    places = list(chain_places(8, 3))
    assert places[0] == Place(0, None, again=True)
    assert places[0].ahead
    assert places[1:6] == list(chain_places(8))[1:6]
    assert places[6:] == [Place(6, 5, 5, 0, target_time=8), Place(7, 6, 5, 0, target_time=8)]
    assert [place.share for place in places[5:]] == [0, pytest.approx(1 / 3), pytest.approx(2 / 3)]
    assert places[7].target_at == 8


def test_with_keyframes_the_last_far_one_is_where_the_way_back_begins() -> None:
    places = {place.index: place for place in keyframe_places(30, 3, closing=3)}
    assert {index for index, place in places.items() if place.level == 0} == {0, 12, 24, 27}
    assert places[28] == Place(28, 27, 27, 0, target_time=30)
    assert places[29].share == pytest.approx(2 / 3)


@given(frames=st.integers(1, 200), every=st.integers(2, 20), cuts=st.lists(st.integers(0, 250), max_size=4))
def test_every_frame_of_a_loop_comes_once_and_after_all_that_it_needs(frames: int, every: int, cuts: list[int]) -> None:
    frames += 3 * every
    for places in (keyframe_places(frames, every, cuts, every), chain_places(frames, every)):
        done: set[int] = set()
        for place in places:
            assert place.index not in done
            assert {place.start, place.target_frame, place.left} - {None} <= done
            assert 0 <= place.share < 1
            assert (place.target_time is not None) == (place.index > frames - every)
            done.add(place.index)
        assert done == set(range(frames))


# --- digests ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("handoff", "closing"), [({}, CHAIN_CLOSING), (KEYFRAMES, 5)])
def test_a_loop_has_frames_of_its_own_and_what_is_none_keeps_its_frames(
    planned: Planner, handoff: dict[str, Any], closing: int
) -> None:
    """The first frame of a loop is one that others can reach, as all that are drawn to are."""
    open_, loop = (planned(frames=N, zoom="1.02", loop=it, **handoff) for it in (False, True))
    assert (loop.closing, open_.closing) == (closing, 0)
    assert not set(open_.digests) & set(loop.digests)
    assert planned(frames=N, zoom="1.02", **handoff).digests == open_.digests
    assert not loop.expressible(4)


def test_a_longer_loop_keeps_the_frames_before_the_way_back(planned: Planner) -> None:
    one, other = (planned(frames=frames, zoom="1.02", loop=True).digests for frames in (N, N + 10))
    gone = N - CHAIN_CLOSING + 1
    assert [a == b for a, b in zip(one, other[:N], strict=True)] == [True] * gone + [False] * (N - gone)


def test_another_take_of_the_first_frame_that_all_others_keep_renders_the_way_back_anew(planned: Planner) -> None:
    plan = planned(frames=N, loop=True)
    first, second = plan.frame_plans[0], plan.frame_plans[1]

    def decide(index: int, digest: str) -> Retake | None:
        if index == 0:
            return Retake(0, digest, 7)
        return Retake(1, digest, None, first.digest) if index == 1 else None

    now = tuple(plan.walk_with(decide))
    assert now[0].digest != first.digest
    assert now[1].digest == second.digest
    same = [one.digest == other.digest for one, other in zip(now, plan.frame_plans, strict=True)]
    assert same == [False] + [True] * (N - CHAIN_CLOSING) + [False] * (CHAIN_CLOSING - 1)
    assert {frame.target_digest for frame in now[N - CHAIN_CLOSING + 1 :]} == {now[0].digest}


def test_what_a_loop_needs_is_the_frame_before_and_the_first(planned: Planner) -> None:
    frames = planned(frames=N, loop=True).frame_plans
    assert frames[N - CHAIN_CLOSING].needs == (N - CHAIN_CLOSING - 1,)
    assert frames[-1].needs == (N - 2, 0)


# --- camera and prompts -----------------------------------------------------------------------------------------------


def test_the_first_frame_is_moved_back_from_where_it_comes_again(planned: Planner) -> None:
    plan = planned(frames=N, loop=True, zoom="1.02", angle="t/10")
    for index in (N - 3, N - 1):
        frame = plan.frame_plans[index]
        motions = [Homography.of(1.02, t / 10, 0, 0) for t in range(index + 1, N + 1)]
        assert frame.target_motion == Homography.back_through(motions)


def test_prompts_fade_from_the_last_scene_to_the_first(planned: Planner) -> None:
    plan = planned(frames=N, loop=True, prompt="0: dawn | sea:-.5 | 40: night:2 | sea:-.5", crossfade=0)
    frames, left = plan.frame_plans, N - CHAIN_CLOSING
    assert weights(frames[left]) == {"night": 2, "sea": -0.5}
    for index in range(left + 1, N):
        share = (index - left) / CHAIN_CLOSING
        assert weights(frames[index]) == pytest.approx({"night": 2 * (1 - share), "sea": -0.5, "dawn": share})


def test_weights_in_time_pictures_and_noise_fade_back_too(planned: Planner) -> None:
    images = {"a.png": b"a"}
    plan = planned(
        images, frames=N, loop=True, prompt="reef:(1 + t/40)", noise_prompts=[{"seed": 1, "weight": "t/80"}],
        image_prompts=[{"image": "a.png", "weight": "2 - t/80"}],
    )  # fmt: skip
    last, share = plan.frame_plans[-1], (CHAIN_CLOSING - 1) / CHAIN_CLOSING
    assert weights(last)["reef"] == pytest.approx((1 - share) * (1 + 79 / 40) + share)
    assert last.pictures[0].weight == pytest.approx((1 - share) * (2 - 79 / 80) + share * 2)
    assert last.noise[0].weight == pytest.approx((1 - share) * 79 / 80)


def test_a_loop_travels_on_to_its_first_scene(planned: Planner) -> None:
    plan = planned(frames=N, loop=True, prompt="0: a | 40: b", travel=True, travel_hold=0.5)
    found = [weights(frame) for frame in plan.frame_plans]
    assert found[60] == {"b": 1}
    assert found[70] == pytest.approx({"b": 0.5, "a": 0.5})
    assert found[79] == pytest.approx({"b": 0.05, "a": 0.95})


def test_one_scene_that_never_changes_is_what_it_is(planned: Planner) -> None:
    frames = planned(frames=N, loop=True, prompt="a:0.3 | b:-0.7").frame_plans
    assert {frame.prompts for frame in frames} == {frames[0].prompts}


# --- what can't be ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"frames": 71}, "it takes three times as many at least, 72; here frames is 71"),
        ({"frames": 1}, "the last 24 frames of a loop .* here frames is 1"),
        ({"frames": 14} | KEYFRAMES, "the last 5 frames of a loop .* at least, 15; here frames is 14"),
    ],
)
def test_a_loop_that_is_too_short_is_refused(columns: dict[str, Any], message: str) -> None:
    (problem,) = check_row({"video_id": "a", "prompt": "x", "loop": True, **columns}, file="m.csv", number=3)
    assert isinstance(problem, RowProblem)
    assert problem.column == "loop"
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(str(problem))


def test_shortest_loops_are_planned(planned: Planner) -> None:
    assert len(planned(frames=72, loop=True).digests) == 72
    assert len(planned(frames=15, loop=True, **KEYFRAMES).digests) == 15


def test_the_camera_needs_a_value_on_the_way_to_the_first_frame() -> None:
    ManifestRow(video_id="a", prompt="x", frames=80, zoom="1 + .1/(80 - t)")
    with pytest.raises(ValidationError, match=r"at frame 80.*division by zero"):
        ManifestRow(video_id="a", prompt="x", frames=80, zoom="1 + .1/(80 - t)", loop=True)


def test_in_a_long_loop_what_follows_the_last_frame_is_looked_at(planned: Planner) -> None:
    with pytest.raises((BadInput, ValidationError), match="frame 5000"):
        _ = planned(frames=5000, loop=True, angle="1/(t - 5000)").digests


def test_a_part_of_a_loop_leads_back_nowhere(planned: Planner) -> None:
    """It has no first frame to lead to; and a loop that is short for a chain can be tried out as well."""
    row = smaller(planned(frames=15, loop=True, **KEYFRAMES).row, 4, scale=1, steps=1)
    assert len(part_plans(planned(**row.model_dump(exclude_unset=True)), range(5, 15))) == 10
