"""The loop that drives a job: what it submits, whose threads it uses, what it does with errors, and what a lock guards
while it runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from flows.job.chunk_runner import ChunkRunner
from flows.job.control import JobControl
from flows.job.dispatch import ChunkRun, StitchRun, Submitted, plain_threads, run_job
from flows.job.events import JobEvents
from flows.job.reruns import RerunParameters, rerun_job
from flows.job.state import VideoRun
from flows.retry_and_quarantine.attempts import Attempts
from flows.retry_and_quarantine.records import FailureRecord
from infra.settings import InfraSettings
from infra.storage.storage import Storage
from infra.workers.local_pool import LocalPool
from infra.workers.tasks import FrameTask
from infra.workers.worker import Worker
from tests.helpers.lock_watch import watch_lock
from tests.helpers.render_jobs import planned, quick_row, render, write_manifest

ROWS = [quick_row("reef", "a fish", frames=6), quick_row("apple")]
KEYED = quick_row("keyed", "a boat", frames=7, handoff="keyframes", keyframe_every=3)


def manifest_of(folder: Path, *rows: object) -> str:
    return write_manifest(folder / "m.parquet", rows)  # type: ignore[arg-type]


def test_a_job_is_submitted_as_runs_that_can_be_called_anywhere(tmp_path: Path) -> None:
    job = planned(manifest_of(tmp_path, *ROWS), str(tmp_path / "out"), InfraSettings(chunk_seconds=0.1), range_frames=3)
    submitted: list[ChunkRun | StitchRun] = []
    ticks: list[None] = []
    with plain_threads() as threads:

        def submit(run: ChunkRun | StitchRun) -> Submitted:
            submitted.append(run)
            return threads(run)

        done = run_job(job, LocalPool(job.output), submit, JobEvents(tick=lambda: ticks.append(None)))

    assert job.complete
    assert done.actors == 1
    begun = [run.chunk for run in submitted if isinstance(run, ChunkRun)]
    assert sorted(chunk.name for chunk in begun) == sorted(chunk.name for chunk in done.chunks)
    assert [chunk.name for chunk in begun if chunk.after] == [begun[-1].name]  # what waits for another is the last
    assert [run.video for run in submitted if isinstance(run, StitchRun)] == ["reef"]  # the apple's chunk was whole
    assert ticks


def test_a_job_that_needs_workers_is_not_begun_without(tmp_path: Path) -> None:
    job = planned(manifest_of(tmp_path, ROWS[1]), str(tmp_path / "out"))
    with pytest.raises(ValueError, match="give it a pool of workers, such as LocalPool"):
        run_job(job)
    assert not job.stopped


class _Broken(LocalPool):
    """A pool with a fault of its own, which no failure policy knows."""

    def lease(self, *args: object, **how: object) -> object:  # type: ignore[override]
        raise ZeroDivisionError("the pool is broken")


def test_an_error_that_is_no_frames_own_is_raised_at_the_end(tmp_path: Path) -> None:
    job = planned(manifest_of(tmp_path, *ROWS), str(tmp_path / "out"))
    with pytest.raises(ZeroDivisionError, match="the pool is broken"):
        run_job(job, _Broken(job.output))


def test_an_error_of_the_loop_itself_stops_the_job(tmp_path: Path) -> None:
    job = planned(manifest_of(tmp_path, *ROWS), str(tmp_path / "out"))

    def tick() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_job(job, LocalPool(job.output), events=JobEvents(tick=tick))
    assert job.stopped
    assert not job.complete


class _FailsOnce(Worker):
    failed: set[tuple[str, int]]

    def _render(self, tasks: Sequence[FrameTask]) -> list[Exception | None]:
        for task in tasks:
            if (task.row.video_id, task.frame.index) not in type(self).failed and task.frame.index == 1:
                type(self).failed.add((task.row.video_id, task.frame.index))
                raise RuntimeError("once")
        return super()._render(tasks)


def test_all_threads_of_a_job_hold_the_lock_of_what_they_touch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chains and keyframes, one by one and side by side, with failures, damage, a re-run, and somebody who looks."""
    breaches = [
        watch_lock(monkeypatch, VideoRun),
        watch_lock(monkeypatch, JobControl, {"_failed", "_budget"}),
        watch_lock(monkeypatch, ChunkRunner, {"_finishing"}),
        watch_lock(monkeypatch, Attempts, {"_records", "_speeds"}),
    ]
    manifest, output = manifest_of(tmp_path, *ROWS, KEYED), str(tmp_path / "out")
    _FailsOnce.failed = set()
    heard: list[FailureRecord] = []
    job = planned(manifest, output, range_frames=3)
    pool = LocalPool(Storage(output), size=2, batch=4, make=_FailsOnce)
    run_job(job, pool, events=JobEvents(heard.append, lambda: "log", lambda: _look(job)))
    assert job.complete
    assert {("reef", 1, "log"), ("keyed", 1, "log")} <= {(it.video_id, it.frame, it.log) for it in heard}

    frames = sorted(Path(output, "reef/frames").iterdir())
    frames[1].write_bytes(frames[1].read_bytes()[:-100])
    frames[4].unlink()
    for segment in Path(output, "reef/segments").iterdir():
        segment.unlink()
    again = render(manifest, output, range_frames=3)
    assert (again.complete, again.runs["reef"].repaired) == (True, {1})

    rerun = rerun_job(RerunParameters.of(output, "reef", "2", "until-same", None, False, 0), InfraSettings())
    rerun.read()
    run_job(rerun, LocalPool(Storage(output)))
    assert (rerun.complete, rerun.runs["reef"].rendered) == (True, 1)
    assert breaches == [[], [], [], []]


def _look(job: object) -> None:
    job.progress()  # type: ignore[attr-defined]
