"""Which videos a person is to look at: limits decide, and nothing of a frame."""

from __future__ import annotations

import pytest

from flows.report.review import LIMITS, Limits, worst_frames
from flows.report.series import Series
from manifests.schema import ReviewSettings

SCORES = {
    "fit": Series([(0, 0.5), (1, 0.3), (2, 0.4)]),
    "flicker": Series([(1, 4.0), (2, 31.25)]),
    "sharpness": Series([(0, 100.0), (1, 90.0), (2, float("nan"))]),
}


def test_the_limits_are_those_that_rows_can_set() -> None:
    assert {*LIMITS, "judge"} == {*ReviewSettings.model_fields}


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({}, []),
        ({"flicker_above": 31.25, "sharpness_below": 90, "likeness_below": 0.3}, []),
        ({"flicker_above": 20}, ["flicker 31.25 at frame 2 is above 20"]),
        ({"likeness_below": 0.45}, ["fit 0.3 at frame 1 is below 0.45 (frames 1-2)"]),
        (
            {"sharpness_below": 95, "flicker_above": 3},
            ["flicker 31.25 at frame 2 is above 3 (frames 1-2)", "sharpness 90 at frame 1 is below 95"],
        ),
        ({"of_a_later_release": 1.0}, []),
    ],
)
def test_a_frame_beyond_a_limit_has_its_video_looked_at(limits: dict[str, float], said: list[str]) -> None:
    assert [flag.text for flag in Limits.of({}, limits).flags(SCORES)] == said


def test_a_rows_limit_goes_before_the_runs() -> None:
    limits = Limits.of({"flicker_above": 1, "sharpness_below": 1}, {"flicker_above": 255})
    assert limits.limit_of("flicker") == 255
    assert limits.limit_of("sharpness") == 1
    assert limits.limit_of("fit") is None
    assert not Limits.of({}, {})


def test_the_likeness_has_the_limit_that_the_fit_has() -> None:
    limits = Limits.of({}, {"likeness_below": 0.2})
    (flag,) = limits.flags({"likeness": ((7, 0.1),)})
    assert flag.text == "likeness 0.1 at frame 7 is below 0.2"


def test_frames_without_scores_flag_nothing() -> None:
    assert Limits.of({}, {"flicker_above": 0}).flags({}) == ()
    assert worst_frames({}) == ()


def test_the_worst_frames_of_each_score() -> None:
    found = worst_frames(SCORES, Limits.of({}, {"likeness_below": 0.35}))
    assert [(it.score, it.frame, it.beyond) for it in found] == [
        ("fit", 1, True), ("fit", 2, False), ("fit", 0, False),
        ("flicker", 2, False), ("flicker", 1, False),
        ("sharpness", 1, False), ("sharpness", 0, False),
    ]  # fmt: skip
