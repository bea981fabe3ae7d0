"""Short videos of which an actor renders several frames in one pass: the same frames, and failures that stay alone."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from flows.job.dispatch import run_job
from flows.job.job import RenderJob
from infra.settings import InfraSettings
from infra.storage.storage import Storage
from infra.workers.local_pool import LocalPool
from infra.workers.pool import WorkerLost
from infra.workers.tasks import FrameReport, FrameTask
from infra.workers.worker import Worker
from manifests.schema import ManifestRow
from renderers.errors import OutOfMemory
from tests.helpers.render_jobs import frame_objects, planned, quick_row, write_manifest

ROWS = [
    quick_row("apple"),
    quick_row("reef", "a fish", frames=4),
    quick_row("boat", "a boat", frames=3, format="gif"),
    quick_row("large", "a house", width=64, height=32),
]
# one chunk for all
SETTINGS = InfraSettings(chunk_seconds=600, attempts=2)


# far keyframes 0, 12 and 13, near ones 3, 6 and 9
KEYED = [quick_row("keyed", "0: a fish | 13: a boat", frames=14, handoff="keyframes", keyframe_every=3)]


def run(
    folder: Path, batch: int | None, make: type[Worker] = Worker, workers: int = 1, rows: Sequence[ManifestRow] = ROWS
) -> RenderJob:
    folder.mkdir(exist_ok=True)
    job = planned(write_manifest(folder / "m.parquet", list(rows)), str(folder / "out"), SETTINGS)
    run_job(job, LocalPool(Storage(str(folder / "out")), size=workers, batch=batch, make=make))
    return job


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("alone")
    assert run(folder, None).complete
    return frame_objects(str(folder / "out"))


def pictures(objects: dict[str, bytes]) -> dict[str, np.ndarray]:
    return {key: np.asarray(Image.open(io.BytesIO(data)).convert("RGB"), int) for key, data in objects.items()}


def check_like(job: RenderJob, alone: dict[str, bytes]) -> None:
    assert job.complete
    found, expected = pictures(frame_objects(job.parameters.output)), pictures(alone)
    assert found.keys() == expected.keys()
    for key, picture in expected.items():
        assert np.abs(found[key] - picture).mean() < 1, key


class _Counting(Worker):
    sizes: list[int]

    def _render(self, tasks: Sequence[FrameTask]) -> list[Exception | None]:
        type(self).sizes.append(len(tasks))
        return super()._render(tasks)


def test_frames_of_several_videos_are_rendered_in_one_pass(tmp_path: Path, alone: dict[str, bytes]) -> None:
    _Counting.sizes = []
    job = run(tmp_path, 8, _Counting)
    check_like(job, alone)
    assert _Counting.sizes == [4, 2, 2, 1]  # as long as there are several
    assert all(report.seconds and report.total_seconds for run in job.runs.values() for report in run.reports.values())


def test_never_more_than_were_asked_for(tmp_path: Path, alone: dict[str, bytes]) -> None:
    _Counting.sizes = []
    check_like(run(tmp_path, 2, _Counting), alone)
    assert max(_Counting.sizes) == 2
    assert sum(_Counting.sizes) == 9


class _FailsInCompany(Worker):
    """The first frame of the reef fails so often, the first time among others."""

    left: int

    def commit(self, task: FrameTask) -> FrameReport:
        if task.row.video_id == "reef" and type(self).left and not task.frame.index:
            type(self).left -= 1
            raise OutOfMemory("too much")
        return super().commit(task)


def test_a_frame_that_fails_among_others_is_tried_again_alone(tmp_path: Path, alone: dict[str, bytes]) -> None:
    _FailsInCompany.left = 1
    job = run(tmp_path, 8, _FailsInCompany)
    check_like(job, alone)
    failures = [(f.video_id, f.frame, f.kind, f.attempt) for run in job.runs.values() for f in run.failures]
    assert failures == [("reef", 0, "out of memory", 1)]


def test_a_frame_that_fails_for_good_costs_no_other_video(tmp_path: Path, alone: dict[str, bytes]) -> None:
    _FailsInCompany.left = 100
    job = run(tmp_path, 8, _FailsInCompany)
    assert {video: run.done for video, run in job.runs.items()} == {
        "apple": True, "reef": False, "boat": True, "large": True,
    }  # fmt: skip
    assert job.frames_missing == (4, 9)
    assert job.runs["reef"].reason == "too much"
    attempts = [f.attempt for f in job.runs["reef"].failures]
    assert attempts == list(range(1, len(attempts) + 1))  # not begun a second time behind its back


class _LostInCompany(Worker):
    left: int

    def render_frames(self, tasks: Sequence[FrameTask]) -> list[Exception | None]:
        if type(self).left:
            type(self).left -= 1
            raise WorkerLost("it is gone")
        return super().render_frames(tasks)


def test_a_lost_worker_costs_a_try_of_each(tmp_path: Path, alone: dict[str, bytes]) -> None:
    _LostInCompany.left = 1
    plan = planned(write_manifest(tmp_path / "m.parquet", ROWS), str(tmp_path / "out"), SETTINGS)
    bundles = [{part.video for part in chunk.parts} for chunk in plan.chunks(2, 4)]
    job = run(tmp_path, 4, _LostInCompany, workers=2)
    check_like(job, alone)
    every = [f for run in job.runs.values() for f in run.failures]
    assert len({f.worker for f in every}) == 1  # whoever was lost, not whoever was rented after it
    assert {(f.frame, f.kind, f.attempt) for f in every} == {(0, "infrastructure", 1)}
    lost = [video for video, run in job.runs.items() for _ in run.failures]
    assert len(lost) == len(set(lost)) > 1
    assert set(lost) in bundles


def test_gaps_of_one_video_are_rendered_in_one_pass(tmp_path: Path) -> None:
    assert run(tmp_path / "alone", None, rows=KEYED).complete
    _Counting.sizes = []
    job = run(tmp_path / "together", 8, _Counting, rows=KEYED)
    check_like(job, frame_objects(str(tmp_path / "alone" / "out")))
    # 0, 12, 13; 3, 6 and 9; then as many gaps at once as have their keyframe ahead in storage, which hangs on the disk
    assert _Counting.sizes[:4] == [1, 1, 1, 3]
    assert sum(_Counting.sizes) == 14
    assert max(_Counting.sizes[4:]) > 1


class _LosesAKeyframe(Worker):
    """Keyframe 6 fails whenever it is put."""

    def commit(self, task: FrameTask) -> FrameReport:
        if task.frame.index == 6:
            raise OutOfMemory("too much")
        return super().commit(task)


def test_a_keyframe_that_fails_for_good_costs_what_hangs_on_it_and_no_other_gap(tmp_path: Path) -> None:
    job = run(tmp_path, 8, _LosesAKeyframe, rows=KEYED)
    assert job.runs["keyed"].available == {0, 1, 2, 3, 9, 10, 11, 12, 13}
    assert {failure.frame for failure in job.runs["keyed"].failures} == {6}
    again = run(tmp_path, 8, rows=KEYED)
    assert again.complete
    assert sorted(again.runs["keyed"].reports) == [4, 5, 6, 7, 8]
