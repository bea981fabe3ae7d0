"""What lies damaged in storage, frames and segments, is found by the job that needs it, reported, and made again."""

from __future__ import annotations

from pathlib import Path

from tests.helpers.render_jobs import frame_files, frame_objects, quick_row, render, write_manifest

REEF = quick_row("reef", "a fish", frames=8)


def test_damaged_frames_are_found_reported_and_rendered_again(tmp_path: Path) -> None:
    output, manifest = str(tmp_path / "out"), write_manifest(tmp_path / "m.parquet", [REEF])
    render(manifest, output, range_frames=4)
    whole, video = frame_objects(output), (tmp_path / "out/reef/video.mp4").read_bytes()
    files = frame_files(output, "reef")
    flipped = bytearray(files[2].read_bytes())
    flipped[len(flipped) // 2] ^= 1
    files[2].write_bytes(flipped)
    files[3].write_bytes(files[3].read_bytes()[:-100])  # the parent of frame 4, too
    files[4].unlink()
    for segment in Path(output, "reef", "segments").iterdir():
        segment.unlink()

    job = render(manifest, output, range_frames=4)

    assert job.complete
    (run,) = job.runs.values()
    assert {f.kind for f in run.failures} == {"corrupt"}
    assert all("frame 2" in f.message or "frame 3" in f.message for f in run.failures)
    assert frame_objects(output) == whole
    assert (tmp_path / "out/reef/video.mp4").read_bytes() == video
    assert (sorted(run.repaired), sorted(run.reports)) == ([2, 3], [2, 3, 4])


def test_a_damaged_segment_is_found_reported_and_encoded_again(tmp_path: Path) -> None:
    output, manifest = tmp_path / "out", write_manifest(tmp_path / "m.parquet", [REEF])
    render(manifest, str(output), range_frames=4)
    folder = output / "reef"
    before = {path.name: path.read_bytes() for path in (folder / "segments").glob("*.seg")}
    video = (folder / "video.mp4").read_bytes()
    first, second, *_ = sorted((folder / "segments").glob("*.seg"))
    flipped = bytearray(first.read_bytes())
    flipped[len(flipped) // 2] ^= 1
    first.write_bytes(flipped)
    second.write_bytes(second.read_bytes()[:-100])
    for name in ("video.mp4", "provenance.json"):  # as if it had not been joined yet
        (folder / name).unlink()

    job = render(manifest, str(output), range_frames=4)

    assert job.complete
    assert [(f.frame, f.kind) for f in job.runs["reef"].failures] == [(None, "application")]
    assert first.name in job.runs["reef"].failures[0].message
    assert {path.name: path.read_bytes() for path in (folder / "segments").glob("*.seg")} == before
    assert (folder / "video.mp4").read_bytes() == video
