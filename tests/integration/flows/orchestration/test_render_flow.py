"""The main flow with a real Prefect server and real Ray actors: its states, task runs and artifacts, and the output."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from flows.job.output_videos import stored_status
from flows.orchestration.cancelled import WORDS
from flows.orchestration.handover import handing_over
from flows.render_manifest import render_manifest
from flows.runs.stored import stored_runs
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
    assert run.state.message == ("1/14 frames missing; 2 of 3 videos done, 1 failed; 13 frames rendered by this run")
    assert run.name == f"render with ghost.parquet to {tmp_path.name}/out"
    assert run.task_runs(5) == dict.fromkeys(
        ["reef 0-4", "reef 5-9", "reef 10-11", "apple", "reef stitch"], "Completed"
    )
    assert len(list(decode(output / "reef" / "video.mp4"))) == 12
    assert len(list(decode(output / "apple" / "video.png"))) == 1
    states = {video.video_id: video for video in stored_status(Storage(str(output)), Registry())}
    assert {name: video.state for name, video in states.items()} == {"reef": "done", "apple": "done", "ghost": "failed"}
    assert "no.png' of video 'ghost' does not exist" in states["ghost"].reason

    artifacts = run.artifacts()
    assert list(artifacts) == ["summary", "failed-frames", "videos", "progress"], "in this order, in both UIs"
    assert float(artifacts["progress"]) == pytest.approx(100 * 13 / 14)
    assert run.state.message in artifacts["summary"]
    videos = {it["video"]: (it["state"], it["frames"]) for it in json.loads(artifacts["videos"])}
    assert videos == {"ghost": ("failed", "0 of 1"), "reef": ("done", "12 of 12"), "apple": ("done", "1 of 1")}
    assert run.descriptions()["progress"] == "13 of 14 frames, 2 of 3 videos done, 1 failed"
    counts = json.loads((output / "report" / "summary.json").read_text())
    assert (counts["frames"]["missing"], counts["videos"]["failed"], counts["bad_rows"]) == (1, 1, 0)
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
    assert set(idle.artifacts()) == {"progress", "summary", "videos"}
    assert float(idle.artifacts()["progress"]) == 100.0
    assert "0 frames rendered by this run" in idle.artifacts()["summary"]
    # what the run before could not render is no row of this manifest, but it lies in the output
    assert "1 video is not complete" in idle.artifacts()["summary"]

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
    assert run.state.message == "1 frame, 1 video; 1 frame rendered by this run"
    assert (job.complete, job.runs["apple"].rendered, job.closed.is_set()) == (True, 1, True)


@pytest.mark.timeout(400)
@pytest.mark.minutes
def test_a_retried_run_shows_what_is_and_counts_what_all_its_attempts_did(tmp_path: Path) -> None:
    from prefect.states import AwaitingRetry

    from tests.helpers.flow_runs import again

    picture = tmp_path / "late.png"
    rows = [quick_row("reef", "a fish", frames=3, steps=1), quick_row("ghost", init_image=str(picture))]
    manifest = write_manifest(tmp_path / "m.parquet", rows)
    first = FlowRun(render_manifest, manifest, tmp_path / "out")
    assert first.state.message == "1/4 frames missing; 1 of 2 videos done, 1 failed; 3 frames rendered by this run"
    assert list(first.artifacts()) == ["summary", "failed-frames", "videos", "progress"]

    Image.new("RGB", (32, 32), "orange").save(picture)
    state = again(render_manifest, first.id, AwaitingRetry())

    assert state.message == "4 frames, 2 videos; 4 frames rendered by this run"
    artifacts = first.artifacts()
    assert list(artifacts) == ["summary", "videos", "progress"], "of the second attempt alone"
    assert state.message in artifacts["summary"]
    assert float(artifacts["progress"]) == 100.0
    (run,) = json.loads((tmp_path / "out" / "report" / "summary.json").read_text())["runs"]
    assert (run["attempts"], run["rendered"], run["result"]) == (2, 4, "Completed")


@pytest.mark.timeout(200)
def test_a_run_whose_process_is_ended_by_cancel_leaves_its_artifacts_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect.exceptions import TerminationSignal

    from flows.orchestration.watch import RunWatch
    from tests.helpers.flow_runs import latest_run

    manifest, output = write_manifest(tmp_path / "m.parquet", [quick_row("reef", frames=3)]), tmp_path / "out"
    job = planned(manifest, str(output))
    job.pool.set_result(LocalPool(job.output))

    def ended(*_: object) -> None:
        raise TerminationSignal(15)  # as Prefect's runner ends the process of a run that a person cancels

    monkeypatch.setattr("flows.orchestration.run.run_job", ended)
    monkeypatch.setattr(RunWatch, "is_cancelled", lambda _: True)
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(15))  # Prefect sends itself the signal once more
    try:
        with handing_over(job), pytest.raises((TerminationSignal, SystemExit)):
            FlowRun(render_manifest, manifest, output)
    finally:
        signal.signal(signal.SIGTERM, before)

    artifacts, said = latest_run().artifacts(), "3/3 frames missing; 0 of 1 video done; 0 frames rendered by this run"
    assert latest_run().labels[WORDS] == said, "what the runner then says"
    assert list(artifacts) == ["summary", "videos", "progress"]
    assert said in artifacts["summary"]
    (run,) = json.loads((output / "report" / "summary.json").read_text())["runs"]
    assert (run["result"], run["message"]) == ("Cancelled", said)
    (stored,) = stored_runs(Storage(str(output)))
    assert stored.state is not None
    assert (stored.state.phase, stored.state.result, stored.state.message) == ("ended", "Cancelled", said)


@pytest.mark.timeout(200)
def test_a_report_that_storage_does_not_take_is_in_the_artifact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from infra.storage.storage import Storage, StorageUnavailable

    put = Storage.put

    def full(self: Storage, key: str, data: bytes, **options: object) -> object:
        if key.startswith("report/"):
            raise StorageUnavailable("no room", "make some")
        return put(self, key, data, **options)

    monkeypatch.setattr(Storage, "put", full)
    run = FlowRun(render_manifest, write_manifest(tmp_path / "m.parquet", [quick_row("apple")]), tmp_path / "out")
    assert run.state.message == "1 frame, 1 video; 1 frame rendered by this run"
    summary = run.artifacts()["summary"]
    assert "it could not be put into storage: no room: make some" in summary
    assert run.state.message in summary


@pytest.mark.timeout(200)
def test_invalid_rows_fail_the_run_by_name_and_stop_no_other(tmp_path: Path) -> None:
    (tmp_path / "night").mkdir()
    write_manifest(tmp_path / "night" / "a.parquet", [quick_row("apple")])
    bad = {"video_id": ["x", "y"], "prompt": ["p", "q"], "frames": [0, -1]}
    pq.write_table(pa.table(bad), tmp_path / "night" / "b.parquet")

    run = FlowRun(render_manifest, tmp_path / "night", tmp_path / "out")

    assert (run.state.type.value, run.state.name) == ("FAILED", "RowsInvalid")
    assert run.state.message == (
        "2 rows of the manifest are invalid; all others are rendered; 1 of 1 video done, 2 bad rows; "
        "1 frame rendered by this run"
    )
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
    cut_off = tmp_path / "cut-off.png"  # its head, which is all that a plan looks at, is whole
    Image.effect_noise((64, 64), 50).save(cut_off)
    cut_off.write_bytes(cut_off.read_bytes()[:-1000])
    rows = [quick_row(f"bad-{n:02}", init_image=str(cut_off)) for n in range(40)]

    run = FlowRun(render_manifest, write_manifest(tmp_path / "m.parquet", rows), tmp_path / "out")

    assert (run.state.type.value, run.state.name) == ("FAILED", "TooManyFailures")
    assert run.state.message is not None
    assert run.state.message.startswith("40/40 frames missing; gave up: ")
    assert "more than the 20 that NIGHTREEL_FAILURE_SHARE=0.2 allows" in run.state.message
    tried = [info for info in Storage(str(tmp_path / "out")).list() if "/failures/" in info.key]
    assert 21 <= len(tried) < 30  # what was under way may end
