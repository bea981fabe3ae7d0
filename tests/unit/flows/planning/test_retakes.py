"""Which frames a re-run takes again, what the digests of all others become, and what of it later plans know."""

from __future__ import annotations

import pytest

from flows.planning.remaining import plan_video
from flows.planning.retakes import FRAMES, After, choose_frames, keep_from, retake
from renderers.errors import BadInput
from renderers.frame_plan.frame_plan import Retake
from renderers.frame_plan.video_plan import VideoPlan
from renderers.registry import Registry
from tests.helpers.render_jobs import quick_row

ALL = frozenset(range(8))
ENTRY = Registry().entry("embedded")


def plan(**settings: object) -> VideoPlan:
    return VideoPlan.of(quick_row("reef", frames=8, seed=5, **settings), entry=ENTRY)


def same(a: VideoPlan, b: VideoPlan) -> list[int]:
    return [index for index in range(8) if a.digests[index] == b.digests[index]]


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("failed", {4}),
        ("missing", {4, 5, 6, 7}),
        (" All ", set(range(8))),
        ("2-3, 6", {2, 3, 6}),
        ("0", {0}),
    ],
)
def test_words_and_ranges_choose_frames(text: str, chosen: set[int]) -> None:
    assert choose_frames(text, 8, missing={4, 5, 6, 7}, failed={2, 4}) == chosen


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("7-9", "the video has 8 frames, 0 to 7; 9 is beyond"),
        ("5-3", "end 3 precedes start 5"),
        ("faild", "did you mean 'failed'?"),
        ("", "one of the words failed, missing, all"),
    ],
)
def test_what_names_no_frames_is_refused_with_what_is_allowed(text: str, message: str) -> None:
    with pytest.raises(BadInput, match=message.replace("?", r"\?")):
        choose_frames(text, 8, missing=(), failed=())


def test_the_forms_pattern_lets_all_through_that_is_understood() -> None:
    import re

    for text in ("failed", "missing", "all", "3", "3-5", "120-180,200", " 1 - 2 , 4 ", "1-10x2", "0-9 X 3, 4"):
        assert re.search(FRAMES, text), text
    for text in ("", "some", "3-", "-3", "3;5", "failed,3"):
        assert not re.search(FRAMES, text), text


def test_another_seed_changes_the_chosen_frames_and_all_that_start_from_them() -> None:
    done = retake(plan(), frozenset({3, 4}), ALL, after="re-render", seed=9)
    assert same(plan(), done.plan) == [0, 1, 2]
    frames = list(done.plan.walk())
    assert [frame.seed for frame in frames] == [None, None, None, 9, 9, None, None, None]
    assert not done.renewed


def test_kept_frames_go_on_from_the_take_that_they_know() -> None:
    before = plan()
    done = retake(before, frozenset({3, 4}), ALL, after="keep", seed=9)
    assert same(before, done.plan) == [0, 1, 2, 5, 6, 7]
    frames = list(done.plan.walk())
    assert frames[5].start_digest == before.digests[4] != frames[4].digest
    assert [frame.index for frame in frames if frame.kept] == [5]
    # one that is not in storage has nothing to keep: it starts from the new frame
    gone = retake(before, frozenset({3, 4}), ALL - {5}, after="keep", seed=9)
    assert same(before, gone.plan) == [0, 1, 2]


def test_the_video_is_another_one_although_its_last_frame_is_kept() -> None:
    def content(it: VideoPlan) -> str:
        return plan_video(it, ALL, (), published_content=None, chunk_seconds=60).content

    done = retake(plan(), frozenset({3}), ALL, after="keep", seed=9)
    again = retake(plan(), frozenset({3}), ALL, after="keep", seed=10)
    assert done.plan.digests[-1] == again.plan.digests[-1] == plan().digests[-1]
    assert len({content(plan()), content(done.plan), content(again.plan)}) == 3


def test_the_rows_own_seed_takes_a_re_run_back() -> None:
    for after in ("keep", "re-render"):
        done = retake(plan(), frozenset({3, 4}), ALL, after=after, seed=9)  # type: ignore[arg-type]
        back = retake(done.plan, frozenset({3, 4}), ALL, after="re-render", seed=5)
        assert back.plan.digests == plan().digests


@pytest.mark.parametrize("after", ["keep", "re-render"])
def test_decided_twice_is_decided_once(after: After) -> None:
    done = retake(plan(), frozenset({3, 4}), ALL, after=after, seed=9)
    again = retake(done.plan, frozenset({3, 4}), ALL, after=after, seed=9)
    assert again.plan.digests == done.plan.digests
    assert not again.retakes


def test_a_later_re_run_builds_on_the_earlier_ones() -> None:
    first = retake(plan(), frozenset({3}), ALL, after="keep", seed=9)
    second = retake(first.plan, frozenset({5}), ALL, after="keep", seed=9)
    assert same(first.plan, second.plan) == [0, 1, 2, 3, 4, 6, 7]
    third = retake(second.plan, frozenset({3}), ALL, after="keep", seed=11)
    assert same(second.plan, third.plan) == [0, 1, 2, 4, 5, 6, 7]


def test_a_decision_lapses_when_the_row_changes_in_what_decides_its_frame() -> None:
    done = retake(plan(), frozenset({3}), ALL, after="keep", seed=9)
    other = quick_row("reef", prompt="a green pear", frames=8, seed=5)
    edited = VideoPlan.of(other, {}, done.plan.retakes, entry=ENTRY)
    assert edited.digests == plan(prompt="a green pear").digests
    # an edit that begins after it leaves it alone
    later = quick_row("reef", prompt="0: a red apple | 6: a green pear", frames=8, seed=5)
    kept = VideoPlan.of(later, {}, done.plan.retakes, entry=ENTRY)
    assert kept.digests[:6] == done.plan.digests[:6]


def test_without_a_seed_frames_in_storage_are_rendered_once_more_in_place() -> None:
    here = retake(plan(), frozenset({3, 4}), ALL - {4}, after="keep", seed=None)
    assert (here.plan.digests, here.renewed, here.retakes) == (plan().digests, {3}, ())
    on = retake(plan(), frozenset({3, 4}), ALL - {4}, after="re-render", seed=None)
    assert on.renewed == {3, 5, 6, 7}


def test_missing_frames_after_the_chosen_ones_wait_if_all_others_are_to_be_kept() -> None:
    present = ALL - {2, 6, 7}
    assert retake(plan(), frozenset({4}), present, after="keep", seed=9).skipped == {6, 7}
    assert retake(plan(), frozenset({4}), present, after="re-render", seed=9).skipped == frozenset()


def test_a_loop_never_comes_to_frames_that_are_the_same() -> None:
    loop = VideoPlan.of(quick_row("reef", frames=72, loop=True), entry=ENTRY)
    with pytest.raises(BadInput, match=r"video 'reef' is a loop, .*: choose re-render or keep"):
        retake(loop, frozenset({2}), range(72), after="until-same", seed=9)
    done = retake(loop, frozenset({0}), range(72), after="keep", seed=9)
    # the last frames are drawn to the take of the first that they know
    assert done.plan.digests[1:] == loop.digests[1:]
    assert done.plan.digests[0] != loop.digests[0]


def test_keeping_from_a_frame_on_joins_the_new_take_to_the_old_one() -> None:
    before = plan()
    done = retake(before, frozenset({2}), ALL, after="until-same", seed=9)
    pin = keep_from(done.plan, before, 5)
    assert isinstance(pin, Retake)
    joined = VideoPlan.of(before.row, {}, (*done.plan.retakes, pin), entry=ENTRY)
    assert same(before, joined) == [0, 1, 5, 6, 7]
    assert joined.digests[:5] == done.plan.digests[:5]
