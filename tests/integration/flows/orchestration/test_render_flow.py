"""The main flow with a real Prefect server and real Ray actors: its states, task runs and artifacts, and the output."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.job.output_videos import stored_status
from flows.orchestration.handover import handing_over
from flows.render_manifest import render_manifest
from infra.settings import load_settings
from infra.storage.storage import Storage
from infra.video.ffmpeg import decode
from infra.workers.local_pool import LocalPool
from renderers.registry import Registry
from tests.helpers.flow_runs import FlowRun
from tests.helpers.render_jobs import frame_files, planned, quick_row, write_manifest

pytestmark = pytest.mark.usefixtures("prefect_server", "ray_cluster")


def stamps(folder: Path) -> dict[str, tuple[int, int]]:
    """When each file was last written, and its size."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.stat().st_size)
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.timeout(400)
def test_a_job_from_its_first_run_to_its_last(tmp_path: Path) -> None:
    """Run with a missing picture, run again without that row, run after frames were lost: one output all the way."""
    good = [quick_row("reef", "a fish", frames=12, steps=1), quick_row("apple", "a red apple | <b>[x](y)</b>:-0.1")]
    ghost = quick_row("ghost", "a ghost", init_image=str(tmp_path / "no.png"))
    output = tmp_path / "out"

    # -- one picture is missing: everything else is rendered, and the run says what is not
    haunted = write_manifest(tmp_path / "with ghost.parquet", [*good, ghost])
    run = FlowRun(render_manifest, haunted, output, range_frames=5)

    assert (run.state.type.value, run.state.name) == ("FAILED", "FramesMissing")
    assert run.state.message == "1/14 frames missing"
    assert run.name == f"render {tmp_path / 'with ghost.parquet'}"
    assert run.task_runs(5) == dict.fromkeys(
        ["reef 0-4", "reef 5-9", "reef 10-11", "apple", "reef stitch"], "Completed"
    )
    assert len(list(decode(output / "reef" / "video.mp4"))) == 12
    assert len(list(decode(output / "apple" / "video.png"))) == 1
    states = {video.video_id: video for video in stored_status(Storage(str(output)), Registry())}
    assert {name: video.state for name, video in states.items()} == {"reef": "done", "apple": "done", "ghost": "failed"}
    assert "no.png' of video 'ghost' does not exist" in states["ghost"].reason

    artifacts = run.artifacts()
    assert set(artifacts) == {"progress", "summary", "failed-frames"}
    assert float(artifacts["progress"]) == pytest.approx(100 * 13 / 14)
    assert "2 of 3 videos done, 13 of 14 frames" in artifacts["summary"]
    assert "ghost" in artifacts["summary"]
    (failed,) = json.loads(artifacts["failed-frames"])
    assert (failed["video"], failed["kind"], failed["outcome"]) == ("ghost", "bad input", "not rendered")
    assert "no.png" in failed["message"]

    page = (output / "report" / "index.html").read_text()
    assert all(name in page for name in ("reef", "apple", "ghost", "no.png"))
    assert "<b>[x]" not in page
    frames = pq.read_table(output / "report" / "frames.parquet").to_pylist()
    assert sorted((it["video_id"], it["frame"]) for it in frames) == [("apple", 0), *(("reef", i) for i in range(12))]
    assert all(it["loss"] > 0 and it["seconds"] > 0 and it["worker"] for it in frames)

    # -- without that row there is nothing to do: no task run, no file of a video touched
    manifest = write_manifest(tmp_path / "good.parquet", good)
    before = {name: stamp for name, stamp in stamps(output).items() if not name.startswith("report/")}
    idle = FlowRun(render_manifest, manifest, output, range_frames=5)
    assert (idle.state.type.value, idle.state.name) == ("COMPLETED", "Completed")
    assert idle.state.message == "13 frames, 2 videos; 0 frames rendered by this run"
    assert {name: stamp for name, stamp in stamps(output).items() if not name.startswith("report/")} == before
    assert set(idle.artifacts()) == {"progress", "summary"}
    assert float(idle.artifacts()["progress"]) == 100.0
    assert "nothing was rendered" in idle.artifacts()["summary"]

    # -- two frames are lost: they and nothing else are rendered, and the same video comes out
    video = (output / "reef" / "video.mp4").read_bytes()
    lost = frame_files(str(output), "reef")[5:7]
    lost_bytes = [path.read_bytes() for path in lost]
    for path in lost:
        path.unlink()
    run = FlowRun(render_manifest, manifest, output, range_frames=5)
    assert run.state.message == "13 frames, 2 videos; 2 frames rendered by this run"
    assert run.task_runs(1) == {"reef 5-9": "Completed"}
    assert idle.task_runs(0) == {}  # asked late: the server hears of task runs in order, and has heard of a later one
    assert [path.read_bytes() for path in lost] == lost_bytes
    assert (output / "reef" / "video.mp4").read_bytes() == video
    touched = {name for name, stamp in stamps(output).items() if "/frames/" in name and before[name] != stamp}
    assert touched == {str(path.relative_to(output)) for path in lost}


@pytest.mark.timeout(120)
def test_a_job_that_was_handed_over_is_the_one_that_the_flow_runs(tmp_path: Path) -> None:
    manifest, output = write_manifest(tmp_path / "m.parquet", [quick_row("apple")]), tmp_path / "out"
    job = planned(manifest, str(output))
    job.pool.set_result(LocalPool(job.output))
    with handing_over(job):
        run = FlowRun(render_manifest, manifest, output)
    assert run.state.message == "1 frames, 1 videos; 1 frames rendered by this run"
    assert (job.complete, job.runs["apple"].rendered, job.closed.is_set()) == (True, 1, True)


@pytest.mark.timeout(200)
def test_invalid_rows_fail_the_run_by_name_and_stop_no_other(tmp_path: Path) -> None:
    (tmp_path / "night").mkdir()
    write_manifest(tmp_path / "night" / "a.parquet", [quick_row("apple")])
    bad = {"video_id": ["x", "y"], "prompt": ["p", "q"], "frames": [0, -1]}
    pq.write_table(pa.table(bad), tmp_path / "night" / "b.parquet")

    run = FlowRun(render_manifest, tmp_path / "night", tmp_path / "out")

    assert (run.state.type.value, run.state.name) == ("FAILED", "RowsInvalid")
    assert run.state.message == "2 rows of the manifest are invalid; all others are rendered"
    assert (tmp_path / "out" / "apple" / "video.png").exists()
    assert "frames is 0" in run.artifacts()["summary"]

    strict = FlowRun(render_manifest, tmp_path / "night", tmp_path / "strict", strict=True)
    assert strict.state.name == "InputInvalid"
    assert "--strict" in strict.state.message
    assert "frames is 0" in strict.state.message
    assert not (tmp_path / "strict" / "apple").exists()


@pytest.mark.timeout(120)
def test_a_cluster_without_room_fails_the_run_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NIGHTREEL_ACTORS", "99")
    load_settings.cache_clear()
    try:
        run = FlowRun(render_manifest, write_manifest(tmp_path / "m.parquet", [quick_row("apple")]), tmp_path / "out")
    finally:
        load_settings.cache_clear()
    assert run.state.name == "Failed"
    assert "99 actors" in run.state.message
    assert "NIGHTREEL_ACTORS" in run.state.message


@pytest.mark.timeout(300)
def test_a_job_that_fails_too_often_gives_up_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    rows = [quick_row(f"bad-{n:02}", init_image=str(tmp_path / "text.png")) for n in range(40)]

    run = FlowRun(render_manifest, write_manifest(tmp_path / "m.parquet", rows), tmp_path / "out")

    assert (run.state.type.value, run.state.name) == ("FAILED", "TooManyFailures")
    assert run.state.message is not None
    assert run.state.message.startswith("40/40 frames missing; gave up: ")
    assert "more than the 20 that NIGHTREEL_FAILURE_SHARE=0.2 allows" in run.state.message
    tried = [info for info in Storage(str(tmp_path / "out")).list() if "/failures/" in info.key]
    assert 21 <= len(tried) < 30  # what was under way may end
