"""Renewal as it is planned: digests, scenes, what is refused."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from pydantic import ValidationError

from manifests.schema import ManifestRow
from renderers.errors import BadInput
from renderers.frame_plan import addressing_v4
from renderers.frame_plan.frame_plan import ParentFrame
from renderers.frame_plan.part import part_plans
from renderers.frame_plan.renewal import Renewal, Renewals
from tests.helpers.random_model import Planner

CAMERA = {"frames": 6, "zoom": "1.02"}


def renewals(plan: Any) -> list[Renewal | None]:
    """Of each frame; None where it does nothing."""
    found = [frame.renewal for frame in plan.walk()]
    return [replace(it, colours_of=0) if it and (it.acts or it.carries) else None for it in found]


def test_neutral_values_leave_every_digest(planned: Planner) -> None:
    before = planned(**CAMERA)
    neutral = {
        "colours": "0",
        "contrast": "1.0",
        "sharpen": "0:(0), 3:(0)",
        "detail": "0:(0), 3:(0)",
        "noise": "where(t > 99, 1, 0)",
    }
    for renew in (neutral, {"grain": "white", "colours_from": "first"}, {}):
        after = planned(**CAMERA, renew=renew)
        assert after.digests == before.digests
        assert renewals(after) == [None] * 6
    assert planned(**CAMERA, renew={"contrast": "1"}).expressible(addressing_v4.ALGORITHM)
    assert not planned(**CAMERA, renew={"contrast": "1.1"}).expressible(addressing_v4.ALGORITHM)


@pytest.mark.parametrize("name", ["contrast", "sharpen", "noise"])
def test_a_value_decides_the_frames_that_have_it_and_those_after(planned: Planner, name: str) -> None:
    rest = "1" if name == "contrast" else "0"
    before = planned(**CAMERA).digests
    after = planned(**CAMERA, renew={name: f"where(t == 3, .5, {rest})"}).digests
    assert [a == b for a, b in zip(before, after, strict=True)] == [True] * 3 + [False] * 3
    spelled, plain = (planned(**CAMERA, renew={name: f"where(t == 3, {it}, {rest})"}).digests for it in (".6+.1", ".7"))
    assert spelled == plain


def test_grain_matters_where_there_is_noise_only(planned: Planner) -> None:
    one, other = (planned(**CAMERA, renew={"noise": "where(t < 3, 0, .1)", "grain": grain}).digests
                  for grain in ("white", "fractal"))  # fmt: skip
    assert [a == b for a, b in zip(one, other, strict=True)] == [True] * 3 + [False] * 3


def test_colours_that_begin_late_are_carried_from_the_first_frame_on(planned: Planner) -> None:
    plan = planned(**CAMERA, renew={"colours": "where(t < 3, 0, .5)"})
    found = renewals(plan)
    assert found[0] is None
    assert [it and it.carries for it in found[1:]] == [True] * 5
    assert [it and it.colours for it in found[1:]] == [0, 0, 0.5, 0.5, 0.5]
    before = planned(**CAMERA).digests
    assert plan.digests[0] == before[0]  # of which no other state is wanted
    assert plan.digests[1] != before[1]


@pytest.mark.parametrize("name", ["colours", "detail"])
def test_what_another_video_begins_from_is_held_to_nothing_of_that_ones(planned: Planner, name: str) -> None:
    renewal = Renewals.of(planned(**CAMERA, renew={name: "0.5"}).row)
    assert renewal is not None
    assert not renewal.first(0, continued=True).acts
    assert renewal.at(1, 0).acts
    assert renewal.at(1, 0).carries


def test_detail_is_carried_beside_colours_and_both_decide(planned: Planner) -> None:
    plans = [planned(**CAMERA, renew=it) for it in ({"colours": "1"}, {"detail": "1"}, {"colours": "1", "detail": "1"})]
    assert len({plan.digests[1] for plan in plans}) == 3
    assert [next(it and (it.carries, it.detailed) for it in renewals(plan)[1:]) for plan in plans] == [
        (True, False), (True, True), (True, True)
    ]  # fmt: skip
    # detail that begins late is carried from the first frame on, so that frames before it have other states
    late = planned(**CAMERA, renew={"colours": "1", "detail": "where(t < 4, 0, 1)"}).digests
    assert late[0] == plans[0].digests[0]
    assert late[1] != plans[0].digests[1]


def test_a_picture_counts_by_its_content(planned: Planner) -> None:
    def digests(name: str, data: bytes, colours: str = ".5") -> tuple[str, ...]:
        renew = {"colours": colours, "colours_from": name}
        return tuple(planned({name: data}, **CAMERA, renew=renew).digests)

    assert digests("a.png", b"a") == digests("dir/b.png", b"a")
    assert digests("a.png", b"a")[1:] != digests("a.png", b"b")[1:]
    assert digests("a.png", b"a", "where(t < 3, 0, .5)")[:3] == tuple(planned(**CAMERA).digests[:3])


def test_a_scene_is_held_to_its_own_colours_and_let_go_as_it_fades(planned: Planner) -> None:
    story = {"prompt": "0: dawn | 4: night", "crossfade": 4, "frames": 12, "zoom": "1.02"}
    plan = planned(**story, renew={"colours": "0.8"})
    shares = [dict(plan.story.shares(index)).get(0, 0.0) for index in range(12)]
    found = renewals(plan)[1:]
    assert [it.colours for it in found[:7] if it] == pytest.approx([0.8 * share for share in shares[1:8]])
    alone = shares.index(0.0)
    assert [it is not None and it.carries for it in found] == [index != alone for index in range(1, 12)]
    assert [it and it.colours for it in found[alone:]] == [0.8] * (11 - alone)
    first = planned(**story, renew={"colours": "0.8", "colours_from": "first"})
    assert renewals(first)[1:] == [Renewal(colours=0.8, carries=True)] * 11


def test_keyframes_take_a_scenes_colours_from_what_they_come_by(planned: Planner) -> None:
    story = {"prompt": "0: dawn | 6: night", "crossfade": 4, "frames": 20, "zoom": "1.02"}
    plan = planned(**story, handoff="keyframes", keyframe_every=3, renew={"colours": "1"})
    frames = {frame.index: frame for frame in plan.walk()}
    for frame in frames.values():
        if frame.start is None:
            continue
        parent = frames[frame.start].renewal
        assert parent is not None
        before = parent.colours_of
        share = dict(plan.story.shares(frame.index)).get(before, 0.0)
        assert frame.renewal is not None
        assert frame.renewal.colours == pytest.approx(share)
        assert frame.renewal.carries is (frame.renewal.colours_of == before)


def test_travel_is_held_to_the_scene_that_it_comes_from(planned: Planner) -> None:
    plan = planned(prompt="0: a | 4: b | 8: c", travel=True, frames=9, renew={"colours": "1"})
    assert [it and it.colours for it in renewals(plan)] == [None, 0.75, 0.5, 0.25, None, 0.75, 0.5, 0.25, None]


def test_a_loop_lets_go_of_its_last_scene_as_it_closes(planned: Planner) -> None:
    plan = planned(prompt="0: dawn | 30: night", crossfade=4, frames=90, loop=True, renew={"colours": "1"})
    found = [it.colours if it else 0.0 for it in renewals(plan)]
    assert found[40:66] == [1.0] * 26
    assert all(one > other for one, other in pairwise(found[66:]))
    alone = planned(prompt="dawn", frames=90, loop=True, renew={"colours": "1"})
    assert [it.colours if it else 0.0 for it in renewals(alone)] == [0.0] + [1.0] * 89


def test_a_part_begins_with_its_own_colours(planned: Planner) -> None:
    plan = planned(**CAMERA, renew={"colours": "1", "noise": "0.1"})
    part = part_plans(plan, range(3, 6))
    assert part[0].renewal is None
    assert part[1].renewal == Renewal(colours=1.0, noise=0.1, carries=True)


def test_rows_that_ask_for_nothing_have_none(planned: Planner) -> None:
    assert Renewals.of(planned(**CAMERA).row) is None


@pytest.mark.parametrize(
    ("renew", "message"),
    [
        ({"colours": "1.5"}, r"'1.5' is 1.5 at frame 0; allowed is 0 to 1"),
        ({"contrast": "0:(1), 20:(2)"}, r"is 2 at frame 20; allowed is 0.5 to 1.5"),
        ({"noise": "-1"}, r"is -1 at frame 0; allowed is 0 to 1"),
        ({"sharpen": "1/t"}, r"at frame 0, character 1: division by zero"),
        ({"sharpen": "u"}, r"'u' .* can't stand here"),
        ({"colours_from": "frist"}, r"'frist' is neither first nor scene.*did you mean 'first'"),
        ({"grain": "perlin"}, r"'white' or 'fractal'"),
    ],
)
def test_what_is_not_allowed_is_said_with_its_frame(renew: dict[str, str], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        ManifestRow(video_id="reef", prompt="a reef", frames=48, renew=renew)


def test_codes_that_are_moved_are_not_renewed_and_a_row_that_wants_both_is_refused() -> None:
    columns = {"video_id": "reef", "prompt": "a reef", "frames": 9, "warm": {"start": "codes"}}
    ManifestRow.model_validate(columns | {"renew": {"noise": "0", "grain": "white"}})
    with pytest.raises(ValidationError, match=r"renew.noise '.1' mends .* but with warm.start codes .* leave out one"):
        ManifestRow.model_validate(columns | {"renew": {"noise": ".1"}})


def test_long_videos_are_checked_frame_by_frame(planned: Planner) -> None:
    plan = planned(frames=3000, renew={"noise": "where(abs(t - 1501) < .5, 2, 0)"})
    with pytest.raises(BadInput, match=r"renew.noise of video 'reef' is 2 at frame 1501; allowed is 0 to 1"):
        _ = plan.digests


def test_a_video_that_continues_another_has_colours_of_its_own(planned: Planner) -> None:
    columns = {"continues": "dawn@7", "frames": 4, "zoom": "1.02", "renew": {"colours": "1", "noise": ".1"}}
    plan = replace(planned(**columns), parent=ParentFrame("dawn", 7, "a" * 64))
    assert renewals(plan) == [Renewal(noise=0.1), *[Renewal(colours=1.0, noise=0.1, carries=True)] * 3]
    columns["renew"] = {"colours": "1", "colours_from": "a.png"}
    plan = replace(planned({"a.png": b"a"}, **columns), parent=ParentFrame("dawn", 7, "a" * 64))
    assert renewals(plan) == [Renewal(colours=1.0, picture="a.png")] * 4
