"""What a video was before re-runs of it, and of those that it continues."""

from __future__ import annotations

from dataclasses import replace

from flows.planning.earlier_takes import EARLIER_PLANS, earlier_plans, parent_takes
from flows.planning.retakes import retake
from renderers.frame_plan.frame_plan import ParentFrame
from renderers.frame_plan.video_plan import VideoPlan
from renderers.registry import Registry
from tests.helpers.render_jobs import quick_row

ENTRY = Registry().entry(quick_row("reef").model)


def again(plan: VideoPlan, frame: int, seed: int) -> VideoPlan:
    return retake(plan, frozenset([frame]), range(plan.frames), after="re-render", seed=seed).plan


def after(parent: VideoPlan, frame: int, name: str) -> VideoPlan:
    plan = VideoPlan.of(quick_row(name, frames=3, continues=f"{parent.video_id}@{frame}"), entry=ENTRY)
    return replace(plan, parent=ParentFrame(parent.video_id, frame, parent.digests[frame]))


REEF = VideoPlan.of(quick_row("reef", frames=6), entry=ENTRY)


def test_a_video_was_what_it_was_before_each_of_its_re_runs_and_never_what_another_row_is() -> None:
    once, twice = again(REEF, 3, 7), again(again(REEF, 3, 7), 5, 8)
    assert [plan.digests for plan in earlier_plans(twice)] == [once.digests, REEF.digests]
    assert list(earlier_plans(REEF)) == []


def test_a_branch_was_also_what_it_is_after_earlier_takes_of_what_it_continues() -> None:
    now = again(again(REEF, 3, 7), 5, 8)
    takes = parent_takes([now], 4)
    assert takes == (REEF.digests[4],)  # the second re-run says nothing to frame 4
    night, was = after(now, 4, "night"), after(REEF, 4, "night")
    assert [plan.digests for plan in earlier_plans(night, takes)] == [was.digests]
    # and so on, over generations
    later = after(night, 2, "later")
    assert parent_takes([night, now], 2) == (was.digests[2],)
    before = list(earlier_plans(later, parent_takes([night, now], 2)))
    assert [it.digests for it in before] == [after(was, 2, "later").digests]
    # a branch that was taken again itself, before and after
    both = again(was, 1, 5)
    assert set(parent_takes([replace(both, parent=night.parent), now], 2)) == {was.digests[2], both.digests[2]}


def test_what_continues_nothing_that_was_taken_again_has_no_other_takes() -> None:
    assert parent_takes([REEF], 4) == ()
    assert parent_takes([after(REEF, 4, "night"), REEF], 2) == ()
    assert parent_takes([], 2) == ()


def test_so_many_re_runs_and_no_more_are_looked_at() -> None:
    plan = REEF
    for seed in range(40):
        plan = again(plan, 5, seed + 1)
    takes = parent_takes([plan], 5)
    assert len(takes) == 32
    night = after(plan, 5, "night")
    assert len(list(earlier_plans(night, [*takes, *(f"{number:064x}" for number in range(99))]))) == EARLIER_PLANS
