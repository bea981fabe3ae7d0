"""The plan of a video that goes on from a frame of another one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from renderers.errors import BadInput
from renderers.frame_plan.frame_plan import ParentFrame, Retake
from renderers.frame_plan.motion import STILL
from renderers.frame_plan.part import part_plans, smaller
from renderers.frame_plan.video_plan import VideoPlan
from tests.helpers.planned_work import plan_of

PARENT = ParentFrame("reef", 119, "a" * 64)


def child(parent: ParentFrame | None = PARENT, **columns: object) -> VideoPlan:
    columns = {"continues": "reef@119", "zoom": "1.02", "steps_first": 300, **columns}
    return replace(plan_of("night", 40, **columns), parent=parent)


@pytest.mark.parametrize("handoff", ["chain", "keyframes"])
def test_its_first_frame_is_warm_and_the_others_are_as_ever(handoff: str) -> None:
    plan = child(handoff=handoff)
    first, *others = plan.frame_plans
    assert (first.start, first.start_digest, first.parent, first.needs) == (None, PARENT.digest, PARENT, ())
    assert first.steps == plan.row.steps
    assert first.motion == others[0].motion != STILL
    assert all(frame.parent is None for frame in others)
    alone = plan_of("night", 40, zoom="1.02", steps_first=300, handoff=handoff)
    assert [(it.place, it.motion, it.steps) for it in others] == [
        (it.place, it.motion, it.steps) for it in alone.frame_plans[1:]
    ]


@pytest.mark.parametrize("handoff", ["chain", "keyframes"])
def test_another_take_of_the_frame_makes_all_frames_others(handoff: str) -> None:
    digests = set(child(handoff=handoff).digests)
    assert digests.isdisjoint(child(replace(PARENT, digest="b" * 64), handoff=handoff).digests)
    # its name does not count, what it is does
    assert digests == set(child(replace(PARENT, video_id="copy", frame=7), handoff=handoff).digests)


def test_a_rerun_may_keep_it_going_on_from_the_take_that_it_knows() -> None:
    before, now = child(), child(replace(PARENT, digest="b" * 64))
    pinned = replace(now, retakes=(Retake(0, now.digests[0], None, PARENT.digest),))
    assert pinned.digests == before.digests
    assert pinned.frame_plans[0].kept


def test_it_costs_the_steps_of_a_warm_frame() -> None:
    alone = plan_of("night", 40, steps_first=300)
    plan = child(zoom="1")
    assert plan.all_seconds() == pytest.approx(alone.all_seconds() - (300 - 10) * plan.step_seconds)
    assert plan.seconds(0, 40) == pytest.approx(plan.all_seconds())


def test_without_that_frame_it_can_not_be_addressed_and_says_what_can() -> None:
    with pytest.raises(BadInput, match=r"continues reef@119.*nightreel render"):
        _ = child(None).digests


def test_a_part_of_it_begins_cold_as_that_of_any_video() -> None:
    whole = child(None)
    plan = VideoPlan(smaller(whole.row, 8, scale=1, steps=1), whole.entry, {})
    first, *_ = part_plans(plan, range(0, 2))
    assert (first.start_digest, first.steps) == (None, 300)


def test_a_part_keeps_nothing_by_a_mask_as_there_is_nothing_to_keep() -> None:
    whole = child(None, mask="m.png", mask_moves=True)
    plan = VideoPlan.of(smaller(whole.row, 8, scale=1, steps=1), {"m.png": "0" * 64}, entry=whole.entry)
    assert (plan.row.mask, plan.row.mask_moves) == (None, False)
    assert len(part_plans(plan, range(0, 2))) == 2


def test_no_older_formulas_address_it() -> None:
    assert not child().expressible(4)
