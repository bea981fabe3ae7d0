"""`nightreel render` of a manifest of more videos than a run renders: part by part, told as one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flows.cli import render as command
from flows.cli.errors import BAD_INPUT, DONE, INCOMPLETE
from flows.job.job import RenderJob
from flows.job.stitching import Published
from manifests.schema import ManifestRow
from tests.helpers.render_jobs import quick_row, write_manifest


class Runs:
    """In the place of flow runs: all videos of each job are there at once, but for those that are to fail."""

    def __init__(self) -> None:
        self.parts: list[tuple[int | None, list[str]]] = []
        self.failing = set[str]()
        self.stopped_in: int | None = None

    def __call__(self, job: RenderJob, flow: Callable[[], Any], *, quiet_progress: bool) -> None:
        self.parts.append((job.parameters.part, list(job.runs)))
        if self.stopped_in is not None and job.parameters.part == self.stopped_in:
            job.stop()
            return
        for video, run in job.runs.items():
            if video not in self.failing:
                run.publish(Published(f"{video}/video.png", 1, "0" * 64, True, 0.0))
                run._available.update(range(run.work.settings.frames))


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Runs:
    made = Runs()
    monkeypatch.setattr(command, "run_flow", made)
    monkeypatch.setenv("NIGHTREEL_VIDEOS_PER_RUN", "2")
    monkeypatch.setenv("NIGHTREEL_MODELS_FOLDER", str(tmp_path / "models"))
    return made


def render(tmp_path: Path, rows: list[ManifestRow], **how: Any) -> int:
    manifest = write_manifest(tmp_path / "m.parquet", rows)
    return command.render(manifest, output=str(tmp_path / "out"), **how)


def test_each_part_is_a_run_and_all_are_told_as_one(
    runs: Runs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [quick_row(name, prompt="a xyzzyq") for name in "abcde"]
    assert render(tmp_path, rows, json=True) == DONE
    assert runs.parts == [(1, ["a", "b"]), (2, ["c", "d"]), (3, ["e"])]
    told = json.loads(capsys.readouterr().out)
    assert {name: told[name] for name in ("frames", "missing", "complete", "warning_kinds")} == {
        "frames": 5, "missing": 0, "complete": True,
        "warning_kinds": {"a prompt has words that its model does not know": 5},
    }  # fmt: skip
    assert [(it["video_id"], it["state"]) for it in told["videos"]] == [(name, "done") for name in "abcde"]
    assert len(told["warnings"]) == 5


def test_few_videos_are_one_run(runs: Runs, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert render(tmp_path, [quick_row(name) for name in "ab"]) == DONE
    assert runs.parts == [(None, ["a", "b"])]
    assert "part" not in capsys.readouterr().out


def test_what_is_wrong_with_rows_is_said_once_and_a_part_that_fails_stops_no_other(
    runs: Runs, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs.failing = {"b"}
    rows = [quick_row(name) for name in "abcd"]
    assert render(tmp_path, [*rows, rows[0]], json=True) == INCOMPLETE
    assert [part for part, _ in runs.parts] == [1, 2]
    shown = capsys.readouterr()
    assert shown.err.count("was used before") == 1
    told = json.loads(shown.out)
    assert (told["missing"], told["complete"], len(told["problems"])) == (1, False, 1)


def test_a_run_that_is_stopped_is_the_last(runs: Runs, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs.stopped_in = 2
    assert render(tmp_path, [quick_row(name) for name in "abcdefg"]) == INCOMPLETE
    assert [part for part, _ in runs.parts] == [1, 2]
    shown = capsys.readouterr()
    assert "part 2 of 4" in shown.out
    assert "2 parts not begun" in shown.err


def test_a_strict_one_begins_no_part_before_all_rows_are_known_to_be_good(runs: Runs, tmp_path: Path) -> None:
    rows = [*(quick_row(name) for name in "abc"), quick_row("d", width=35)]
    with pytest.raises(ValueError, match="not rendered, since --strict: width 35 of video 'd'"):
        render(tmp_path, rows, strict=True)
    assert runs.parts == []


def test_rows_that_can_all_not_be_rendered_are_bad_input(runs: Runs, tmp_path: Path) -> None:
    assert render(tmp_path, [quick_row(name, width=35) for name in "abc"]) == BAD_INPUT
    assert runs.parts == []
