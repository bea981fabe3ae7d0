"""What a run leaves of itself in storage, while it lives and after."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from flows.job.dispatch import run_job
from flows.job.outcome import JobCounts
from flows.job.run_documents import RunIdentity, documenting
from flows.runs.stored import read_run, stored_runs
from infra.settings import InfraSettings
from infra.storage.layout import run_record_key, run_state_key
from infra.storage.storage import Storage
from infra.workers.local_pool import LocalPool
from renderers.frame_rendering.renderer import FrameRequest
from tests.helpers.failing import looking
from tests.helpers.render_jobs import planned, quick_row, write_manifest


def test_a_run_says_what_it_does_while_it_lives_and_how_it_ended(tmp_path: Path) -> None:
    output = str(tmp_path / "out")
    manifest = write_manifest(tmp_path / "m.parquet", [quick_row("reef", "a fish", frames=3), quick_row("apple")])
    job = planned(manifest, output)
    with documenting(job, RunIdentity("render-manifest", "render it", "id", 2, "http://ui")) as documents:
        (begun,) = stored_runs(Storage(output))
        assert begun.state is not None
        assert (begun.state.phase, begun.state.done, begun.state.phases) == ("starting", (0, 0), "ww")
        assert begun.alive()
        assert not begun.alive(datetime.now(UTC) + timedelta(minutes=5)), "it is silent"
        pool = LocalPool(job.output)
        job.pool.set_result(pool)
        run_job(job, pool)
        documents.put()
        documents.end("Completed", "all there")
    record, state = begun.record, read_run(Storage(output), documents.run).state
    assert [(it.video_id, it.frames) for it in record.videos] == [("reef", 3), ("apple", 1)]
    assert (record.flow, record.name, record.flow_run, record.attempt) == ("render-manifest", "render it", "id", 2)
    assert state is not None
    assert (state.phase, state.result, state.message) == ("ended", "Completed", "all there")
    assert (state.done, state.phases, state.rendered, state.videos_done) == ((3, 1), "dd", 4, 2)
    assert state.render_seconds > 0
    assert {it.video_id for it in state.latest} == {"reef", "apple"}
    assert all(Storage(output).exists(it.key) for it in state.latest)
    assert state.actors == 1


def test_a_frame_that_is_tried_again_has_not_failed_and_nor_has_its_video(tmp_path: Path) -> None:
    """Be it that its worker was lost, or was restarted as asked for: only what is given up counts, everywhere."""
    rows = [quick_row("reef", "a fish", frames=3), quick_row("ghost", frames=4, init_image=str(tmp_path / "no.png"))]
    job = planned(write_manifest(tmp_path / "m.parquet", rows), str(tmp_path / "out"), InfraSettings(attempts=3))
    seen: list[tuple[str, int, int, list[bool], str]] = []

    def fails(request: FrameRequest) -> None:
        if request.frame.index == 1:
            state = documents.state("rendering")
            finals = [it.final for it in state.failures]
            seen.append((state.phases, state.failed, job.videos_failed, finals, JobCounts.of(job).videos_text))
            raise RuntimeError("frame 1 can not be")

    with documenting(job, RunIdentity("render-manifest")) as documents:
        run_job(job, LocalPool(job.output, make=looking(fails)))
        after = documents.state("rendering")
        documents.end("FramesMissing")
    counts = "0 of 2 videos done, 1 failed"  # ghost, whose row can't be rendered
    assert seen == [("r", 4, 1, [], counts), ("r", 4, 1, [False], counts), ("r", 4, 1, [False], counts)]
    assert (after.phases, after.failed, job.videos_failed) == ("f", 5, 2), "ghost's four frames count, as it does"
    assert [(it.frame, it.attempts, it.final) for it in after.failures] == [(1, 3, True)]


def test_a_job_that_was_stopped_tries_nothing_again(tmp_path: Path) -> None:
    job = planned(write_manifest(tmp_path / "m.parquet", [quick_row("reef", frames=3)]), str(tmp_path / "out"))

    asked: list[int] = []

    def fails(request: FrameRequest) -> None:
        asked.append(request.frame.index)
        if len(asked) == 2:
            job.stop()
        raise RuntimeError("frame 0 can not be")

    with documenting(job, RunIdentity("render-manifest")) as documents:
        run_job(job, LocalPool(job.output, make=looking(fails)))
        documents.end("Cancelled")
    (run,) = stored_runs(job.output)
    assert run.state is not None
    assert (run.state.phases, run.state.failed) == ("f", 1)


def test_a_run_that_breaks_says_so(tmp_path: Path) -> None:
    job = planned(write_manifest(tmp_path / "m.parquet", [quick_row("apple")]), str(tmp_path / "out"))
    with pytest.raises(RuntimeError), documenting(job, RunIdentity("python")):
        raise RuntimeError("broken")
    (run,) = stored_runs(job.output)
    assert run.ended
    assert run.state is not None
    assert (run.state.result, run.state.message) == ("RuntimeError", "broken")


def test_what_was_seen_before_the_end_is_not_put_in_its_place(tmp_path: Path) -> None:
    job = planned(write_manifest(tmp_path / "m.parquet", [quick_row("apple")]), str(tmp_path / "out"))
    with documenting(job, RunIdentity("python")) as documents:
        documents.end("Completed")
        assert documents.put() == 0, "by the thread, which was late"
    (run,) = stored_runs(job.output)
    assert run.state is not None
    assert (run.state.phase, run.state.result) == ("ended", "Completed")


def test_documents_of_others_are_passed_over(tmp_path: Path) -> None:
    job = planned(write_manifest(tmp_path / "m.parquet", [quick_row("apple")]), str(tmp_path / "out"))
    with documenting(job, RunIdentity("python")) as documents:
        documents.end("Completed")
    output = job.output
    output.put(run_record_key("20200101T000000-strange"), b"\xff{", existing="replace")
    output.put(run_record_key("20200101T000000-list"), b"[1]", existing="replace")
    known = json.loads(output.read(run_state_key(documents.run)))
    output.put(run_state_key(documents.run), json.dumps({**known, "new": 1}).encode(), existing="replace")
    (run,) = stored_runs(output)
    assert run.state is not None
