"""The bucket's listing is the state: what a second run finds, keeps, repairs and refuses."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flows.job.dispatch import run_job
from flows.job.output_videos import stored_status
from flows.job.stitching import stitch
from flows.job.storage_state import list_video
from infra.storage.storage import Existing, PutOutcome, Storage, StorageUnavailable
from renderers.registry import Registry
from tests.helpers.render_jobs import frame_files, frame_objects, planned, quick_row, render, write_manifest
from tests.helpers.root import ROOT

REEF = quick_row("reef", "a fish", frames=12)


def manifest_of(folder: Path, *rows: object, name: str = "m.parquet") -> str:
    return write_manifest(folder / name, rows)  # type: ignore[arg-type]


def identity(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_ino, stat.st_mtime_ns


def test_a_second_run_renders_nothing_and_touches_nothing(tmp_path: Path) -> None:
    output = str(tmp_path / "out")
    manifest = manifest_of(tmp_path, REEF, quick_row("apple"))
    first = render(manifest, output, range_frames=5)
    before = {path: identity(path) for path in Path(output).rglob("*") if path.is_file()}

    again = planned(manifest, output, range_frames=5)

    assert first.complete
    assert (again.frames_to_render, again.needs_workers, again.pending, again.chunks(2)) == (0, False, [], ())
    assert again.complete
    assert again.frames_missing == (0, 13)
    assert {path: identity(path) for path in Path(output).rglob("*") if path.is_file()} == before


def test_three_deleted_frames_are_rendered_again_and_give_the_very_same_video(tmp_path: Path) -> None:
    output, manifest = str(tmp_path / "out"), manifest_of(tmp_path, REEF)
    render(manifest, output, range_frames=5)
    frames, video = frame_objects(output), Path(output, "reef/video.mp4").read_bytes()
    kept = {path: identity(path) for path in frame_files(output, "reef")}
    for path in frame_files(output, "reef")[3:6]:  # the end of one range, the beginning of the next
        path.unlink()
        del kept[path]

    job = render(manifest, output, range_frames=5)

    run = job.runs["reef"]
    assert (job.complete, run.rendered, sorted(run.reports)) == (True, 3, [3, 4, 5])
    assert run.published is not None
    assert not run.published.new
    assert frame_objects(output) == frames
    assert Path(output, "reef/video.mp4").read_bytes() == video
    assert {path: identity(path) for path in kept} == kept


def test_another_cut_of_a_published_video_is_refused_with_the_reason(tmp_path: Path) -> None:
    """Segments are closed, so another cut gives other bytes: what is published stays, and the message says why."""
    output, manifest = str(tmp_path / "out"), manifest_of(tmp_path, REEF)
    render(manifest, output, range_frames=5)
    video = Path(output, "reef/video.mp4").read_bytes()
    frame_files(output, "reef")[7].unlink()

    job = render(manifest, output, range_frames=12)

    assert not job.complete
    assert job.frames_missing == (0, 12)
    assert "--range-frames" in job.runs["reef"].reason
    assert not job.runs["reef"].ready_to_stitch
    assert Path(output, "reef/video.mp4").read_bytes() == video


def test_a_prompt_edited_at_a_frame_keeps_the_frames_before_and_needs_force(tmp_path: Path) -> None:
    output = str(tmp_path / "out")
    render(manifest_of(tmp_path, REEF), output, range_frames=5)
    frames, video = frame_objects(output), Path(output, "reef/video.mp4").read_bytes()
    edited = quick_row("reef", "0: a fish | 7: a red apple", frames=12, crossfade=0)
    manifest = manifest_of(tmp_path, edited, quick_row("apple"), name="edited.parquet")

    refused = render(manifest, output, range_frames=5)

    assert [row.video_id for row, _ in refused.refused] == ["reef"]
    assert "--force" in refused.refused[0][1]
    assert refused.runs["apple"].done  # the other one is not held up
    assert not refused.complete
    assert refused.frames_missing == (12, 13)
    assert {key: data for key, data in frame_objects(output).items() if key.startswith("reef/")} == frames
    assert Path(output, "reef/video.mp4").read_bytes() == video

    forced = render(manifest, output, range_frames=5, force=True)

    run = forced.runs["reef"]
    assert forced.complete
    assert sorted(run.reports) == [7, 8, 9, 10, 11]
    assert run.published is not None
    assert run.published.new
    assert Path(output, "reef/video.mp4").read_bytes() != video
    assert frames.items() <= frame_objects(output).items()  # the old frames stay
    assert len(frame_files(output, "reef")) == 12 + 5
    assert planned(manifest, output, range_frames=5).complete

    # back again: nothing to render, yet the latest plan, by which `status` goes, must be the old one's
    back = render(manifest_of(tmp_path, REEF), output, range_frames=5, force=True)
    assert (back.complete, back.frames_to_render) == (True, 0)
    assert Path(output, "reef/video.mp4").read_bytes() == video
    states = {status.video_id: status.state for status in stored_status(Storage(output), Registry())}
    assert states == {"reef": "done", "apple": "done"}


@pytest.mark.parametrize("range_frames", [5, 12])
def test_segments_left_behind_unjoined_become_a_video_without_a_worker(tmp_path: Path, range_frames: int) -> None:
    """A process killed between the last segment and the video."""
    output, manifest = str(tmp_path / "out"), manifest_of(tmp_path, REEF)
    render(manifest, output, range_frames=range_frames)
    video = Path(output, "reef/video.mp4").read_bytes()
    for name in ("video.mp4", "provenance.json", "contact_sheet.png"):
        Path(output, "reef", name).unlink()

    job = planned(manifest, output, range_frames=range_frames)

    reef = job.runs["reef"]
    assert (job.needs_workers, job.chunks(1), reef.ready_to_stitch, job.complete) == (False, (), True, False)
    run_job(job)
    assert job.complete
    assert Path(output, "reef/video.mp4").read_bytes() == video


@pytest.mark.parametrize("damage", [b"{", b"[]", b'{"video": "video.webm", "content": "x"}'])
def test_a_provenance_that_promises_nothing_is_made_again_and_stops_nobody(tmp_path: Path, damage: bytes) -> None:
    output, manifest = str(tmp_path / "out"), manifest_of(tmp_path, REEF, quick_row("apple"))
    render(manifest, output)
    provenance = Path(output, "reef/provenance.json")
    whole = provenance.read_bytes()
    provenance.write_bytes(damage)

    job = render(manifest, output)

    assert job.complete
    assert provenance.read_bytes() == whole


class _Dying(Storage):
    """A storage whose process dies before it puts the provenance."""

    def put(self, key: str, data: bytes, *, existing: Existing = "keep") -> PutOutcome:
        if key.endswith("provenance.json"):
            raise StorageUnavailable("the process is dead", "start another")
        return super().put(key, data, existing=existing)


def test_a_forced_replacement_that_dies_half_way_leaves_no_provenance_of_the_old_video(tmp_path: Path) -> None:
    output = str(tmp_path / "out")
    old = manifest_of(tmp_path, REEF)
    render(old, output)
    new = manifest_of(tmp_path, quick_row("reef", "a red apple", frames=12), name="new.parquet")
    render(new, str(tmp_path / "elsewhere"))
    job = planned(new, str(tmp_path / "elsewhere"))
    for path in (tmp_path / "elsewhere/reef/segments").iterdir():
        path.rename(tmp_path / "out/reef/segments" / path.name)

    with pytest.raises(StorageUnavailable):
        stitch(_Dying(output), job.runs["reef"].work, force=True)

    assert Path(output, "reef/video.mp4").read_bytes() == (tmp_path / "elsewhere/reef/video.mp4").read_bytes()
    assert list_video(Storage(output), "reef").content is None
    assert not planned(old, output).complete  # the old row does not take the new video for its own


def test_sigkill_in_mid_render_costs_the_frame_in_progress_and_nothing_else(tmp_path: Path) -> None:
    output, manifest = str(tmp_path / "out"), manifest_of(tmp_path, REEF, quick_row("boat", "a boat", frames=6))
    log = tmp_path / "log"
    with log.open("wb") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.helpers.render_jobs", manifest, output],
            cwd=ROOT, stdout=stream, stderr=stream, start_new_session=True,
        )  # fmt: skip
        try:
            deadline = time.monotonic() + 120
            while len(frame_files(output, "reef")) < 4:
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, "no frame in two minutes"
                time.sleep(0.01)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    committed = {path: identity(path) for name in ("reef", "boat") for path in frame_files(output, name)}
    assert 4 <= len(committed) < 18

    resumed = render(manifest, output, range_frames=5)

    assert resumed.complete
    assert sum(run.rendered for run in resumed.runs.values()) == 18 - len(committed)
    assert {path: identity(path) for path in committed} == committed
    undisturbed = str(tmp_path / "undisturbed")
    render(manifest, undisturbed, range_frames=5)
    assert frame_objects(output) == frame_objects(undisturbed)
    assert Path(output, "reef/video.mp4").read_bytes() == Path(undisturbed, "reef/video.mp4").read_bytes()


def test_an_unreadable_frame_is_reported_by_name_and_rendered_again_with_the_one_that_starts_from_it(
    tmp_path: Path,
) -> None:
    output, manifest = str(tmp_path / "out"), manifest_of(tmp_path, REEF, quick_row("apple"))
    render(manifest, output, range_frames=5)
    whole = frame_objects(output)
    broken, gone = frame_files(output, "reef")[6:8]
    data = bytearray(broken.read_bytes())
    data[len(data) // 2] ^= 1
    broken.write_bytes(data)
    gone.unlink()

    job = render(manifest, output, range_frames=5)

    run = job.runs["reef"]
    assert (job.complete, sorted(run.reports)) == (True, [6, 7])
    (failure,) = run.failures
    assert (failure.kind, failure.frame) == ("corrupt", 7)
    assert f"object 'reef/frames/{broken.name}'" in failure.message
    assert "frame 6 of video 'reef'" in failure.message
    assert frame_objects(output) == whole


def test_a_re_rendered_row_leaves_the_record_of_its_segment_in_place(tmp_path: Path) -> None:
    output, manifest = str(tmp_path / "out"), manifest_of(tmp_path, REEF)
    render(manifest, output, range_frames=5)
    (record,) = Path(output, "reef/segments").glob("000005-*.json")

    content = json.loads(record.read_text())

    assert (content["video_id"], content["start"], content["stop"]) == ("reef", 5, 10)
    assert [frame["frame"] for frame in content["frames"]] == [5, 6, 7, 8, 9]
    assert all(frame["seconds"] > 0 and frame["loss"] == frame["losses"][-1] for frame in content["frames"])
