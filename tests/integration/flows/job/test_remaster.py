"""A video made again from its stored frames: other codec, rate, size or sound, and no step of drawing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from flows.cli.remaster import remaster
from flows.job.dispatch import run_job
from flows.job.output_videos import stored_status
from flows.job.remastering import Wish, remaster_job
from infra.settings import InfraSettings
from infra.storage.storage import Storage
from infra.video.ffmpeg import decode, probe
from infra.workers.local_pool import LocalPool
from renderers.errors import BadInput
from renderers.registry import Registry
from tests.helpers.music import clicks, samples_of, tone, write_wav
from tests.helpers.render_jobs import frame_objects, quick_row, render, write_manifest

FRAMES = 8


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """An output with one video of 8 frames that dances, and one that is half done."""
    music = write_wav(tmp_path / "song.wav", clicks(120, 2.0)[0])
    rows = [
        quick_row("reef", frames=FRAMES, fps=8, audio=str(music), zoom="1 + .1*onset"),
        quick_row("still", frames=1),
    ]
    assert render(write_manifest(tmp_path / "m.parquet", rows), str(tmp_path / "out"), range_frames=3).complete
    return tmp_path / "out"


def made_again(output: Path, video: str = "reef", **wishes: object) -> dict[str, object]:
    before = frame_objects(str(output))
    assert remaster(str(output), video=video, set=[f"{name}={value}" for name, value in wishes.items()]) == 0
    assert frame_objects(str(output)) == before
    return dict(json.loads((output / video / "provenance.json").read_text()))


def test_another_codec_size_and_rate(output: Path) -> None:
    found = made_again(output, codec="h265", quality="best", upscale=2, fps=16)
    video = output / "reef" / "video.mp4"
    assert (probe(video).codec, probe(video).width, probe(video).frames, probe(video).fps) == ("hevc", 64, FRAMES, 16)
    assert found["duration_seconds"] == found["sound_seconds"] == 0.5
    assert found["row"]["codec"] == "h265"  # type: ignore[index]
    (done, _) = stored_status(Storage(str(output)), Registry())
    assert (done.video_id, done.state) == ("reef", "done")
    page = (output / "report" / "index.html").read_text()
    assert "h265" in page


def test_another_format_and_another_sound_under_pictures_that_danced_to_the_first(output: Path, tmp_path: Path) -> None:
    pictures = list(decode(output / "reef" / "video.mp4"))
    other = write_wav(tmp_path / "other.wav", tone(300, 2.0))
    found = made_again(output, format="webm", audio=other, audio_gain=-6)
    video = output / "reef" / "video.webm"
    assert found["video"] == "video.webm"
    assert np.abs(samples_of(video)[3000:9000]).max() == pytest.approx(0.25, abs=0.05)
    assert all(np.abs(a.astype(int) - b).mean() < 6 for a, b in zip(pictures, decode(video), strict=True))
    # what it danced to is known still: the next one needs neither file
    (tmp_path / "song.wav").unlink()
    made_again(output, format="mov")
    assert probe(output / "reef" / "video.mov").codec == "prores"
    assert remaster(str(output), video="reef", set=["format=mov"]) == 0  # nothing to do


def test_what_would_draw_other_frames_is_refused(output: Path) -> None:
    def refused(*wishes: str, video: str = "reef") -> str:
        with pytest.raises(BadInput) as caught:
            remaster(str(output), video=video, set=list(wishes))
        return str(caught.value)

    assert "'zoom' is none of what is done with finished frames: format, codec" in refused("zoom=1.5")
    assert "did you mean 'codec'" in refused("codek=h265")
    assert "a gif holds no sound" in refused("format=gif")
    assert "name a file of it in the column audio" in refused("audio=null")
    assert "does not exist" in refused("audio=nowhere.mp3")
    assert "there is no video 'ref'" in refused("fps=9", video="ref")
    assert "give column=value" in refused("fps")
    (output / "reef" / "frames").rename(output / "reef" / "away")
    assert "8 of its 8 frames are not there: render it first" in refused("fps=9")


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ("fps=2026-99-99", "the value is not valid YAML"),  # a date that is none
        ("fps=0", "fps: allowed is a number above 0 to 240"),
        ("fps=.nan", "fps: allowed is a number above 0 to 240"),
        ("codec=prores", "codec: codec prores is none of a mp4"),
        ("format=gif", "audio: a gif holds no sound: leave out audio"),
        ("audio=1", "audio is 1, which is no text: name a file"),
        ("audio=[a]", "audio is ['a'], which is no text"),
        ("=1", "give column=value"),
        ("audio=https://u:hunter2@host/x: y", "https://***@host/x"),
    ],
)
def test_a_wish_that_is_none_is_told_with_its_column(output: Path, wish: str, said: str) -> None:
    with pytest.raises(BadInput) as caught:
        remaster(str(output), video="reef", set=[wish])
    assert said in str(caught.value)
    assert "Value error" not in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_the_format_that_it_has_keeps_its_codec(output: Path) -> None:
    made_again(output, codec="h265", quality="draft")
    found = made_again(output, format="mp4", upscale=2)
    assert (found["row"]["codec"], found["row"]["quality"]) == ("h265", "draft")  # type: ignore[index]


def test_a_sound_that_is_gone_or_another_spoils_no_finished_video(output: Path, tmp_path: Path) -> None:
    song = tmp_path / "song.wav"
    write_wav(song, tone(300, 2.0))
    with pytest.raises(BadInput, match=r"another file than the one that was heard; .* --set audio=FILE"):
        remaster(str(output), video="reef", set=["upscale=2"])
    kept = song.rename(tmp_path / "kept.wav")
    with pytest.raises(BadInput, match=r"song.wav' of video 'reef' does not exist: .* --set audio=FILE"):
        remaster(str(output), video="reef", set=["upscale=2"])
    (done, _) = stored_status(Storage(str(output)), Registry())
    assert (done.video_id, done.state) == ("reef", "done")
    kept.rename(song)
    made_again(output, upscale=2, audio=song)  # named again, it is what lies there now
    heard = samples_of(output / "reef" / "video.mp4")
    assert np.abs(heard[2000:3000]).max() == pytest.approx(0.5, abs=0.1)


def test_a_sound_that_was_moved_is_found_where_it_is_now(output: Path, tmp_path: Path) -> None:
    moved = (tmp_path / "song.wav").rename(tmp_path / "a song, 50%.wav")
    before = (output / "reef" / "video.mp4").read_bytes()
    made_again(output, audio=f"'{moved}'")
    assert (output / "reef" / "video.mp4").read_bytes() == before
    found = made_again(output, upscale=2)
    assert found["row"]["audio"] == str(moved)  # type: ignore[index]


def test_silence_is_told(output: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made_again(output, audio_start=50)
    assert "audio_start 50 lies behind the audio's end (2.00 s): silence" in " ".join(capsys.readouterr().err.split())


def test_a_rate_that_schedules_count_in_is_refused(tmp_path: Path) -> None:
    row = quick_row("reef", frames=4, zoom="1 + .1*s")
    assert render(write_manifest(tmp_path / "m.parquet", [row]), str(tmp_path / "out")).complete
    with pytest.raises(BadInput, match=r"fps .* would be others"):
        remaster(str(tmp_path / "out"), video="reef", set=["fps=12"])


def test_it_goes_on_where_it_was_killed(output: Path) -> None:
    job = remaster_job(str(output), "reef", [Wish("codec", "av1")], InfraSettings())
    job.read()
    assert job.needs_workers
    (run,) = job.runs.values()
    assert len(run.work.to_encode) == 3
    run_job(job, LocalPool(job.output))
    assert job.complete
    again = remaster_job(str(output), "reef", [Wish("codec", "av1")], InfraSettings())
    again.read()
    assert not again.needs_workers


@pytest.mark.minutes
def test_an_output_in_s3(s3_root: str, tmp_path: Path) -> None:
    """In a real bucket, and without the model that drew it: from the objects alone."""
    music = write_wav(tmp_path / "song.wav", tone(300, 2.0))
    rows = [quick_row("reef", frames=FRAMES, fps=8, audio=str(music))]
    assert render(write_manifest(tmp_path / "m.parquet", rows), s3_root, range_frames=3).complete
    storage = Storage(s3_root)
    frames = frame_objects(storage)

    def again(*wishes: str) -> dict[str, object]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("renderers.models.load_models", None)  # nobody draws
            assert remaster(s3_root, video="reef", set=list(wishes)) == 0
        assert frame_objects(storage) == frames
        said: dict[str, object] = json.loads(storage.read("reef/provenance.json"))
        (tmp_path / str(said["video"])).write_bytes(storage.read(f"reef/{said['video']}"))
        return said

    said = again("finish.fps=20", "finish.smooth=3")
    assert (said["frames"], said["sound_seconds"]) == (20, 1.0)
    said = again("format=webm", "finish.smooth=0")
    assert (said["video"], said["codec"], said["frames"]) == ("video.webm", "vp9", 20)
    assert probe(tmp_path / "video.webm").frames == 20
    # nothing is deleted: the former one lies beside it, until somebody does
    assert storage.exists("reef/video.mp4")
    said = again("fps=10", "finish.fps=null", "audio=null")
    assert (said["frames"], said["duration_seconds"], "sound_seconds" in said) == (FRAMES, 0.8, False)
    (done,) = stored_status(storage, Registry())
    assert (done.video_id, done.state) == ("reef", "done")
