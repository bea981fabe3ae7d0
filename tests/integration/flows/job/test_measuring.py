"""What a job says of itself in numbers while it renders, fails and tries again; on a `LocalPool`, with a recorder that
a test can look into."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from flows.job.dispatch import run_job
from flows.job.measuring import JobMeasures
from infra import metrics
from infra.settings import InfraSettings
from infra.storage.storage import Storage, StorageError
from infra.workers.local_pool import LocalPool
from renderers.frame_rendering.renderer import FrameRequest
from tests.helpers.failing import looking
from tests.helpers.numbers import Numbers, recording
from tests.helpers.render_jobs import planned, quick_row, render, write_manifest


def test_a_job_s_numbers_are_those_of_its_frames(tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path / "m.parquet", [quick_row("reef", frames=3), quick_row("apple")])
    with recording() as numbers:
        job = render(manifest, str(tmp_path / "out"))
    assert job.complete
    assert numbers.at(metrics.FRAMES_COMMITTED) == 4
    assert len(numbers.of(metrics.STEP_SECONDS)) == len(numbers.of(metrics.PUT_SECONDS)) == 4
    assert len(numbers.of(metrics.ENCODE_SECONDS)) == 2
    assert all(0 < seconds < 100 for seconds in numbers.of(metrics.STEP_SECONDS))
    busy = numbers.at(metrics.WORKER_BUSY)
    assert sum(run.render_seconds for run in job.runs.values()) <= busy
    assert numbers.at(metrics.GPU_BUSY) == 0
    assert numbers.at(metrics.FRAMES_WAITING) == numbers.at(metrics.VIDEOS_LEFT) == 0


def test_what_fails_and_is_tried_again_is_counted_by_its_kind(tmp_path: Path) -> None:
    tries: dict[str, int] = {}

    def before(request: FrameRequest) -> None:
        name = request.plan.row.video_id
        tries[name] = tries.get(name, 0) + 1
        if name == "bad" or tries[name] == 1:
            raise RuntimeError("no picture")

    manifest = write_manifest(tmp_path / "m.parquet", [quick_row("bad"), quick_row("good")])
    with recording() as numbers:
        job = render(manifest, str(tmp_path / "out"), make=looking(before), settings=InfraSettings(attempts=3))
    assert job.frames_failed == 1
    assert numbers.at(metrics.RETRIES, kind="application") == 3  # two of the bad one, one of the other
    assert numbers.at(metrics.FRAMES_FAILED, kind="application") == 1
    assert numbers.at(metrics.FRAMES_COMMITTED) == 1


def test_what_waits_and_for_how_long(tmp_path: Path) -> None:
    """Two videos, of which one has its first frame: all of the other wait since the run began."""
    held, go_on = threading.Event(), threading.Event()

    def before(request: FrameRequest) -> None:
        if request.frame.index == 1:
            held.set()
            assert go_on.wait(60)

    rows = [quick_row("first", frames=2), quick_row("second", frames=2)]
    manifest, output = write_manifest(tmp_path / "m.parquet", rows), str(tmp_path / "out")
    job = planned(manifest, output)
    pool = LocalPool(Storage(output), make=looking(before))
    running = threading.Thread(target=run_job, args=(job, pool))
    began = time.time()
    with recording() as numbers:
        running.start()
        assert held.wait(60)
        while numbers.at(metrics.FRAMES_COMMITTED) < 1:  # beside the next frame
            time.sleep(0.01)
        waiting = Numbers()
        metrics.record_with(waiting)
        JobMeasures(job, pool).look_now_and_then()
        metrics.record_with(numbers)
        go_on.set()
        running.join(60)
    assert waiting.at(metrics.FRAMES_WAITING) == 3
    assert waiting.at(metrics.VIDEOS_LEFT) == 2
    assert waiting.at(metrics.VIDEOS_FAILED) == 0
    assert began - job.began < waiting.at(metrics.OLDEST_WAITING) < time.time() - job.began
    assert {state: waiting.at(metrics.WORKERS, state=state) for state in ("there", "quarantined")} == {
        "there": 1, "quarantined": 0,
    }  # fmt: skip


def test_looks_cost_little_and_none_where_nobody_listens(tmp_path: Path) -> None:
    job = planned(write_manifest(tmp_path / "m.parquet", [quick_row("reef")]), str(tmp_path / "out"))
    measures = JobMeasures(job, None)
    measures.look_now_and_then()
    with recording() as numbers:
        measures.look_now_and_then()
        said = len(numbers.all)
        measures.look_now_and_then()  # it was just now
    assert said == len(numbers.all) > 0


def test_errors_of_storage_are_counted_and_what_is_not_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    storage = Storage(str(tmp_path / "file"))
    with recording() as numbers:
        assert not Storage(str(tmp_path)).exists("nothing")
        assert numbers.all == []
        with pytest.raises(StorageError):
            storage.put("key", b"data")
    assert numbers.at(metrics.STORAGE_ERRORS, error="StorageError") == 1
