"""One frame, one set of bytes: whoever renders it, in whatever ranges, wherever it lands."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path

import pytest
import torch

from flows.job.dispatch import run_job
from flows.job.output_videos import VideoStatus, stored_status
from infra.settings import InfraSettings
from infra.storage.storage import Storage
from infra.video.ffmpeg import probe
from infra.workers.local_pool import LocalPool
from infra.workers.tasks import FrameTask
from infra.workers.worker import Worker
from renderers.registry import Registry
from tests.helpers.render_jobs import frame_objects, planned, quick_row, render, write_manifest

ROWS = [
    quick_row("reef", "0: a fish | 9: a red apple", frames=18, steps=1, crossfade=4),
    quick_row("boat", "a boat", frames=7, steps=1, init="noise", format="gif"),
    quick_row("apple", steps_first=6),
]


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_manifest(tmp_path_factory.mktemp("manifest") / "m.parquet", ROWS)


@pytest.fixture(scope="module")
def reference(manifest: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The manifest rendered by one worker without a break."""
    output = str(tmp_path_factory.mktemp("reference"))
    job = render(manifest, output)
    assert job.complete
    assert (job.progress().frames_done, job.progress().rendered, job.progress().failed) == (26, 26, 0)
    return output


def test_a_job_leaves_whole_videos_with_their_sheets_and_no_failure(reference: str) -> None:
    videos = {"reef/video.mp4": 18, "boat/video.gif": 7, "apple/video.png": 1}
    assert {name: probe(Path(reference, name)).frames for name in videos} == videos
    keys = {info.key for info in Storage(reference).list()}
    for name in ("reef", "boat", "apple"):
        assert {f"{name}/contact_sheet.png", f"{name}/provenance.json"} <= keys
    assert not [key for key in keys if "/failures/" in key]


@pytest.mark.parametrize(("workers", "range_frames"), [(1, 5), (2, 5), (2, 16)])
def test_frames_are_the_same_for_any_number_of_workers_and_any_cut(
    manifest: str, reference: str, tmp_path: Path, workers: int, range_frames: int
) -> None:
    settings = InfraSettings(chunk_seconds=0.5)  # every range a chunk of its own, so that workers take turns

    job = render(manifest, str(tmp_path), workers=workers, range_frames=range_frames, settings=settings)

    assert job.complete
    assert len(job.chunks(workers)) >= len(job.runs["reef"].work.ranges)
    assert frame_objects(str(tmp_path)) == frame_objects(reference)


def test_frames_are_the_same_in_an_object_store(manifest: str, reference: str, s3_root: str) -> None:
    job = render(manifest, s3_root, range_frames=5)

    assert job.complete
    assert frame_objects(s3_root) == frame_objects(reference)
    assert not render(manifest, s3_root, range_frames=5).needs_workers


def _in_this_thread(run: Callable[[], object]) -> Future[object]:
    done: Future[object] = Future()
    done.set_result(run())
    return done


def test_the_thread_that_renders_does_not_matter(manifest: str, reference: str, tmp_path: Path) -> None:
    """PyTorch keeps its number of threads per thread: one that used it before the models came has another."""
    torch.set_num_threads(2)
    torch.randn(64, 64) @ torch.randn(64, 64)
    try:
        job = planned(manifest, str(tmp_path))
        pool = LocalPool(job.output)
        loading = threading.Thread(target=lambda: [worker.warm("embedded") for worker in pool._workers])
        loading.start()
        loading.join()
        run_job(job, pool, _in_this_thread)
    finally:
        torch.set_num_threads(1)
    assert frame_objects(str(tmp_path)) == frame_objects(reference)


def test_two_jobs_that_race_on_one_output_make_the_same_frames(manifest: str, reference: str, tmp_path: Path) -> None:
    output = str(tmp_path)
    jobs = [planned(manifest, output, range_frames=5) for _ in range(2)]  # both see an empty output
    threads = [threading.Thread(target=run_job, args=(job, LocalPool(Storage(output)))) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [job.complete for job in jobs] == [True, True]
    assert [failure for job in jobs for run in job.runs.values() for failure in run.failures] == []
    assert frame_objects(output) == frame_objects(reference)


def test_the_plans_in_storage_tell_what_was_wanted_without_the_manifest(manifest: str, reference: str) -> None:
    assert list(stored_status(Storage(reference), Registry())) == [
        VideoStatus("apple", "done", 1, (), "", f"{reference}/apple/video.png"),
        VideoStatus("boat", "done", 7, (), "", f"{reference}/boat/video.gif"),
        VideoStatus("reef", "done", 18, (), "", f"{reference}/reef/video.mp4"),
    ]


class _OneIsSlow(Worker):
    """Whoever begins the long video takes five times as long as others, for everything."""

    slow = ""

    def render_frames(self, tasks: Sequence[FrameTask]) -> list[Exception | None]:
        began = time.perf_counter()
        task, failed = tasks[0], super().render_frames(tasks)
        if task.row.video_id == "long":
            type(self).slow = type(self).slow or self.name
        if self.name == type(self).slow:
            time.sleep(4 * (time.perf_counter() - began))
        return failed


def test_a_free_worker_takes_over_from_one_that_is_much_slower(tmp_path: Path) -> None:
    _OneIsSlow.slow = ""
    rows = [quick_row("long", "a fish", frames=16), quick_row("short", "a boat", frames=4)]
    manifest = write_manifest(tmp_path / "m.parquet", rows)

    job = render(manifest, str(tmp_path / "out"), workers=2, make=_OneIsSlow)

    assert job.complete
    by_whom = [report.worker for _, report in sorted(job.runs["long"].reports.items())]
    assert by_whom[0] == _OneIsSlow.slow
    assert _OneIsSlow.slow not in by_whom[10:]
    assert frame_objects(str(tmp_path / "out")) == frame_objects(
        render(manifest, str(tmp_path / "alone")).parameters.output
    )
