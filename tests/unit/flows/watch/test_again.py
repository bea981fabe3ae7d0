"""How many frames a re-run renders, as the page says before it is asked for."""

from __future__ import annotations

from typing import Any

import pytest

from flows.watch.again import rendered_again
from renderers.errors import BadInput
from renderers.frame_plan.video_plan import VideoPlan
from renderers.registry import Registry
from tests.helpers.render_jobs import quick_row

PLAN = VideoPlan.of(quick_row("cup", frames=10), entry=Registry().entry(quick_row("cup").model))


@pytest.mark.parametrize(
    ("states", "frames", "after", "seed", "expected"),
    [
        ("d" * 10, "3-5", "re-render", None, range(3, 10)),
        ("d" * 10, "3-5", "keep", None, range(3, 6)),
        ("d" * 10, "3-5", "re-render", 7, range(3, 10)),
        ("d" * 10, "3-5", "keep", 7, range(3, 6)),
        ("ddddddffmm", "failed", "re-render", None, range(6, 10)),
        ("ddddddffmm", "9", "re-render", None, range(6, 10)),  # the missing ones before it are rendered as well
    ],
)
def test_a_re_run_renders_what_its_own_rule_says(
    states: str, frames: str, after: Any, seed: int | None, expected: range
) -> None:
    assert rendered_again(PLAN, states, frames, after, seed) == set(expected)


def test_frames_that_the_video_does_not_have_are_refused() -> None:
    with pytest.raises(BadInput, match="11 is beyond"):
        rendered_again(PLAN, "d" * 10, "11", "re-render", None)
