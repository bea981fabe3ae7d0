"""Weights of the loss that change in time enter each frame by what they come to there."""

from __future__ import annotations

from typing import Any

import pytest

from manifests.schema.settings import LOSS_LIMITS
from renderers.errors import BadInput
from tests.helpers.random_model import Planner

# What else a term needs.
MORE: dict[str, dict[str, Any]] = {"palette": {"palette_colours": "#102030 gold"}}


@pytest.mark.parametrize("name", LOSS_LIMITS)
def test_each_enters_the_digests_of_the_frames_where_it_is_not_0(planned: Planner, name: str) -> None:
    more = MORE.get(name, {})
    at_rest = planned(frames=6).digests
    for nothing in ("0", "0:(0), 5:(0)", "t*0", 0.0):
        assert planned(frames=6, loss={name: nothing} | more).digests == at_rest
    late = planned(frames=6, loss={name: "where(t < 3, 0, 2)"} | more)
    assert late.digests[:3] == at_rest[:3]
    assert not set(late.digests[3:]) & set(at_rest)
    assert [frame.weights for frame in late.walk()] == [()] * 3 + [((name, 2.0),)] * 3
    spelled, plain = (planned(frames=6, loss={name: it} | more).digests for it in ("0:(1+1)", 2))
    assert spelled == plain != at_rest


def test_what_a_term_looks_at_counts_where_it_has_a_weight() -> None:
    from manifests.schema import LossSettings
    from renderers.frame_plan.weights import decided_by

    settings = LossSettings(palette_colours="red, #00FF00", colour_target=0.5)
    assert decided_by((), settings) == decided_by((), LossSettings()) == {}
    assert decided_by((("palette", 2.0),), settings) == {
        "palette": 2.0, "palette_colours": [[255, 0, 0], [0, 255, 0]],
    }  # fmt: skip
    assert decided_by((("colour", 1.0),), settings) == {"colour": 1.0, "colour_target": 0.5}
    assert decided_by((("colour", 1.0),), LossSettings()) == {"colour": 1.0}


def test_colours_count_by_what_they_are_not_by_how_they_are_written(planned: Planner) -> None:
    def digests(colours: str) -> list[str]:
        return list(planned(frames=3, loss={"palette": 1, "palette_colours": colours}).digests)

    assert digests("red #000080") == digests("#F00,NAVY") != digests("red blue")


def test_one_that_is_not_allowed_somewhere_in_a_long_video_is_named(planned: Planner) -> None:
    plan = planned(frames=5000, loss={"tv2": "where(t == 4321, -1, 1)"})
    with pytest.raises(BadInput, match=r"loss\.tv2 of video '.*' is -1 at frame 4321; allowed is 0 to 1000"):
        _ = plan.digests
