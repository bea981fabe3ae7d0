"""A video's outline says of all frames what their plans say, and takes a fraction of the memory."""

from __future__ import annotations

import gc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from renderers.frame_plan.frame_plan import FramePlan, Retake
from renderers.frame_plan.outline import Digests, Outline
from renderers.frame_plan.video_plan import VideoPlan
from tests.helpers.planned_work import plan_of

KINDS: tuple[dict[str, Any], ...] = (
    {},
    {"loop": True},
    {"handoff": "keyframes", "keyframe_every": 3},
    {"handoff": "keyframes", "keyframe_every": 3, "loop": True},
    {"handoff": "keyframes", "keyframe_every": 2, "prompt": "0: a reef | 9: a shark", "zoom": "1+t/100"},
)


def retaken(frames: int, chosen: list[int], **columns: Any) -> VideoPlan:
    """A plan some of whose frames were taken again, or go on from another take."""
    plan = plan_of("reef", frames, **columns)
    for frame in sorted({it % frames for it in chosen}):
        digest = plan.digests[frame]
        start = "5" * 64 if frame % 2 else None
        plan = VideoPlan(plan.row, plan.entry, {}, (*plan.retakes, Retake(frame, digest, frame + 7, start)))
    return plan


@given(st.integers(1, 60), st.lists(st.integers(0, 60), max_size=3), st.sampled_from(KINDS))
def test_it_is_that_of_the_plans_of_all_frames(frames: int, chosen: list[int], columns: dict[str, Any]) -> None:
    frames += 72 if "loop" in columns else 9
    light, whole = retaken(frames, chosen, **columns), retaken(frames, chosen, **columns)
    plans = whole.frame_plans
    assert tuple(light.digests) == tuple(it.digest for it in plans) == tuple(whole.digests)
    assert list(light.outline.steps) == [it.steps for it in plans]
    assert light.outline.kept == whole.outline.kept == tuple(it.index for it in plans if it.kept)
    assert sorted(light.as_placed(), key=lambda it: it.index) == list(plans)
    assert [it.index for it in light.as_placed()] == [it.index for it in light.places()]


def alive() -> int:
    """The plans of frames that this process holds, other tests' included."""
    gc.collect()
    return sum(type(it) is FramePlan for it in gc.get_objects())


def test_frames_that_nothing_waits_for_are_let_go() -> None:
    plan = plan_of("reef", 400, handoff="keyframes", keyframe_every=10)
    keyframes = sum(place.level < 2 for place in plan.places())
    walk, before = plan.as_placed(), alive()
    for _ in range(plan.frames):
        next(walk)
    assert keyframes <= alive() - before <= keyframes + 3 < 60


def test_who_needs_digests_alone_is_spared_the_plans() -> None:
    plan = plan_of("reef", 30)
    assert len(plan.digests) == 30
    assert "frame_plans" not in vars(plan)


def test_digests_are_a_sequence_of_texts() -> None:
    texts = [f"{number:064x}" for number in range(9000)]
    digests = Digests(9000)
    for number, text in enumerate(texts):
        digests.put(number, text)
    assert list(digests) == texts
    assert (digests[0], digests[-1], digests[8191:8194]) == (texts[0], texts[-1], tuple(texts[8191:8194]))
    assert texts[5000] in digests
    assert digests == tuple(texts)
    assert digests != tuple(texts[1:])
    assert Outline.of(0, ()).digests == Digests(0) == ()
    for beyond in (9000, -9001):
        with pytest.raises(IndexError):
            digests[beyond]
    assert repr(digests).endswith(", ...)")
