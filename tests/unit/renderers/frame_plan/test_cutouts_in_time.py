"""Shares of cutouts that change from frame to frame, and from step to step within one."""

from __future__ import annotations

import pytest

from manifests.checking import check_row
from manifests.results import RowProblem
from renderers.errors import BadInput
from renderers.frame_plan.cutouts_in_time import share_at
from tests.helpers.random_model import Planner

TEXT = "where(u < .4, .75, .25)"


def test_a_frame_has_its_share_at_each_of_its_steps(planned: Planner) -> None:
    frames = list(planned(frames=3, steps_first=5, steps=2, cutouts={"overview": TEXT, "grey": ".1*t"}).walk())
    assert [frame.cutouts for frame in frames] == [
        (("overview", (0.75, 0.75, 0.25, 0.25, 0.25)),),
        (("overview", (0.75, 0.25)), ("grey", (0.1,))),
        (("overview", (0.75, 0.25)), ("grey", (0.2,))),
    ]
    assert [share_at(frames[0].cutouts, "overview", step, 5) for step in range(5)] == [0.75, 0.75, 0.25, 0.25, 0.25]
    # a frame after a cut of its film takes other steps than were planned
    assert [share_at(frames[0].cutouts, "overview", step, 10) for step in (0, 3, 4, 9)] == [0.75, 0.75, 0.25, 0.25]
    assert share_at(frames[0].cutouts, "grey", 2, 5) == 0


def test_what_is_neutral_is_in_no_address(planned: Planner) -> None:
    plain = planned(frames=4).digests
    for cutouts in ({"overview": "0", "grey": 0.0}, {"overview": "0*u", "grey": "0:(0), 3:(0)"}):
        assert planned(frames=4, cutouts=cutouts).digests == plain
    # of a frame counts what it comes to there, and then in those that start from it
    assert planned(frames=4, cutouts={"grey": "where(t < 2, 0, .3)"}).digests[:2] == plain[:2]
    assert planned(frames=4, cutouts={"grey": "where(t < 2, 0, .3)"}).digests[2] != plain[2]


def test_two_spellings_of_a_share_are_one_frame(planned: Planner) -> None:
    digests = {planned(cutouts={"overview": text}).digests[0] for text in (".25", "1/4", 0.25, ".25 + 0*u", "0:(.25)")}
    assert len(digests) == 1
    others = {planned(cutouts={"overview": text}).digests[0] for text in (".25", TEXT, "where(u < .7, .75, .25)", "u")}
    assert len(others) == 4


def test_many_frames_hold_one_object(planned: Planner) -> None:
    frames = list(planned(frames=6, cutouts={"overview": TEXT}).walk())
    assert all(frame.cutouts is frames[1].cutouts for frame in frames[1:])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1.5", "1.5"), ("u*2", "1.5 at frame 0 when 75% of the steps are over; allowed is 0 to 1"),
        ("t/4", "1.25 at frame 5"), ("v", "'v' is unknown"), ("where(u < .6, 0, 1/0)", "division"),
    ],
)  # fmt: skip
def test_a_share_that_can_be_none_is_refused_by_its_column(text: str, said: str) -> None:
    row = {"video_id": "a", "prompt": "b", "frames": 8, "cutouts": {"overview": text}}
    (problem,) = check_row(row, file="a.yaml", number=3)
    assert isinstance(problem, RowProblem)
    assert problem.column == "cutouts.overview"
    assert said in problem.message


def test_what_a_look_at_some_steps_misses_is_found_when_the_frame_is_planned(planned: Planner) -> None:
    plan = planned(steps_first=20, cutouts={"grey": "where(u == .05, 7, .1)"})
    with pytest.raises(
        BadInput, match=r"cutouts.grey of video 'reef' is 7 at frame 0, step 2 of 20; allowed is 0 to 1"
    ):
        list(plan.walk())
