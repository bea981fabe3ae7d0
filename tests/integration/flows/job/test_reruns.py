"""Re-runs of single frames against real storage, with the embedded pair: what changes, what stays, what later renders
know of it."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flows.job.job import RenderJob
from flows.job.output_videos import stored_status
from flows.job.reruns import RerunParameters, rerun_job
from infra.settings import InfraSettings
from infra.storage.storage import Storage
from infra.video.ffmpeg import decode
from renderers.errors import BadInput
from renderers.frame_rendering.renderer import FrameRequest
from renderers.registry import Registry
from tests.helpers.failing import looking
from tests.helpers.render_jobs import frame_objects, planned, quick_row, render, rerun, write_manifest

FRAMES = 8


@pytest.fixture
def rendered(tmp_path: Path) -> tuple[str, str]:
    """A manifest and an output with one video of 8 frames in it, and a still beside it."""
    manifest = write_manifest(tmp_path / "m.parquet", [quick_row("reef", frames=FRAMES), quick_row("still")])
    output = str(tmp_path / "out")
    assert render(manifest, output, range_frames=3).complete
    return manifest, output


def pictures(job: RenderJob) -> dict[int, bytes]:
    """The frame object of each frame that the video shows after a re-run."""
    (run,) = job.runs.values()
    objects = frame_objects(job.output)
    return {f.index: objects[f"reef/frames/{f.index:06d}-{f.digest[:16]}.png"] for f in run.work.frames}


def shown(output: str) -> list[np.ndarray]:
    return list(decode(next(Path(output, "reef").glob("video.*"))))


def test_another_seed_for_some_frames_changes_them_and_nothing_else(rendered: tuple[str, str]) -> None:
    manifest, output = rendered
    before, video = frame_objects(output), shown(output)
    job = rerun(output, "reef", "3-5", "keep", seed=7)
    assert job.complete
    after = frame_objects(output)
    assert {key: after[key] for key in before} == before  # no frame of before was touched
    assert sorted(int(key.split("/")[2][:6]) for key in after.keys() - before.keys()) == [3, 4, 5]
    assert job.runs["reef"].rendered == 3
    differing = [not np.array_equal(a, b) for a, b in zip(video, shown(output), strict=True)]
    # 6 lies in a segment that was encoded again, so its pixels may differ by the codec's rounding
    assert differing[3:6] == [True] * 3
    assert not any(differing[:3])
    # a later render of the same manifest knows the re-run
    again = planned(manifest, output)
    assert again.frames_to_render == 0
    assert again.complete


def test_frames_that_start_from_re_run_ones_are_rendered_again(rendered: tuple[str, str]) -> None:
    _, output = rendered
    job = rerun(output, "reef", "5", seed=7)
    assert job.complete
    assert job.runs["reef"].rendered == 3
    assert next(stored_status(Storage(output), Registry())).state == "done"


def test_the_rows_own_seed_brings_the_first_take_back_without_rendering(rendered: tuple[str, str]) -> None:
    _, output = rendered
    video = shown(output)
    rerun(output, "reef", "2-4", "keep", seed=7)
    back = rerun(output, "reef", "2-4", "keep", seed=quick_row("reef").seed)
    assert back.complete
    assert back.runs["reef"].rendered == 0
    assert all(np.array_equal(a, b) for a, b in zip(video, shown(output), strict=True))


def test_the_same_once_more_puts_damaged_and_doubted_frames_right(rendered: tuple[str, str]) -> None:
    _, output = rendered
    before = frame_objects(output)
    victim = sorted(key for key in before if key.startswith("reef/"))[4]
    # a picture that is whole but wrong: nothing that reads it can tell
    wrong = Image.open(io.BytesIO(before[victim]))
    target = io.BytesIO()
    wrong.transpose(Image.Transpose.FLIP_TOP_BOTTOM).save(target, "png")
    Path(output, victim).write_bytes(target.getvalue())
    job = rerun(output, "reef", "4", "keep")
    assert job.complete
    assert job.runs["reef"].rendered == 1
    assert frame_objects(output) == before


def test_a_rerun_that_was_killed_is_gone_on_with_by_the_next_render(rendered: tuple[str, str]) -> None:
    manifest, output = rendered
    killed = rerun_job(RerunParameters.of(output, "reef", "3", "re-render", 7, False, 0), InfraSettings())
    killed.read()  # what it decided is in storage, and nothing else
    job = render(manifest, output, range_frames=3)
    assert (job.complete, job.runs["reef"].rendered) == (True, FRAMES - 3)
    assert job.runs["reef"].work.plan.frame_plans[3].seed == 7
    # another row is another video, re-runs or not
    other = write_manifest(Path(output).parent / "o.parquet", [quick_row("reef", "a blue car", frames=FRAMES)])
    assert "give --force" in str(planned(other, output).refused)


def test_until_same_stops_where_the_frames_no_longer_differ(rendered: tuple[str, str]) -> None:
    _, output = rendered
    before = frame_objects(output)
    # the same once more: the first re-run frame is the old one already
    job = rerun(output, "reef", "3", "until-same")
    assert job.complete
    assert job.runs["reef"].rendered == 1
    assert frame_objects(output) == before


def test_until_same_joins_a_new_take_to_the_old_one(rendered: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    manifest, output = rendered
    # two steps a frame never forget a seed: call everything the same that is alike at all
    monkeypatch.setattr("flows.job.reruns.SAME_PSNR", 3.0)
    before = frame_objects(output)
    job = rerun(output, "reef", "3", "until-same", seed=7)
    assert job.complete
    assert job.runs["reef"].rendered == 1
    now = pictures(job)
    old = {int(key.split("/")[2][:6]): data for key, data in before.items() if key.startswith("reef/")}
    assert [index for index in range(FRAMES) if now[index] != old[index]] == [3]
    assert planned(manifest, output).complete


def _job(output: str, video: str, frames: str, seed: int | None = None, dry_run: bool = False) -> RenderJob:
    return rerun_job(RerunParameters.of(output, video, frames, "keep", seed, dry_run, 0), InfraSettings())


def poisoned(request: FrameRequest) -> None:
    """Fails frame 5 of the row's own seed, as a poisoned frame does; another seed gets through."""
    if request.frame.index == 5 and request.frame.seed is None:
        raise RuntimeError("the poison works")


def test_failed_frames_with_another_seed_complete_the_video(tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path / "m.parquet", [quick_row("reef", frames=FRAMES)])
    output = str(tmp_path / "out")
    job = render(manifest, output, make=looking(poisoned), settings=InfraSettings(attempts=1))
    assert job.frames_missing == (3, FRAMES)
    done = rerun(output, "reef", "failed", seed=7)
    assert done.complete
    assert done.runs["reef"].rendered == 3
    seeds = [frame.seed for frame in done.runs["reef"].work.frames]
    assert seeds == [None] * 5 + [7, None, None]
    assert planned(manifest, output).complete


def test_a_dry_run_leaves_no_trace_and_says_what_it_would_do(rendered: tuple[str, str]) -> None:
    _, output = rendered
    before = {info.key: info.modified for info in Storage(output).list("")}
    job = _job(output, "reef", "3-5", seed=7, dry_run=True)
    job.read()
    assert job.summary == "video 'reef': renders frames 3-5; frames from 6 on stay as they are"
    assert {info.key: info.modified for info in Storage(output).list("")} == before


@pytest.mark.parametrize(
    ("video", "frames", "message"),
    [
        ("reed", "all", "there is no video 'reed'.*such as 'reef'"),
        ("reef", "7-8", "8 frames, 0 to 7"),
        # names that no key of storage can have, and that of the report's folder
        *((name, "all", "there is no video") for name in ("", ".", "..", "../x", "a/b", "\x01a", "a" * 5000, "report")),
    ],
)
def test_what_is_not_there_is_refused(rendered: tuple[str, str], video: str, frames: str, message: str) -> None:
    _, output = rendered
    with pytest.raises(BadInput, match=message):
        _job(output, video, frames).read()


def test_where_nothing_was_rendered_nothing_can_be_rendered_again(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="nothing was ever rendered into"):
        _job(str(tmp_path / "out"), "reef", "all").read()
