"""Planning rows against storage: whose fault an error is, the row's, the storage's or the program's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flows.job import load_work as load_work_module
from flows.job.load_work import load_work
from flows.planning.remaining import VideoWork
from infra.storage.storage import ObjectInfo, Storage, StorageUnavailable
from infra.video.errors import EncodingInvalid
from manifests.errors import ErrorKind
from manifests.schema import ManifestRow
from renderers.errors import BadInput
from renderers.registry import Registry
from tests.helpers.render_jobs import quick_row


def loaded(output: Storage, *rows: ManifestRow) -> list[object]:
    """What becomes of each row."""
    return list(load_work(output, rows, Registry(), chunk_seconds=60, range_frames=None))


def test_a_rate_beyond_the_format_is_the_rows_own_bad_input(tmp_path: Path) -> None:
    hasty = quick_row("hasty", frames=2, format="gif", fps=60.0)
    refused, good = loaded(Storage(str(tmp_path)), hasty, quick_row("apple"))
    assert isinstance(refused, tuple)
    row, error = refused
    assert (row.video_id, type(error), error.kind) == ("hasty", EncodingInvalid, ErrorKind.BAD_INPUT)
    assert str(error) == "fps 60: a gif holds at most 50 frames a second; use format mp4 or webm or mov or webp"
    assert not isinstance(good, tuple)


@pytest.mark.parametrize("data", [b"{", b"[]", b"\xff", b'{"retakes": [{"frame": 1}]}', b'{"retakes": 3}'])
def test_a_damaged_decision_of_a_rerun_stops_its_own_video_only(tmp_path: Path, data: bytes) -> None:
    output = Storage(str(tmp_path))
    output.put("reef/retakes/20261128T154957885062.json", data)
    refused, good = loaded(output, quick_row("reef"), quick_row("apple"))
    assert isinstance(refused, tuple)
    assert isinstance(refused[1], BadInput)
    assert "'reef/retakes/20261128T154957885062.json', is damaged" in str(refused[1])
    assert not isinstance(good, tuple)


class _Down(Storage):
    """A storage that lists nothing any more."""

    def list(self, prefix: str = "", *, ours: bool = False) -> Iterator[ObjectInfo]:
        raise StorageUnavailable("the bucket is gone", "make it again")


def test_the_storages_own_failure_is_raised(tmp_path: Path) -> None:
    with pytest.raises(StorageUnavailable, match="the bucket is gone"):
        loaded(_Down(str(tmp_path)), quick_row("apple"))


def test_an_error_of_the_program_is_not_taken_for_the_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ValueError("a fault of the program")

    monkeypatch.setattr(load_work_module, "plan_video", broken)
    with pytest.raises(ValueError, match="a fault of the program"):
        loaded(Storage(str(tmp_path)), quick_row("apple"))


def test_rows_beyond_what_a_job_plans_are_refused_and_the_others_planned(tmp_path: Path) -> None:
    rows = [quick_row("a", frames=6), quick_row("b", frames=5), quick_row("c", frames=4), quick_row("d", continues="b")]
    output = Storage(str(tmp_path))
    found = list(load_work(output, rows, Registry(), chunk_seconds=60, range_frames=None, most_frames=10))
    assert [isinstance(it, tuple) for it in found] == [False, True, False, True]
    row, error = found[1]  # type: ignore[misc]
    assert (row.video_id, error.kind) == ("b", ErrorKind.BAD_INPUT)
    assert "has 5 frames, and the rows before it 6: a job plans up to 10 (NIGHTREEL_PLANNED_FRAMES)" in str(error)


def test_a_judge_that_can_not_judge_is_the_rows_own_bad_input(tmp_path: Path) -> None:
    output = Storage(str(tmp_path))
    results = loaded(
        output, quick_row("same", review={"judge": "embedded"}), quick_row("none", review={"judge": "embeded"}),
        quick_row("other", review={"judge": "imagenet-f16-16384"}), quick_row("apple"),
    )  # fmt: skip
    same, none, other, apple = results
    assert isinstance(same, tuple)
    assert isinstance(same[1], BadInput)
    assert str(same[1]).startswith("review.judge of video 'same': model 'embedded' can't judge what model 'embedded'")
    assert isinstance(none, tuple)
    assert str(none[1]).startswith("review.judge of video 'none': ")
    assert "embedded" in str(none[1])
    assert isinstance(other, VideoWork)
    assert isinstance(apple, VideoWork)
    assert apple.plan.row.review.judge is None


def test_a_runs_judge_is_that_of_rows_that_name_none_and_moves_no_digest(tmp_path: Path) -> None:
    output, rows = Storage(str(tmp_path)), [quick_row("apple"), quick_row("pear", review={"judge": "embedded"})]
    given: dict[str, Any] = {"chunk_seconds": 60, "range_frames": None}
    apple, pear = load_work(output, rows, Registry(), judge="imagenet-f16-16384", **given)
    (plain,) = load_work(output, rows[:1], Registry(), **given)
    assert isinstance(apple, VideoWork)
    assert isinstance(plain, VideoWork)
    assert isinstance(pear, tuple)
    assert apple.plan.row.review.judge == "imagenet-f16-16384"
    assert (apple.content, apple.plan.digests) == (plain.content, plain.plan.digests)
    (refused,) = load_work(output, rows[:1], Registry(), judge="embedded", **given)
    assert isinstance(refused, tuple)
    assert str(refused[1]).startswith("NIGHTREEL_REVIEW_JUDGE, the review.judge of video 'apple': ")
