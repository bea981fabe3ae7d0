"""nightreel in Python, on the embedded pair: pictures, videos frame by frame, whole jobs."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import nightreel
from flows.cli import run
from flows.job.output_videos import stored_wants
from flows.runs.stored import stored_runs
from infra.storage.storage import Storage
from manifests.results import ManifestError
from renderers.errors import BadInput
from renderers.frame_rendering.frame_object import FrameObject
from tests.helpers.render_jobs import QUICK, frame_files, quick_row, write_manifest

BAD_SIZE: dict[str, Any] = {"video_id": "odd", "prompt": "a red apple", "width": 33, "height": 32}


@pytest.fixture(scope="module")
def renderer() -> nightreel.Renderer:
    return nightreel.Renderer()


def test_a_picture_is_the_preview_of_the_command_line(tmp_path: Path) -> None:
    image = nightreel.render("a red apple", seed=2, **QUICK)
    assert isinstance(image, Image.Image)
    assert image.size == (32, 32)
    small = ["--width", "32", "--height", "32", "--upscale", "1", "--steps-first", "4", "--set", "cutouts.number=2"]
    for name, value in QUICK["optimiser"].items():
        small += ["--set", f"optimiser.{name}={value}"]
    assert run(["preview", "a red apple", "-o", str(tmp_path / "a.png"), "--seed", "2", *small]) == 0
    with Image.open(tmp_path / "a.png") as preview:
        assert np.array_equal(np.asarray(preview), np.asarray(image))
    assert not np.array_equal(np.asarray(nightreel.render("a red apple", seed=3, **QUICK)), np.asarray(image))


@pytest.mark.parametrize("handoff", ["chain", "keyframes"])
def test_a_renderer_gives_the_very_frames_of_a_job(renderer: nightreel.Renderer, tmp_path: Path, handoff: str) -> None:
    row = quick_row("reef", frames=6, handoff=handoff, keyframe_every=2, upscale=2)
    steps: list[nightreel.VideoProgress] = []
    frames = list(renderer.frames(row, on_step=steps.append))
    assert [frame.image.size for frame in frames] == [(64, 64)] * 6
    assert {(step.frame, step.frames) for step in steps} == {(index, 6) for index in range(6)}

    summary = nightreel.run_job([row], tmp_path / "out", workers=2)

    assert summary.complete
    assert (summary.frames, summary.rendered, summary.missing, summary.problems) == (6, 6, 0, ())
    stored = [FrameObject.from_bytes(file.read_bytes()) for file in frame_files(str(tmp_path / "out"), "reef")]
    assert [it.provenance["digest"] for it in stored] == [frame.digest for frame in frames]
    assert all(
        np.array_equal(it.picture, frame.rendered.frame.picture) for it, frame in zip(stored, frames, strict=True)
    )
    (video,) = summary.videos
    assert video.video is not None
    assert Path(video.video).stat().st_size > 500
    assert Path(summary.report).is_file()


def test_a_job_says_what_it_did_and_the_next_renders_nothing_again(tmp_path: Path) -> None:
    output, progress = str(tmp_path / "out"), list[nightreel.JobProgress]()
    good, odd = quick_row("apple"), nightreel.ManifestRow(**BAD_SIZE)
    manifest = nightreel.Manifest((good, odd), nightreel.read_manifest(_with_a_bad_row(tmp_path)).problems)

    summary = nightreel.run_job(manifest, output, on_progress=progress.append)

    assert not summary.complete
    assert (summary.frames, summary.rendered, summary.missing) == (2, 1, 1)
    assert [(it.video_id, it.state) for it in summary.videos] == [("apple", "done"), ("odd", "failed")]
    assert "width 33 of video 'odd' is not a multiple of" in summary.videos[1].reason
    assert [problem.video_id for problem in summary.problems] == ["bad"]
    text = str(summary)
    assert text.startswith("1 frame rendered in ")
    assert "1 of 2 missing; 1 of 2 videos done\nvideo 'odd': width 33" in text
    assert "\nrow not rendered: width is" in text
    assert progress[-1].frames_done == 1
    assert "rows given in Python" in Path(summary.report).read_text()

    found = {video.video_id: video for video in nightreel.status(output)}
    assert (found["apple"].state, found["apple"].missing, found["apple"].video) == ("done", (), summary.videos[0].video)
    assert found["odd"].state == "failed"

    again = nightreel.run_job([good], output)
    assert again.complete
    assert (again.rendered, again.videos[0].video) == (0, summary.videos[0].video)


def test_a_job_of_a_file_is_that_of_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = write_manifest(tmp_path / "m.parquet", [quick_row("apple", frames=2)])
    summary = nightreel.run_job(Path(manifest), tmp_path / "out", range_frames=1)
    assert summary.complete
    assert run(["status", str(tmp_path / "out"), "--json"]) == 0
    (video,) = json.loads(capsys.readouterr().out)["videos"]
    assert video["video"] == summary.videos[0].video


def test_a_strict_job_of_bad_rows_renders_nothing(tmp_path: Path) -> None:
    bad = nightreel.read_manifest(_with_a_bad_row(tmp_path))
    for manifest in (bad, [nightreel.ManifestRow(**BAD_SIZE)]):
        with pytest.raises(ManifestError, match="not rendered"):
            nightreel.run_job(manifest, tmp_path / "out", strict=True)
    assert nightreel.status(tmp_path / "out") == ()


def test_an_interrupt_ends_the_job_and_keeps_what_was_committed(tmp_path: Path) -> None:
    def interrupt(progress: nightreel.JobProgress) -> None:
        if progress.frames_done:
            raise KeyboardInterrupt

    row = quick_row("reef", frames=400, steps=20)
    with pytest.raises(KeyboardInterrupt):
        nightreel.run_job([row], tmp_path / "out", on_progress=interrupt)
    (video,) = nightreel.status(tmp_path / "out")
    assert 0 < video.done < 400


def test_a_row_of_another_model_is_no_row_of_this_renderer(renderer: nightreel.Renderer) -> None:
    assert len(list(renderer.frames(quick_row("v")))) == 1
    with pytest.raises(BadInput, match="names the model 'imagenet-f16-16384', and this renderer has loaded 'embedded'"):
        renderer.frames(quick_row("v", model="imagenet-f16-16384"))


def test_a_png_of_a_frame_says_how_it_was_made(renderer: nightreel.Renderer) -> None:
    frame = next(renderer.frames(quick_row("v", upscale=2)))
    with Image.open(io.BytesIO(frame.to_png())) as png:
        assert png.size == (64, 64)
        assert json.loads(png.text["nightreel:provenance"])["digest"] == frame.digest  # type: ignore[attr-defined]


def _with_a_bad_row(folder: Path) -> str:
    file = folder / "rows.csv"
    file.write_text("video_id,prompt,width\nbad,a reef,3\n")
    return str(file)


def test_a_manifest_has_one_name_whichever_folder_its_runs_were_begun_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a run leaves behind is read elsewhere; and a row that a later run found put right is no bad row any more."""
    ghost = quick_row("ghost", init_image="late.png")
    manifest = write_manifest(tmp_path / "m.parquet", [quick_row("apple"), ghost])
    monkeypatch.chdir(tmp_path)
    assert not nightreel.run_job("m.parquet", "out").complete
    (first,) = stored_runs(Storage("out"))
    assert first.record.manifest == manifest
    write_manifest(tmp_path / "m.parquet", [quick_row("apple")])
    monkeypatch.chdir("/")
    assert nightreel.run_job(manifest, tmp_path / "out").complete
    assert stored_wants(Storage(str(tmp_path / "out"))).refused == {}
