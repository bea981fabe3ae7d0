"""How many frames a re-run renders, as the page says before it is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flows.job.load_work import load_work
from flows.job.storage_state import save_plan
from flows.planning.remaining import VideoWork
from flows.watch.again import branches_again, rendered_again
from infra.storage.layout import frame_key
from infra.storage.storage import Storage
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
    assert rendered_again(PLAN, states, frames, after, seed).frames == set(expected)


def test_frames_that_the_video_does_not_have_are_refused() -> None:
    with pytest.raises(BadInput, match="11 is beyond"):
        rendered_again(PLAN, "d" * 10, "11", "re-render", None)


@pytest.fixture
def story(tmp_path: Path) -> tuple[Storage, VideoPlan]:
    """A beginning, all there, what branches off from its frame 4, and off from that, and another beginning's branch."""
    output = Storage(str(tmp_path / "out"))
    rows = [
        quick_row("cup", frames=10), quick_row("night", frames=3, continues="cup@4"), quick_row("other", frames=2),
        quick_row("day", frames=5, continues="cup@4"), quick_row("later", frames=2, continues="night"),
        quick_row("far", frames=9, continues="other"),
    ]  # fmt: skip
    for work in load_work(output, rows, Registry(), chunk_seconds=60, range_frames=None):
        assert isinstance(work, VideoWork)
        save_plan(output, work)
        for frame in work.frames:
            output.put(frame_key(work.video_id, frame.index, frame.digest), b"a frame")
    return output, PLAN


@pytest.mark.parametrize(
    ("frames", "after", "seed", "expected"),
    [
        ("3-5", "re-render", 7, {"night": 3, "day": 5, "later": 2}),
        ("3-5", "until-same", 7, {"night": 3, "day": 5, "later": 2}),  # at most
        ("3-5", "keep", 7, {}),
        ("5-9", "re-render", 7, {}),  # they begin before it
        ("3-5", "re-render", None, {}),  # the same pictures once more
    ],
)
def test_what_branches_off_from_a_frame_that_is_another_then_is_counted_too(
    story: tuple[Storage, VideoPlan], frames: str, after: Any, seed: int | None, expected: dict[str, int]
) -> None:
    output, plan = story
    again = rendered_again(plan, "d" * 10, frames, after, seed)
    keys = [info.key for info in output.list()]
    assert branches_again(output, again.plan, Registry(), after) == expected
    assert [info.key for info in output.list()] == keys, "looking leaves no trace"
