"""Rows that are no good are counted alike by whoever counts."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from flows.cli.render import _detail
from flows.job.dispatch import run_job
from flows.job.outcome import JobCounts, outcome
from flows.job.output_videos import stored_status, stored_wants
from flows.job.report_keeper import ReportKeeper
from flows.job.run_documents import RunIdentity, documenting
from flows.report.document import summary_document
from infra.workers.local_pool import LocalPool
from manifests.results import bad_rows
from manifests.schema import arrow_schema, row_to_arrow
from renderers.registry import Registry
from tests.helpers.render_jobs import planned, quick_row, write_manifest


def manifest_with_bad_rows(folder: Path) -> str:
    """A good still, a good video whose picture is missing, and two rows that can't be read, one of them twice."""
    rows = [row_to_arrow(quick_row("apple")),
            row_to_arrow(quick_row("ghost", frames=3, init_image=str(folder / "no.png")))]  # fmt: skip
    rows.append({**row_to_arrow(quick_row("dunes")), "frames": -1, "fps": -1.0})
    rows.append({**row_to_arrow(quick_row("sea")), "frames": 0})
    pq.write_table(pa.Table.from_pylist(rows, schema=arrow_schema()), folder / "m.parquet")
    return str(folder / "m.parquet")


def test_progress_state_status_report_and_documents_count_alike(tmp_path: Path) -> None:
    job = planned(manifest_with_bad_rows(tmp_path), str(tmp_path / "out"))
    job.record_refused()
    assert JobCounts.of(job).progress_text == "0 of 4 frames, 0 of 2 videos done, 1 failed, 2 bad rows"
    with documenting(job, RunIdentity("render-manifest")) as documents:
        keeper = ReportKeeper(job, documents)
        run_job(job, LocalPool(job.output))
        end = outcome(job)
        report = keeper.conclude(end.name, end.message).report
        documents.end(end.name, end.message)
        state = documents.state("ended")

    assert (end.name, end.complete) == ("FramesMissing", False)
    assert end.message == ("3/4 frames missing; 1 of 2 videos done, 1 failed, 2 bad rows; 1 frame rendered by this run")
    told, progress = summary_document(report), job.progress()
    status = list(stored_status(job.output, Registry()))
    assert {
        (end.counts.frames, end.counts.frames - end.counts.frames_missing),
        (told["frames"]["wanted"], told["frames"]["done"]),
        (progress.frames, progress.frames_done),
        (state.frames, state.frames_done),
        (sum(it.frames for it in status), sum(it.done for it in status)),
    } == {(4, 1)}
    assert {
        (end.counts.videos, end.counts.videos_done, end.counts.videos_failed),
        (told["videos"]["total"], told["videos"]["done"], told["videos"]["failed"]),
        (progress.videos, progress.videos_done, progress.videos_failed),
        (len(status), sum(it.state == "done" for it in status), sum(it.state == "failed" for it in status)),
    } == {(2, 1, 1)}
    bad = bad_rows(stored_wants(job.output).problems)
    assert {end.counts.bad_rows, told["bad_rows"], progress.bad_rows, bad} == {2}


@pytest.mark.parametrize(("frames", "text"), [(1, "1 frame, 1 video; 1 frame rendered by this run"),
                                              (2, "2 frames, 1 video; 2 frames rendered by this run")])  # fmt: skip
def test_one_is_no_plural(tmp_path: Path, frames: int, text: str) -> None:
    job = planned(write_manifest(tmp_path / "m.parquet", [quick_row("apple", frames=frames)]), str(tmp_path / "out"))
    assert job.summary == f"{text.split(',')[0]} to render in 1 of 1 video"
    run_job(job, LocalPool(job.output))
    assert outcome(job).message == text
    assert outcome(job, rendered_before=600).message.endswith(f"{600 + frames} frames rendered by this run")


class _WithoutNodes(LocalPool):
    waiting = "waiting for nodes"  # type: ignore[assignment]  # a property


def test_what_is_still_to_come_up_is_said(tmp_path: Path) -> None:
    job = planned(write_manifest(tmp_path / "m.parquet", [quick_row("apple")]), str(tmp_path / "out"))
    assert _detail(job.progress(), served=False) == "  starting server, starting actors"
    assert _detail(job.progress(), served=True) == "  starting actors"
    pool = LocalPool(job.output)
    job.pool.set_result(pool)
    assert job.progress().starting == "loading models"
    job.pool = Future()
    job.pool.set_result(_WithoutNodes(job.output))
    assert job.progress().starting == "waiting for nodes"
    job.pool = Future()
    run_job(job, pool)
    assert (job.progress().starting, _detail(job.progress(), served=True)) == ("", "")
