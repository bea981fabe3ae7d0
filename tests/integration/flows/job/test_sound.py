"""Sound in whole jobs: heard when a row is planned, under the video when it is stitched."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flows.job.dispatch import run_job
from flows.job.job import RenderJob
from infra.storage.storage import Storage
from infra.video import ffmpeg
from infra.workers.local_pool import LocalPool
from manifests.schema import ManifestRow
from renderers.errors import BadInput
from renderers.frame_rendering.frame_object import FrameObject
from tests.helpers.music import clicks, convert, noise, samples_of, tone, write_wav
from tests.helpers.render_jobs import frame_files, frame_objects, planned, quick_row, render, rerun, write_manifest
from tests.helpers.root import ROOT

FRAMES = 12
FPS = 8


@pytest.fixture
def music(tmp_path: Path) -> Path:
    """Two seconds of clicks at 0.25, 0.75, 1.25 s."""
    return write_wav(tmp_path / "song.wav", clicks(120, 2.0)[0])


def sounding(music: Path, **columns: Any) -> ManifestRow:
    return quick_row("reef", **{"frames": FRAMES, "fps": FPS, "audio": str(music), **columns})


def rendered(tmp_path: Path, row: ManifestRow, **parameters: Any) -> RenderJob:
    manifest = write_manifest(tmp_path / "night.parquet", [row])
    job = render(manifest, str(tmp_path / "out"), **parameters)
    assert job.complete, [*job.refused, *(run.reason for run in job.runs.values())]
    return job


def provenance(tmp_path: Path) -> dict[str, Any]:
    return dict(json.loads((tmp_path / "out" / "reef" / "provenance.json").read_text()))


def test_a_video_has_its_sound_and_its_camera_moves_with_it(tmp_path: Path, music: Path) -> None:
    job = rendered(tmp_path, sounding(music, zoom="1 + .1*onset", audio_release=0, angle="0"))
    (run,) = job.runs.values()
    video = tmp_path / "out" / "reef" / "video.mp4"
    assert len(samples_of(video)) / 22_050 == pytest.approx(FRAMES / FPS, abs=0.025)
    assert ffmpeg.run(["-hide_banner", "-v", "warning", "-i", str(video), "-f", "null", "-"], "decoding") == b""
    moved = [frame.index for frame in run.work.frames if not frame.motion.still]
    assert moved == [2, 6, 10]  # 0.25, 0.75 and 1.25 s at 8 frames a second
    found = provenance(tmp_path)
    assert found["sound_seconds"] == pytest.approx(FRAMES / FPS, abs=0.025)
    assert "heard" not in found["row"]
    (plan,) = (tmp_path / "out" / "reef" / "plans").glob("*.json")
    assert [it["name"] for it in json.loads(plan.read_text())["row"]["heard"]["signals"]] == ["onset"]
    frame = FrameObject.from_bytes(frame_files(str(tmp_path / "out"), "reef")[2].read_bytes())
    assert "heard" not in frame.provenance["row"]


def test_another_sound_is_stitched_under_the_same_frames(tmp_path: Path, music: Path) -> None:
    rendered(tmp_path, sounding(music))
    before = frame_objects(str(tmp_path / "out"))
    first = (tmp_path / "out" / "reef" / "video.mp4").read_bytes()
    other = write_wav(tmp_path / "other.wav", tone(300, 2.0))
    again = planned(write_manifest(tmp_path / "night.parquet", [sounding(other)]), str(tmp_path / "out"))
    assert "--force" in again.refused[0][1]
    job = rendered(tmp_path, sounding(other), force=True)
    assert sum(run.rendered for run in job.runs.values()) == 0
    assert frame_objects(str(tmp_path / "out")) == before
    assert (tmp_path / "out" / "reef" / "video.mp4").read_bytes() != first
    assert np.abs(samples_of(tmp_path / "out" / "reef" / "video.mp4")[3000:9000]).max() > 0.3
    # louder, later: the same
    job = rendered(tmp_path, sounding(other, audio_gain=-6, audio_start=0.5), force=True)
    assert sum(run.rendered for run in job.runs.values()) == 0
    # and none at all
    rendered(tmp_path, quick_row("reef", frames=FRAMES, fps=FPS), force=True)
    assert (tmp_path / "out" / "reef" / "video.mp4").read_bytes() != first
    assert "sound_seconds" not in provenance(tmp_path)


def test_frames_hang_on_what_is_heard_and_not_on_the_file(tmp_path: Path, music: Path) -> None:
    columns = {"zoom": "1 + .1*loud", "renew": {"noise": ".1*high"}, "prompt": "a reef:(1 + band_low_prev)",
               "bands": [{"name": "low", "low": 30, "high": 90}]}  # fmt: skip
    rendered(tmp_path, sounding(music, **columns))
    same = convert(music, tmp_path / "same.flac")
    job = rendered(tmp_path, sounding(same, **columns), force=True)
    assert sum(run.rendered for run in job.runs.values()) == 0
    other = write_wav(tmp_path / "other.wav", noise(2.0))
    job = planned(
        write_manifest(tmp_path / "night.parquet", [sounding(other, **columns)]), str(tmp_path / "out"), force=True
    )
    assert job.frames_to_render > 0


def test_a_rerun_and_a_video_that_lost_its_segments_have_their_sound(tmp_path: Path, music: Path) -> None:
    rendered(tmp_path, sounding(music, zoom="1 + .1*onset"))
    out = tmp_path / "out"
    assert rerun(str(out), "reef", "3-4", "keep", seed=5).complete
    video = out / "reef" / "video.mp4"
    assert np.abs(samples_of(video)).max() > 0.1
    shutil.rmtree(out / "reef" / "segments")
    video.unlink()
    rendered(tmp_path, sounding(music, zoom="1 + .1*onset"))
    assert np.abs(samples_of(video)).max() > 0.1
    # without its file nothing is rendered that could not be stitched
    music.rename(tmp_path / "elsewhere.wav")
    before = frame_files(str(out), "reef")
    with pytest.raises(BadInput, match=r"song.wav' of video 'reef' does not exist: .*nightreel remaster"):
        rerun(str(out), "reef", "7", "keep", seed=6)
    write_wav(music, tone(500, 1.0))
    with pytest.raises(BadInput, match="another file than the one that was heard"):
        rerun(str(out), "reef", "7", "keep", seed=6)
    assert frame_files(str(out), "reef") == before
    (tmp_path / "elsewhere.wav").rename(music)
    assert rerun(str(out), "reef", "7", "keep", seed=6).complete


def test_music_that_changed_between_plan_and_stitch_is_told(tmp_path: Path, music: Path) -> None:
    job = planned(write_manifest(tmp_path / "night.parquet", [sounding(music)]), str(tmp_path / "out"))
    write_wav(music, tone(500, 1.0))
    run_job(job, LocalPool(Storage(str(tmp_path / "out"))))
    (run,) = job.runs.values()
    assert "changed since the job was planned" in run.reason


def test_bad_sound_costs_its_row_alone(tmp_path: Path, music: Path) -> None:
    broken = tmp_path / "broken.mp3"
    broken.write_bytes(b"\xff" * 3000)
    film = convert(Path("testsrc2=duration=1:rate=8:size=32x32"), tmp_path / "film.mp4", inputs=["-f", "lavfi"])
    rows = [
        quick_row("good", frames=2, audio=str(music)),
        quick_row("broken", frames=2, audio=str(broken)),
        quick_row("silent", frames=2, audio=str(film)),
        quick_row("gone", frames=2, audio="nowhere.mp3"),
        quick_row("zero", frames=12, fps=FPS, audio=str(music), zoom="1/onset"),
        quick_row("endless", frames=1, seconds="audio", audio=str(music)).model_copy(),
    ]
    job = render(write_manifest(tmp_path / "night.parquet", rows), str(tmp_path / "out"))
    reasons = {row.video_id: reason for row, reason in job.refused}
    assert set(reasons) == {"broken", "silent", "gone", "zero", "endless"}
    assert "audio of video 'broken'" in reasons["broken"]
    assert "it has no audio stream" in reasons["silent"]
    assert "does not exist" in reasons["gone"]
    assert "division by zero" in reasons["zero"]
    assert "manifest build" in reasons["endless"]
    assert (tmp_path / "out" / "good" / "video.mp4").exists()


def test_sound_from_and_to_a_bucket(tmp_path: Path, music: Path, s3_root: str) -> None:
    bucket = Storage(s3_root)
    bucket.put("music/song.wav", music.read_bytes(), existing="replace")
    row = quick_row(
        "reef", frames=FRAMES, fps=FPS, format="webm", zoom="1 + .1*onset", audio=f"{s3_root}/music/song.wav"
    )
    job = render(write_manifest(tmp_path / "night.parquet", [row]), f"{s3_root}/out")
    assert job.complete, [*job.refused, *(run.reason for run in job.runs.values())]
    target = tmp_path / "video.webm"
    target.write_bytes(Storage(f"{s3_root}/out").read("reef/video.webm"))
    assert len(samples_of(target)) / 22_050 == pytest.approx(FRAMES / FPS, abs=0.025)
    assert np.abs(samples_of(target)).max() > 0.1
    assert rerun(f"{s3_root}/out", "reef", "3", "keep", seed=5).complete


def test_a_job_that_was_killed_goes_on_with_its_sound(tmp_path: Path, music: Path) -> None:
    manifest = write_manifest(tmp_path / "night.parquet", [sounding(music, zoom="1 + .1*onset")])
    out = tmp_path / "out"
    whole = tmp_path / "whole"
    assert render(manifest, str(whole)).complete
    process = subprocess.Popen([sys.executable, "-m", "tests.helpers.render_jobs", manifest, str(out)], cwd=ROOT)
    until(lambda: len(frame_files(str(out), "reef")) >= 3)
    process.kill()
    process.wait()
    assert len(frame_files(str(out), "reef")) < FRAMES
    assert render(manifest, str(out)).complete
    assert frame_objects(str(out)) == frame_objects(str(whole))
    assert (out / "reef" / "video.mp4").read_bytes() != b""
    assert np.abs(samples_of(out / "reef" / "video.mp4")).max() > 0.1


def until(true: Callable[[], bool], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)
