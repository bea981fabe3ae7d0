"""A video with keyframes on several workers: the same frames in any order, after losses, failures and re-runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.settings import InfraSettings
from infra.storage.storage import Storage
from infra.video.ffmpeg import probe
from renderers.errors import BadInput
from renderers.frame_rendering.renderer import FrameRequest
from tests.helpers.failing import looking
from tests.helpers.render_jobs import frame_objects, gather_report, planned, quick_row, render, rerun, write_manifest

FRAMES = 14
ROW = quick_row("reef", "0: a fish | 9: a red apple", frames=FRAMES, handoff="keyframes", keyframe_every=3)
# every gap a chunk of its own
FINE = InfraSettings(chunk_seconds=0.01)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_manifest(tmp_path_factory.mktemp("manifest") / "m.parquet", [ROW, quick_row("apple")])


@pytest.fixture(scope="module")
def reference(manifest: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    output = str(tmp_path_factory.mktemp("reference"))
    assert render(manifest, output, range_frames=4).complete
    return output


def numbers(keys: set[str]) -> list[int]:
    return sorted(int(key.split("/")[2][:6]) for key in keys)


def test_frames_and_video_are_the_same_whoever_renders_which_gap(manifest: str, reference: str, tmp_path: Path) -> None:
    job = render(manifest, str(tmp_path), workers=3, range_frames=4, settings=FINE)

    assert job.complete
    assert len(job.chunks(3)) > 5
    assert frame_objects(str(tmp_path)) == frame_objects(reference)
    assert Path(tmp_path, "reef/video.mp4").read_bytes() == Path(reference, "reef/video.mp4").read_bytes()
    assert probe(tmp_path / "reef" / "video.mp4").frames == FRAMES


def test_lost_frames_are_rendered_alone_keyframes_too(manifest: str, tmp_path: Path) -> None:
    output = str(tmp_path)
    assert render(manifest, output, range_frames=4).complete
    before = frame_objects(output)
    lost = {key for key in before if key.startswith("reef/") and numbers({key})[0] in (0, 5, 9)}
    for key in lost:
        Path(output, key).unlink()

    job = render(manifest, output, workers=2, range_frames=4, settings=FINE)

    assert (job.complete, job.runs["reef"].rendered) == (True, 3)
    assert frame_objects(output) == before


def fail_keyframe(request: FrameRequest) -> None:
    if (request.plan.video_id, request.frame.index) == ("reef", 8):
        raise ValueError("a keyframe that can't be had")


def test_a_keyframe_that_fails_leaves_those_waiting_that_need_it_and_the_next_run_goes_on(tmp_path: Path) -> None:
    # a scene begins at 9: 8 is the last far keyframe before it
    output, manifest = str(tmp_path / "out"), write_manifest(tmp_path / "m.parquet", [ROW, quick_row("apple")])

    job = render(manifest, output, workers=2, range_frames=4, settings=FINE, make=looking(fail_keyframe))

    run = job.runs["reef"]
    assert not job.complete
    assert run.available == {0}  # all others are drawn to it, or come of it
    assert run.reason == "a keyframe that can't be had"
    assert job.runs["apple"].done
    again = render(manifest, output, range_frames=4)
    assert (again.complete, again.runs["reef"].rendered) == (True, FRAMES - 1)


def test_a_re_run_changes_what_comes_of_its_frames_and_nothing_else(manifest: str, tmp_path: Path) -> None:
    output = str(tmp_path)
    assert render(manifest, output, range_frames=4).complete
    before = set(frame_objects(output))

    job = rerun(output, "reef", "4", "re-render", seed=7)

    assert job.complete
    new = set(frame_objects(output)) - before
    assert numbers(new) == [4, 5]  # 6 is a keyframe, and 3 lies before
    assert planned(manifest, output).frames_to_render == 0  # later renders know of it

    kept = rerun(output, "reef", "3", "keep", seed=7)
    assert kept.complete
    assert numbers(set(frame_objects(output)) - before - new) == [3]
    assert planned(manifest, output).frames_to_render == 0
    with pytest.raises(BadInput, match=r"'reef' is rendered with keyframes.*choose re-render or keep"):
        rerun(output, "reef", "4", "until-same", seed=7)


def test_each_re_run_publishes_another_video(manifest: str, tmp_path: Path) -> None:
    output = str(tmp_path)
    assert render(manifest, output, range_frames=4).complete
    videos = [Path(output, "reef/video.mp4").read_bytes()]
    for seed in (7, 8):
        assert rerun(output, "reef", "4", "re-render", seed=seed).complete
        videos.append(Path(output, "reef/video.mp4").read_bytes())
    assert len(set(videos)) == 3
    assert rerun(output, "reef", "4", "re-render", seed=ROW.seed).complete  # the row's own seed takes it back
    assert Path(output, "reef/video.mp4").read_bytes() == videos[0]
    assert not [info.key for info in Storage(output).list() if "/failures/" in info.key]


def test_the_report_scores_every_seam_and_a_chain_has_none(manifest: str, reference: str) -> None:
    job = planned(manifest, reference, range_frames=4)
    gathered = gather_report(job, actors=1)
    videos = {video.video_id: video for video in gathered.report.videos}

    seams = dict(videos["reef"].seams)
    assert sorted(seams) == [3, 6, 8, 9, 12, 13]
    assert all(score > 0 for score in seams.values())
    assert videos["reef"].worst_seam == max(seams.items(), key=lambda seam: seam[1])
    assert not videos["apple"].seams
    # every frame but the first has its change, those at the beginning of a segment too
    assert [it["frame"] for it in gathered.frames.to_pylist() if it["change"] is None] == [0, 0]
