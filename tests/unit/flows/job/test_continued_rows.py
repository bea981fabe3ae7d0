"""Rows that continue others, planned against storage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flows.job.continuations import continuing
from flows.job.load_work import load_work
from flows.job.stitching import would_overwrite
from flows.job.storage_state import list_video, read_plan, save_plan, save_retakes
from flows.planning.remaining import VideoWork
from flows.planning.retakes import retake
from infra.storage.layout import continuation_key, continuations, frame_key
from infra.storage.storage import Storage
from manifests.schema import ManifestRow
from renderers.errors import BadInput
from renderers.frame_plan.video_plan import VideoPlan
from renderers.registry import Registry
from tests.helpers.render_jobs import quick_row


@pytest.fixture
def output(tmp_path: Path) -> Storage:
    return Storage(str(tmp_path / "out"))


def loaded(output: Storage, *rows: ManifestRow) -> dict[str, Any]:
    """What becomes of each row, in the order in which it does."""
    results = load_work(output, rows, Registry(), chunk_seconds=60, range_frames=None)
    return {(it[0] if isinstance(it, tuple) else it).video_id: it for it in results}


def work(output: Storage, rows: Sequence[ManifestRow], video_id: str) -> VideoWork:
    found = loaded(output, *rows)[video_id]
    assert isinstance(found, VideoWork), found
    return found


def reason(output: Storage, rows: Sequence[ManifestRow], video_id: str) -> str:
    found = loaded(output, *rows)[video_id]
    assert isinstance(found, tuple), found
    assert isinstance(found[1], BadInput)
    return str(found[1])


REEF = quick_row("reef", frames=6)
NIGHT = quick_row("night", frames=3, continues="reef@4")


def test_rows_are_planned_after_those_that_they_continue(output: Storage) -> None:
    last = quick_row("last", continues="night")
    found = loaded(output, last, NIGHT, quick_row("other"), REEF)
    assert list(found) == ["other", "reef", "night", "last"]
    parent = found["night"].plan.parent
    assert (parent.video_id, parent.frame, parent.digest) == ("reef", 4, found["reef"].frames[4].digest)
    assert found["last"].plan.parent.frame == 2
    assert found["last"].plan.parent.digest == found["night"].frames[2].digest


def test_the_row_that_is_continued_counts_where_it_is_refused_or_bad_and_not_what_lies_in_the_output(
    output: Storage,
) -> None:
    reef = work(output, [REEF], "reef")
    save_plan(output, reef)
    output.put(frame_key("reef", 4, reef.frames[4].digest), b"a frame")
    last = quick_row("last", continues="night")

    def planned(*rows: ManifestRow, **how: Any) -> dict[str, Any]:
        found = load_work(output, rows, Registry(), chunk_seconds=60, range_frames=None, **how)
        return {(it[0] if isinstance(it, tuple) else it).video_id: it for it in found}

    changed = REEF.model_copy(update={"seed": 5})
    refused = planned(changed, NIGHT, last, refuses=lambda it: BadInput("give --force") if it.plan.row.seed else None)
    assert isinstance(refused["reef"], VideoWork)  # the caller, who refuses it, has the rest to say of it
    assert str(refused["night"][1]).endswith("continues reef@4, whose row can't be rendered: give --force")
    assert "continues night, whose row can't be rendered: video 'night' continues reef@4" in str(refused["last"][1])

    unread = planned(NIGHT, unread={"reef": "row 7, night.parquet"})
    assert "whose row can't be read (row 7, night.parquet)" in str(unread["night"][1])
    # of two rows of one id the first is good
    assert isinstance(planned(REEF, NIGHT, unread={"reef": "row 7, night.parquet"})["night"], VideoWork)


def test_a_frame_in_storage_is_gone_on_from(output: Storage) -> None:
    reef = work(output, [REEF], "reef")
    save_plan(output, reef)
    assert "frame 4 of 'reef' is not in the output yet" in reason(output, [NIGHT], "night")
    output.put(frame_key("reef", 4, reef.frames[4].digest), b"a frame")
    assert work(output, [NIGHT], "night").plan.parent == work(output, [REEF, NIGHT], "night").plan.parent


def test_the_plan_in_storage_says_what_it_continues_and_the_other_folder_that_it_is_continued(output: Storage) -> None:
    night = work(output, [REEF, NIGHT], "night")
    save_plan(output, night)
    stored = read_plan(output, list_video(output, "night"), "night", Registry())
    assert stored is not None
    assert stored.plan.parent == night.plan.parent
    assert stored.plan.digests == night.plan.digests
    assert output.exists(continuation_key("reef", "night"))
    assert continuations([info.key for info in output.list("reef/")], "reef") == ("night",)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([quick_row("night", continues="reff@4"), REEF], "neither this manifest nor the output has a video 'reff'; did"
                                                         " you mean 'reef'?"),
        ([quick_row("night", continues="reef@6"), REEF], "'reef' has the frames 0-5"),
        ([quick_row("night", continues="reef@1", width=64), REEF], "is 32x32 pixels, but this one is 64x32"),
        ([NIGHT, quick_row("reef", frames=6, width=33)], "whose row can't be rendered: width 33"),
        ([NIGHT, quick_row("reef", frames=6, continues="night@1")], "in a circle (night -> reef -> night)"),
        ([quick_row(name, continues=f"v{number + 1}") for number, name in enumerate(["night", *map("v{}".format,
          range(1, 9))])] + [quick_row("v9", continues="v8")], "in a circle (night -> v1 -> v2 -> v3 -> v4 -> v5)"),
    ],
)  # fmt: skip
def test_a_frame_that_can_not_be_gone_on_from_is_that_rows_fault(
    output: Storage, rows: list[ManifestRow], said: str
) -> None:
    assert said in reason(output, [*rows, quick_row("good")], "night")
    assert isinstance(loaded(output, *rows, quick_row("good"))["good"], VideoWork)


def test_a_long_line_of_rows_each_of_which_continues_the_last_is_planned_soon(output: Storage) -> None:
    rows = [quick_row("v0")] + [quick_row(f"v{number}", continues=f"v{number - 1}") for number in range(1, 300)]
    found = loaded(output, *reversed(rows))
    assert list(found) == [row.video_id for row in rows]


def test_a_rerun_of_what_was_kept_is_known_to_the_next_render(output: Storage) -> None:
    rows = [REEF, NIGHT]
    found = loaded(output, *rows)
    for it in found.values():
        save_plan(output, it)
        for frame in it.frames:
            output.put(frame_key(it.video_id, frame.index, frame.digest), b"a frame")

    def plan_in_storage(video_id: str) -> VideoPlan:
        stored = read_plan(output, list_video(output, video_id), video_id, Registry())
        assert stored is not None
        return stored.plan

    taken = retake(plan_in_storage("reef"), frozenset([4]), range(6), after="keep", seed=9)
    save_retakes(output, "reef", taken.retakes)
    reef = work(output, rows, "reef")
    assert continuing(output, reef, Registry(), keep=True, write=True, chunk_seconds=60).works == ()
    kept = found["night"].plan.digests
    assert plan_in_storage("night").digests == work(output, rows, "night").plan.digests == kept
    again = retake(plan_in_storage("night"), frozenset([0]), range(3), after="re-render", seed=5)
    save_retakes(output, "night", again.retakes)
    assert work(output, rows, "night").plan.digests == again.plan.digests != kept
    assert again.plan.frame_plans[0].start_digest == found["reef"].frames[4].digest


def test_one_that_is_published_says_what_may_have_changed(output: Storage) -> None:
    rows = [REEF.model_copy(update={"seed": 5}), NIGHT]
    published = replace(work(output, rows, "night"), published_content="another")
    said = str(would_overwrite(published))
    assert "from other settings, or from another take of frame 4 of 'reef', which it continues: give --force" in said
    begins = replace(work(output, rows, "reef"), published_content="another")
    assert "rendered from other settings: give --force" in str(would_overwrite(begins))
