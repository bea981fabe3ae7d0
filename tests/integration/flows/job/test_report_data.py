"""The report is read back from storage: each record once, and several at a time."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from flows.job.dispatch import run_job
from flows.job.job import RenderJob
from flows.job.outcome import outcome
from flows.job.output_videos import stored_status
from flows.job.report_data import FRAMES_TABLE, SUMMARY, OutputReport, publish_report
from flows.job.report_keeper import Concluded, ReportKeeper
from flows.job.reruns import RerunParameters, rerun_job
from flows.job.run_documents import RunIdentity, documenting
from flows.report.html import render_html
from infra.settings import InfraSettings
from infra.storage.layout import run_state_key
from infra.storage.storage import Existing, PutOutcome, Storage, StorageUnavailable
from infra.workers.local_pool import LocalPool
from renderers.registry import Registry
from tests.helpers.render_jobs import frame_files, gather_report, planned, quick_row, render, write_manifest

ROWS = [quick_row("reef", "a fish", frames=6, steps=1), quick_row("boat", "a boat", frames=4, steps=1)]

LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


class _Counting(Storage):
    """A storage that lets two records be read at a time, and no less."""

    def __init__(self, root: str) -> None:
        super().__init__(root)
        self.reads = Counter[str]()
        self._two = threading.Barrier(2)

    def read(self, key: str, *, most: int | None = None) -> bytes:
        if "/segments/" in key:
            self._two.wait(30)
        self.reads[key] += 1
        return super().read(key, most=most)


def test_records_of_earlier_runs_are_read_once_and_side_by_side(tmp_path: Path) -> None:
    manifest, output = write_manifest(tmp_path / "m.parquet", ROWS), str(tmp_path / "out")
    first = gather_report(render(manifest, output, range_frames=3), actors=1)
    job = planned(manifest, output, range_frames=3)
    storage = job.output = _Counting(output)

    gathered = gather_report(job, actors=1)
    publish_report(storage, gathered)

    records = {key: count for key, count in storage.reads.items() if key.endswith(".json")}
    assert len(records) == 4
    assert set(storage.reads.values()) == {1}
    frames = pq.read_table(Path(output, FRAMES_TABLE)).to_pylist()
    assert [(it["video_id"], it["frame"]) for it in frames] == [
        *(("reef", frame) for frame in range(6)), *(("boat", frame) for frame in range(4)),
    ]  # fmt: skip
    assert frames == first.frames.to_pylist()
    for again, before in zip(gathered.report.videos, first.report.videos, strict=True):
        assert (again.frame_losses, again.frame_seconds) == (before.frame_losses, before.frame_seconds)
        assert (again.state, again.poster, before.skipped, again.rendered) == ("done", before.poster, 0, 0)


def documented(job: RenderJob, identity: str = "render-manifest", *, conclude: bool = True) -> Concluded | None:
    """Run a planned job to its end, as a flow does; without `conclude` it dies before its last word."""
    with documenting(job, RunIdentity(identity, f"{identity} it")) as documents:
        keeper = ReportKeeper(job, documents)
        run_job(job, LocalPool(job.output) if job.needs_workers else None)
        if not conclude:
            keeper.refresh()
            return None
        end = outcome(job)
        concluded = keeper.conclude(end.name, end.message)
        documents.end(end.name, end.message)
    return concluded


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A manifest and the output that it was rendered to."""
    folder = tmp_path_factory.mktemp("finished")
    manifest = write_manifest(folder / "m.parquet", ROWS)
    documented(planned(manifest, str(folder / "out"), range_frames=3))
    return manifest, str(folder / "out")


@pytest.fixture
def copied(finished: tuple[str, str], tmp_path: Path) -> str:
    """A copy of that output: times of change are others."""
    shutil.copytree(finished[1], tmp_path / "copy", copy_function=shutil.copyfile)
    return str(tmp_path / "copy")


def summary(output: str) -> dict[str, Any]:
    return json.loads(Path(output, SUMMARY).read_text())


def rerunning(output: str, frames: str = "2") -> RenderJob:
    job = rerun_job(RerunParameters.of(output, "reef", frames, "keep", None, False, 0), InfraSettings())
    job.read()
    return job


def test_a_rerun_leaves_the_report_of_the_whole_output(copied: str) -> None:
    concluded = documented(rerunning(copied), "rerun-frames")

    assert concluded is not None
    assert [(it.video_id, it.state, it.rendered) for it in concluded.report.videos] == [
        ("reef", "done", 1), ("boat", "done", 0),
    ]  # fmt: skip
    page, told = Path(copied, "report/index.html").read_text(), summary(copied)
    assert "video-reef" in page
    assert "video-boat" in page
    assert (told["complete"], told["videos"]["total"], told["frames"]["wanted"]) == (True, 2, 10)
    assert (told["frames"]["rendered"], told["frames"]["kept"], told["title"]) == (1, 9, "m.parquet")
    assert [(it["flow"], it["result"], it["rendered"]) for it in told["runs"]] == [
        ("rerun-frames", "Completed", 1), ("render-manifest", "Completed", 10),
    ]  # fmt: skip
    assert pq.read_table(Path(copied, FRAMES_TABLE)).num_rows == 10


def test_the_report_of_an_output_without_documents_of_runs_is_whole_as_well(copied: str) -> None:
    """As 0.2 and before left it."""
    shutil.rmtree(Path(copied, "report"))
    gathered = gather_report(rerunning(copied, "missing"), actors=None)
    assert [(it.video_id, it.state) for it in gathered.report.videos] == [("reef", "done"), ("boat", "done")]


def test_it_is_there_while_a_job_runs_and_says_so_after_a_crash(tmp_path: Path, copied: str) -> None:
    manifest = write_manifest(tmp_path / "more.parquet", [quick_row("apple"), quick_row("pear")])
    job = planned(manifest, copied)
    with documenting(job, RunIdentity("render-manifest", "render more")) as documents:
        keeper = ReportKeeper(job, documents)
        keeper.refresh()
        told = summary(copied)
        assert (told["running"], told["complete"]) == (True, False)
        assert told["videos"] | {"total": 0} == {
            "total": 0, "done": 2, "waiting": 2, "rendering": 0, "missing": 0, "failed": 0, "invalid": 0,
        }  # fmt: skip
        assert "while a run was at work" in Path(copied, "report/index.html").read_text()
        states = {it.video_id: it.state for it in stored_status(job.output, Registry())}
        assert states == {"apple": "waiting", "pear": "waiting", "reef": "done", "boat": "done"}
    # its process dies, and nobody hears of it any more
    state = Path(copied, run_state_key(documents.run))
    silent = json.loads(state.read_text()) | {"updated": "2026-01-01T00:00:00Z"}
    state.write_text(json.dumps(silent))
    states = {it.video_id: it.state for it in stored_status(job.output, Registry())}
    assert states == {"apple": "missing", "pear": "missing", "reef": "done", "boat": "done"}
    assert summary(copied)["runs"][0]["result"] == "running", "the page says when that was"


def test_what_was_gathered_is_not_read_again_unless_another_run_has_it(copied: str) -> None:
    class Reading(Storage):
        reads: ClassVar[list[str]] = []

        def read(self, key: str, *, most: int | None = None) -> bytes:
            self.reads.append(key)
            return super().read(key, most=most)

    job = rerunning(copied, "missing")
    job.output = Reading(copied)
    gatherer = OutputReport(job)
    first = gatherer.gather(actors=None)
    assert any(key.startswith("boat/") for key in Reading.reads)
    Reading.reads.clear()
    assert gatherer.gather(actors=None).report.videos == first.report.videos
    assert [key for key in Reading.reads if key.startswith(("boat/", "reef/"))] == []

    other = rerun_job(RerunParameters.of(copied, "boat", "1", "keep", 7, False, 0), InfraSettings())
    other.read()
    documented(other, "rerun-frames")
    again = {it.video_id: it for it in gatherer.gather(actors=None).report.videos}
    assert dict(again["boat"].frame_losses)[1] != dict(first.report.videos[1].frame_losses)[1]


def test_two_runs_on_one_output_put_the_same_page(tmp_path: Path, copied: str) -> None:
    job = planned(write_manifest(tmp_path / "more.parquet", [quick_row("apple")]), copied)
    with documenting(job, RunIdentity("render-manifest")) as documents:
        rerun = documented(rerunning(copied), "rerun-frames")
        render = OutputReport(job, documents).gather(actors=1)
    assert rerun is not None
    assert [(it.video_id, it.state) for it in rerun.report.videos] == [
        ("reef", "done"), ("boat", "done"), ("apple", "waiting"),
    ]  # fmt: skip
    assert [(it.video_id, it.state) for it in render.report.videos] == [
        (it.video_id, it.state) for it in rerun.report.videos
    ]


def test_a_full_disk_costs_the_page_and_not_what_was_gathered(copied: str) -> None:
    class Full(Storage):
        def put(self, key: str, data: bytes, *, existing: Existing = "keep") -> PutOutcome:
            if key.startswith("report/"):
                raise StorageUnavailable("no room", "make some")
            return super().put(key, data, existing=existing)

    job = rerunning(copied)
    job.output = Full(copied)
    concluded = documented(job, "rerun-frames")
    assert concluded is not None
    assert (concluded.page, concluded.problem) == ("", "no room: make some")
    assert [it.state for it in concluded.report.videos] == ["done", "done"]
    assert concluded.report.runs[0].flow == "rerun-frames", "known although its documents lie nowhere"


def test_storage_that_can_not_be_read_costs_the_videos_of_others(copied: str) -> None:
    class Deaf(Storage):
        def list(self, prefix: str = "", *, ours: bool = False) -> Any:
            raise StorageUnavailable("no answer", "wait")

    job = rerunning(copied, "missing")
    job.output = Deaf(copied)
    report = gather_report(job, actors=None).report
    assert [(it.video_id, it.state) for it in report.videos] == [("reef", "done")]
    assert report.unread == 1
    assert "1 video could not be read" in render_html(report)


def test_status_and_report_agree_on_refused_bad_lost_and_edited_videos(tmp_path: Path, copied: str) -> None:
    Path(frame_files(copied, "boat")[2]).unlink()
    (tmp_path / "text.png").write_text("no picture")
    rows = [
        quick_row("ghost", "a ghost", init_image=str(tmp_path / "no.png"), width=64, height=48),
        quick_row("text", "a text", init_image=str(tmp_path / "text.png")),
        quick_row("reef", "another fish", frames=6, steps=1),  # refused: it would replace what is there
    ]
    job = planned(write_manifest(tmp_path / "bad.parquet", rows), copied)
    job.record_refused()
    concluded = documented(job)
    assert concluded is not None
    report = {it.video_id: it for it in concluded.report.videos}
    status = {it.video_id: it for it in stored_status(job.output, Registry())}
    assert {name: (it.state, it.done, it.frames, it.reason) for name, it in report.items()} == {
        name: (it.state, it.done, it.frames, it.reason) for name, it in status.items()
    }
    assert {name: it.state for name, it in status.items()} == {
        "reef": "failed", "boat": "missing", "ghost": "failed", "text": "failed",
    }  # fmt: skip
    assert (report["ghost"].width, report["ghost"].height, report["ghost"].prompt) == (64, 48, "a ghost")
    assert (report["text"].width, report["reef"].video_href) == (32, "../reef/video.mp4")
    assert "--force" in status["reef"].reason

    # the first rows again: what was refused in between stands no more
    documented(planned(write_manifest(tmp_path / "m.parquet", ROWS), copied, range_frames=3))
    states = {it.video_id: it.state for it in stored_status(job.output, Registry())}
    assert states == {"reef": "done", "boat": "done", "ghost": "failed", "text": "failed"}


def test_a_copy_of_an_output_says_what_the_original_says(
    finished: tuple[str, str], copied: str, tmp_path: Path
) -> None:
    """Times of change say nothing of a copy: `missing 12/12` was said of a finished video."""
    edited = write_manifest(tmp_path / "edited.parquet", [quick_row("reef", "another fish", frames=6, steps=1)])
    documented(planned(edited, copied, force=True, range_frames=3))
    again = planned(finished[0], copied, force=True, range_frames=3)
    documented(again)
    plans = sorted(Path(copied, "reef/plans").iterdir())
    assert len(plans) == 2
    for order in (plans, plans[::-1]):
        for moment, plan in enumerate(order):
            os.utime(plan, (moment, moment))
        assert {it.video_id: it.state for it in stored_status(Storage(copied), Registry())} == {
            "boat": "done", "reef": "done",
        }  # fmt: skip
        # as 0.2 wrote them: what was published goes before what was put last
    for plan in plans:
        document = json.loads(plan.read_text())
        del document["planned"]
        plan.write_text(json.dumps(document))
    for order in (plans, plans[::-1]):
        for moment, plan in enumerate(order):
            os.utime(plan, (moment, moment))
        assert {it.state for it in stored_status(Storage(copied), Registry())} == {"done"}


def test_brightness_of_what_renews_and_scores_of_candidates_are_found_again_in_storage(tmp_path: Path) -> None:
    rows = [
        quick_row("mended", frames=3, steps=1, renew={"colours": 0.5}),
        quick_row("plain", frames=2, steps=1),
        quick_row("best", steps_first=4, candidates=3, candidates_share=0.5),
    ]
    manifest, output = write_manifest(tmp_path / "m.parquet", rows), str(tmp_path / "out")
    here = gather_report(render(manifest, output), actors=1).report
    later = gather_report(planned(manifest, output), actors=1).report
    for report in (here, later):
        videos = {video.video_id: video for video in report.videos}
        lumas = dict(videos["mended"].frame_lumas)
        for frame, path in enumerate(frame_files(output, "mended")):
            with Image.open(path) as image:
                colours = np.asarray(image.convert("RGB")).mean(axis=(0, 1))
            assert lumas[frame] == pytest.approx(colours @ LUMA, abs=0.01)
        assert len(lumas) == 3
        assert not len(videos["plain"].frame_lumas)
        assert len(videos["best"].candidates) == 3
        scores = videos["best"].candidates
        assert scores[videos["best"].chosen] == min(it for it in scores if it is not None)
        assert not videos["plain"].candidates
    (record,) = Path(output, "plain", "segments").glob("*.json")
    assert all("luma" in frame for frame in json.loads(record.read_text())["frames"])  # a score of every frame
