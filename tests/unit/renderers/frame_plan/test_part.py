"""A part of a video, small and in few steps."""

from __future__ import annotations

from typing import Any

import pytest

from manifests.schema import ManifestRow
from renderers.errors import BadInput
from renderers.frame_plan.motion import STILL, Homography
from renderers.frame_plan.part import part_plans, smaller
from renderers.frame_plan.video_plan import VideoPlan
from renderers.registry import Registry

ENTRY = Registry().entry("embedded")


def plan_of(**columns: Any) -> VideoPlan:
    row = {"video_id": "reef", "prompt": "0: a lake | 8: a fox", "frames": 20, "crossfade": 4, **columns}
    return VideoPlan.of(ManifestRow.model_validate(row), {}, entry=ENTRY)


def test_it_is_smaller_in_whole_units_of_the_model_and_has_one_step_at_least() -> None:
    row = plan_of(width=64, height=48, steps=9, steps_first=40, handoff="keyframes").row
    half = smaller(row, 8, scale=0.5, steps=0.5)
    assert (half.width, half.height, half.steps, half.steps_first, half.handoff) == (32, 24, 4, 20, "chain")
    tiny = smaller(row, 8, scale=0.01, steps=0.01)
    assert (tiny.width, tiny.height, tiny.steps, tiny.steps_first) == (16, 16, 1, 1)
    assert smaller(row, 8, scale=1, steps=1) == row.model_copy(update={"handoff": "chain"})


def test_frames_are_the_plan_s_own_but_the_first_begins_cold() -> None:
    plan = plan_of(zoom="1+.01*t", translate_x="2", steps=5, steps_first=30)
    whole, part = tuple(plan.walk()), part_plans(plan, range(6, 11))
    assert part[1:] == whole[7:11]
    assert part_plans(plan, range(20)) == whole
    first = part[0]
    assert (first.index, first.start, first.start_digest, first.motion, first.needs) == (6, None, None, STILL, ())
    assert first.steps == 30
    assert first.prompts == whole[6].prompts


def test_a_smaller_picture_moves_by_fewer_pixels_and_turns_and_zooms_as_far() -> None:
    plan = plan_of(zoom="1.1", angle="5", translate_x="4")
    for whole, part in zip(plan.walk(), part_plans(plan, range(20), 0.5), strict=True):
        assert isinstance(whole.motion, Homography)
        assert isinstance(part.motion, Homography)
        a, b, c, d, e, f, *_ = whole.motion.entries
        assert part.motion.entries[:6] == pytest.approx((a, b, c / 2, d, e, f / 2))


@pytest.mark.parametrize("frames", [range(15, 21), range(20, 25), range(5, 5)])
def test_frames_that_the_video_has_not_are_refused(frames: range) -> None:
    with pytest.raises(BadInput, match="it has the frames 0-19"):
        part_plans(plan_of(), frames)
