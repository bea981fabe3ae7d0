"""What is done with drawn frames before they are encoded, through whole jobs: frames between and smoothed ones, range
by range as in one pass, and again where a frame changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from flows.job.dispatch import run_job
from flows.job.job import RenderJob
from flows.job.remastering import Wish, remaster_job
from infra.settings import InfraSettings
from infra.storage.storage import Storage
from infra.video.ffmpeg import decode, probe
from infra.workers.local_pool import LocalPool
from manifests.schema import ManifestRow
from renderers.errors import BadInput
from renderers.registry import Registry
from tests.helpers.music import tone, write_wav
from tests.helpers.render_jobs import frame_objects, planned, quick_row, render, rerun, write_manifest
from tests.helpers.upscalers import write_upscaler

FRAMES = 8
FINISH = {"fps": 20, "between": "motion", "smooth": 3}


def shown(output: Path, video: str = "reef", ending: str = "zip") -> list[np.ndarray]:
    return list(decode(output / video / f"video.{ending}"))


def drawn(tmp_path: Path, name: str, range_frames: int, workers: int = 1, **columns: Any) -> Path:
    row = quick_row("reef", **{"frames": FRAMES, "fps": 8, "format": "png", "finish": FINISH, **columns})
    manifest = write_manifest(tmp_path / f"{name}.parquet", [row])
    assert render(manifest, str(tmp_path / name), range_frames=range_frames, workers=workers).complete
    return tmp_path / name


@pytest.mark.parametrize("loop", [False, True])
def test_pieces_are_one_pass(tmp_path: Path, loop: bool) -> None:
    """PNGs, so that nothing but the frames is compared; two workers, so that ranges end in any order."""
    columns = {"frames": 80, "loop": True, "steps_first": 1, "steps": 1} if loop else {}
    whole = drawn(tmp_path, "whole", 1000, **columns)
    pieces = drawn(tmp_path, "pieces", 27 if loop else 3, workers=2, **columns)
    assert frame_objects(str(whole)) == frame_objects(str(pieces))
    one, many = shown(whole), shown(pieces)
    assert len(one) == len(many) == (200 if loop else 20)
    assert all(map(np.array_equal, one, many))


def test_a_frame_that_changes_encodes_again_what_looked_at_it_and_nothing_else(tmp_path: Path) -> None:
    row = {"frames": 24, "handoff": "keyframes", "keyframe_every": 6, "finish": {"fps": 16}}
    output = drawn(tmp_path, "out", 4, **row)
    before = {path.name for path in (output / "reef" / "segments").glob("*.seg")}
    # of 8 to 12, whose last pair needs 13, and of 12 to 16; 4 to 8 looks at 9, and 16 to 20 at 14
    assert rerun(str(output), "reef", "13", "keep", seed=5).complete
    after = {path.name for path in (output / "reef" / "segments").glob("*.seg")}
    assert sorted(name[:13] for name in after - before) == ["000008-000012", "000012-000016"]
    plan = render(str(tmp_path / "out.parquet"), str(output), range_frames=4)
    assert plan.complete
    assert {path.name for path in (output / "reef" / "segments").glob("*.seg")} == after


def test_a_damaged_segment_and_a_damaged_neighbour_are_mended(tmp_path: Path) -> None:
    output = drawn(tmp_path, "out", 3)
    expected = (output / "reef" / "video.zip").read_bytes()
    segment = min((output / "reef" / "segments").glob("*.seg"))
    segment.write_bytes(segment.read_bytes()[:-300])
    (output / "reef" / "video.zip").unlink()
    (output / "reef" / "provenance.json").unlink()
    assert render(str(tmp_path / "out.parquet"), str(output), range_frames=3).complete
    assert (output / "reef" / "video.zip").read_bytes() == expected
    # of a frame that only the first range looks at, beside its own: its object is torn, its segment is to be made
    min((output / "reef" / "segments").glob("*.seg")).unlink()
    (frame,) = (output / "reef" / "frames").glob("000003-*")
    frame.write_bytes(frame.read_bytes()[:200])
    (output / "reef" / "provenance.json").unlink()
    assert render(str(tmp_path / "out.parquet"), str(output), range_frames=3).complete
    assert (output / "reef" / "video.zip").read_bytes() == expected


@pytest.mark.parametrize(
    ("fps", "shows", "frames", "expected"),
    [(8, 60, 8, 60), (29.97, 60, 7, 15), (8, 8.8, 5, 6), (24, 24, 5, 5), (23.976, 59.94, 2, 5), (12, 60, 1, 1)],
)
def test_counts_times_and_sound_are_exact(tmp_path: Path, fps: float, shows: float, frames: int, expected: int) -> None:
    song = write_wav(tmp_path / "song.wav", tone(300, 3.0))
    sound = {"audio": str(song), "format": "mp4"} if frames > 1 else {"format": "mp4"}
    row = {"frames": frames, "fps": fps, "finish": {"fps": shows}, **sound}
    output = drawn(tmp_path, "out", 3, **row)
    video = output / "reef" / "video.mp4"
    found, said = probe(video), json.loads((output / "reef" / "provenance.json").read_text())
    assert (found.frames, said["frames"]) == (expected, expected)
    assert found.fps == pytest.approx(fps if frames == 1 else shows, rel=1e-3)
    if frames > 1:
        assert abs(said["sound_seconds"] - said["duration_seconds"]) < 1 / shows
        assert -1e-4 < said["duration_seconds"] - frames / fps < 1 / shows


def test_drawn_frames_are_shown_as_they_are_drawn(tmp_path: Path) -> None:
    plain = shown(drawn(tmp_path, "plain", 3, finish={}))
    for number, way in enumerate(("motion", "blend", "none")):
        output = drawn(tmp_path, f"out{number}", 3, finish={"fps": 16, "between": way})
        found = shown(output)
        assert all(map(np.array_equal, found[::2], plain))
        same = [np.array_equal(a, b) for a, b in zip(found[1::2], plain, strict=True)]
        assert all(same) if way == "none" else not any(same[:-1])


def test_remaster_puts_frames_between_and_smooths_without_drawing(tmp_path: Path) -> None:
    expected = shown(drawn(tmp_path, "row", 3))
    output = drawn(tmp_path, "plain", 3, finish={})
    before = frame_objects(str(output))

    def again(*wishes: Wish) -> None:
        job = remaster_job(str(output), "reef", wishes, InfraSettings())
        job.read()
        run_job(job, LocalPool(Storage(str(output))) if job.needs_workers else None)
        assert job.complete

    again(*(Wish(f"finish.{name}", value) for name, value in FINISH.items()))
    assert frame_objects(str(output)) == before
    assert all(map(np.array_equal, shown(output), expected))
    again(Wish("finish.smooth", 0), Wish("finish.fps", None))
    assert len(shown(output)) == FRAMES
    with pytest.raises(BadInput, match=r"finish.fps 4 is below fps 8"):
        again(Wish("finish.fps", 4))
    with pytest.raises(BadInput, match=r"finish.smooth: allowed is 0, 3, 5 or 7"):
        again(Wish("finish.smooth", 4))


def test_a_row_that_asks_for_nothing_keeps_its_keys(tmp_path: Path) -> None:
    def keys(**columns: Any) -> list[str]:
        row = ManifestRow.model_validate(quick_row("reef", frames=6, fps=8).model_dump(exclude_unset=True) | columns)
        job = planned(write_manifest(tmp_path / "m.parquet", [row]), str(tmp_path / "out"), range_frames=3)
        return [it.segment for it in job.runs["reef"].work.ranges]

    neutral = keys()
    assert keys(finish={"between": "blend", "smooth_centre": 0.5}) == neutral
    assert keys(finish={"fps": 8}) == neutral
    assert keys(finish={"fps": 16}) != neutral
    assert keys(finish={"smooth": 3}) != keys(finish={"smooth": 5})


@pytest.mark.parametrize("format", ["png", "gif"])
def test_a_net_enlarges_what_is_shown(tmp_path: Path, format: str) -> None:
    pytest.importorskip("spandrel")
    from renderers.models.upscaler import add_upscaler

    settings = InfraSettings(models_folder=tmp_path / "models")
    registry = Registry(settings.models_folder)
    for seed, name in enumerate(("x2", "other")):
        add_upscaler(registry, write_upscaler(tmp_path / f"{name}.safetensors", 2, seed), name)
    ending, output = "zip" if format == "png" else "gif", tmp_path / "out"

    def segments() -> set[str]:
        return {path.name for path in (output / "reef" / "segments").glob("*.seg")}

    def enlarged(name: str, *, pool: Registry = registry) -> RenderJob:
        finish = {"fps": 16, "upscaler": name}
        row = quick_row("reef", frames=4, fps=8, format=format, upscale=2, finish=finish)
        manifest = write_manifest(tmp_path / "m.parquet", [row])
        job = planned(manifest, str(output), settings, range_frames=2, force=True)
        run_job(job, LocalPool(job.output, registry=pool) if job.needs_workers else None)
        return job

    lacking = enlarged("x2", pool=Registry(tmp_path / "elsewhere"))
    assert not lacking.complete
    assert "upscaler 'x2' is not in the models folder" in lacking.runs["reef"].reason
    assert enlarged("x2").complete
    pictures, first, frames = shown(output, ending=ending), segments(), frame_objects(str(output))
    assert [it.shape for it in pictures] == [(64, 64, 3)] * 8
    # another net, from the same frames
    assert enlarged("other").complete
    assert frame_objects(str(output)) == frames
    assert len(segments()) == 2 * len(first)
    others = shown(output, ending=ending)
    assert not any(map(np.array_equal, pictures, others))
    # a damaged segment is made again where the stitch finds it
    path = output / "reef" / "segments" / min(segments() - first)
    path.write_bytes(path.read_bytes()[:-300])
    (output / "reef" / "provenance.json").unlink()
    assert enlarged("other").complete
    assert all(map(np.array_equal, shown(output, ending=ending), others))


def test_an_upscaler_that_is_not_there_costs_its_row(tmp_path: Path) -> None:
    rows = [quick_row("reef", frames=2, upscale=2, finish={"upscaler": "x2"}), quick_row("still")]
    job = planned(write_manifest(tmp_path / "m.parquet", rows), str(tmp_path / "out"))
    ((row, reason),) = job.refused
    assert row.video_id == "reef"
    assert "finish.upscaler 'x2' is not in the models folder" in str(reason)
    assert "add-upscaler" in str(reason)


def test_what_a_mask_keeps_is_pasted_and_taken_away_again(tmp_path: Path) -> None:
    chance = np.random.default_rng(3)
    init, white = chance.integers(0, 256, (32, 32, 3), dtype=np.uint8), np.zeros((32, 32), np.uint8)
    white[:, 16:] = 255
    for name, pixels in (("init.png", init), ("mask.png", white)):
        Image.fromarray(pixels).save(tmp_path / name)
    masked = {"init_image": "init.png", "mask": "mask.png", "upscale": 1, "frames": 5, "zoom": "1", "angle": "0"}
    paste = {"paste_mask": True, "mask_soften": 4}
    output = drawn(tmp_path, "out", 2, workers=2, **masked, finish=paste)
    frames = [read_frame(output, index) for index in range(5)]
    for picture, frame in zip(shown(output), frames, strict=True):
        np.testing.assert_array_equal(picture[:, :12], init[:, :12])
        np.testing.assert_array_equal(picture[:, 16:], frame[:, 16:])
        assert np.abs(frame[:, :12].astype(int) - init[:, :12]).mean() > 5
    # one segment is torn: it is made again where the video is stitched, with all that is pasted
    expected = (output / "reef" / "video.zip").read_bytes()
    segment = min((output / "reef" / "segments").glob("*.seg"))
    segment.write_bytes(segment.read_bytes()[:-300])
    (output / "reef" / "video.zip").unlink()
    (output / "reef" / "provenance.json").unlink()
    assert render(str(tmp_path / "out.parquet"), str(output), range_frames=2).complete
    assert (output / "reef" / "video.zip").read_bytes() == expected
    before = frame_objects(str(output))
    job = remaster_job(str(output), "reef", [Wish("finish.paste_mask", False)], InfraSettings())
    job.read()
    run_job(job, LocalPool(Storage(str(output))))
    assert job.complete
    assert frame_objects(str(output)) == before
    assert all(map(np.array_equal, shown(output), frames))


def read_frame(output: Path, index: int) -> np.ndarray:
    (path,) = (output / "reef" / "frames").glob(f"{index:06}-*")
    return np.asarray(Image.open(path).convert("RGB"))
