"""Presets of one's own, when rows are planned: read once, bounded as all that rows name, and filled in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flows.api.rendering import prepare
from flows.job.load_work import load_work
from flows.job.preset_files import PresetFiles
from flows.planning.remaining import VideoWork
from infra.storage.storage import ReadingPolicy, SourceReader, Storage
from manifests.schema import ManifestRow
from renderers.errors import BadInput
from renderers.registry import Registry
from tests.helpers.render_jobs import quick_row

OWN = "summary: soft\nsteps_first: 2\ncutouts: {number: 3, noise: .3}\n"


def loaded(tmp_path: Path, *rows: ManifestRow, reading: ReadingPolicy | None = None) -> list[Any]:
    output = Storage(str(tmp_path / "out"))
    return list(
        load_work(output, rows, Registry(), chunk_seconds=60, range_frames=None, folder=str(tmp_path), reading=reading)
    )


def named(preset: str, video_id: str = "reef", **columns: Any) -> ManifestRow:
    return ManifestRow.model_validate({"video_id": video_id, "prompt": "a coral reef", "preset": preset, **columns})


def test_a_job_plans_the_row_as_if_it_were_written_out(tmp_path: Path) -> None:
    (tmp_path / "looks").mkdir()
    (tmp_path / "looks" / "mine.yaml").write_text(OWN)
    work, written = loaded(
        tmp_path,
        named("looks/mine.yaml", cutouts={"noise": 0.2}),
        ManifestRow.model_validate({
            "video_id": "reef2", "prompt": "a coral reef", "steps_first": 2, "cutouts": {"number": 3, "noise": 0.2},
        }),
    )  # fmt: skip
    assert isinstance(work, VideoWork)
    row = work.plan.row
    assert (row.preset, row.steps_first, row.cutouts.number, row.cutouts.noise) == (None, 2, 3, 0.2)
    assert work.plan.digests == written.plan.digests


def test_a_file_that_is_missing_or_broken_is_the_rows_own_bad_input(tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text("steps_frist: 3")
    missing, broken, good = loaded(
        tmp_path, named("none.yaml", "a"), named("broken.yaml", "b"), quick_row("apple")
    )  # fmt: skip
    for (row, error), said in ((missing, "none.yaml' does not exist"), (broken, "did you mean 'steps_first'?")):
        assert isinstance(error, BadInput)
        assert f"preset of video '{row.video_id}': " in str(error)
        assert said in str(error)
    assert isinstance(good, VideoWork)


def test_what_a_job_may_not_read_is_no_preset(tmp_path: Path) -> None:
    manifests = tmp_path / "manifests"
    manifests.mkdir()
    (tmp_path / "secret.yaml").write_text(OWN)
    ((_, error),) = loaded(tmp_path, named("secret.yaml"), reading=ReadingPolicy(roots=(str(manifests),)))
    assert isinstance(error, BadInput)
    assert "can't be read" in str(error)
    assert "steps_first" not in str(error)


def test_a_file_is_read_once_for_all_rows(tmp_path: Path) -> None:
    own = tmp_path / "mine.yaml"
    own.write_text(OWN)
    files = PresetFiles(SourceReader(), str(tmp_path))
    assert files.filled(named("mine.yaml")).steps_first == 2
    own.unlink()
    assert files.filled(named("mine.yaml")).cutouts.number == 3
    plain = named("fine")
    assert files.filled(plain) is plain


def test_pictures_in_this_process_have_them_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.yaml").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    assert prepare(named("./mine.yaml")).plan.row.steps_first == 2
    assert prepare(named("draft")).plan.row.steps_first == 24
