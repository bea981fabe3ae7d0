"""Frames that are put while the next are rendered: the same frames in the same order, whatever a put comes to."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import pytest
import torch

from flows.job.dispatch import run_job
from flows.job.frames import frame_task
from flows.job.job import RenderJob
from infra.settings import InfraSettings
from infra.storage.layout import frame_key
from infra.storage.storage import Storage
from infra.workers.local_pool import LocalPool
from infra.workers.pool import WorkerLost
from infra.workers.tasks import FrameGone, FrameReport, FrameTask
from infra.workers.worker import Worker
from renderers.frame_rendering.frame_object import FrameObject
from renderers.frame_rendering.renderer import FrameRequest
from tests.helpers.failing import looking
from tests.helpers.render_jobs import frame_objects, planned, quick_row, write_manifest

REEF = quick_row("reef", "a fish", frames=5)


def rendered(folder: Path, make: Callable[..., Worker] = Worker) -> RenderJob:
    settings = InfraSettings(lost_worker_attempts=2)
    job = planned(write_manifest(folder / "m.parquet", [REEF]), str(folder / "out"), settings)
    run_job(job, LocalPool(Storage(str(folder / "out")), make=make))
    return job


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("alone")
    assert rendered(folder).complete
    return frame_objects(str(folder / "out"))


class _Watching(Worker):
    """Puts frame 1 only once frame 2 is being rendered."""

    begun: threading.Event
    log: ClassVar[list[str]]

    @classmethod
    def before(cls, request: FrameRequest) -> None:
        cls.log.append(f"render {request.frame.index}")
        if request.frame.index == 2:
            cls.begun.set()

    def commit(self, task: FrameTask) -> FrameReport:
        if task.frame.index == 1:
            assert type(self).begun.wait(30)
        report = super().commit(task)
        type(self).log.append(f"put {task.frame.index}")
        return report


def test_a_frame_is_put_while_the_next_is_rendered_and_before_that_one_is(
    tmp_path: Path, alone: dict[str, bytes]
) -> None:
    _Watching.begun, _Watching.log = threading.Event(), []
    job = rendered(tmp_path, looking(_Watching.before, _Watching))

    assert job.complete
    assert frame_objects(job.parameters.output) == alone
    puts = [line for line in _Watching.log if line.startswith("put")]
    assert puts == [f"put {index}" for index in range(5)]
    assert _Watching.log.index("render 2") < _Watching.log.index("put 1") < _Watching.log.index("render 3")


class _LosesItsPut(Worker):
    """The process is gone when frame 1 is put, and what it had in memory with it."""

    left: int
    seeds: ClassVar[list[int]]

    @classmethod
    def before(cls, request: FrameRequest) -> None:
        cls.seeds.append(request.frame.index)

    def commit(self, task: FrameTask) -> FrameReport:
        if task.frame.index == 1 and type(self).left:
            type(self).left -= 1
            raise WorkerLost("gone")
        return super().commit(task)


def test_a_put_that_fails_is_made_again_before_the_frame_that_began_from_it(
    tmp_path: Path, alone: dict[str, bytes]
) -> None:
    _LosesItsPut.left, _LosesItsPut.seeds = 1, []
    job = rendered(tmp_path, looking(_LosesItsPut.before, _LosesItsPut))

    assert job.complete
    assert frame_objects(job.parameters.output) == alone
    assert _LosesItsPut.seeds == [0, 1, 2, 1, 2, 3, 4]
    assert [(f.frame, f.kind, f.attempt) for f in job.runs["reef"].failures] == [(1, "infrastructure", 1)]


def test_a_put_that_fails_for_good_leaves_nothing_behind_it(tmp_path: Path) -> None:
    _LosesItsPut.left, _LosesItsPut.seeds = 100, []
    job = rendered(tmp_path, looking(_LosesItsPut.before, _LosesItsPut))

    assert job.runs["reef"].available == {0}
    assert len(frame_objects(job.parameters.output)) == 1
    assert job.frames_missing == (4, 5)


class _SecondToPut(Worker):
    """Somebody else puts a frame 1 of his own, with another state, before this worker does."""

    def commit(self, task: FrameTask) -> FrameReport:
        key = frame_key("reef", task.frame.index, task.frame.digest)
        if task.frame.index == 1 and not self.output.exists(key):
            mine = self._recent._uncommitted["reef", task.frame.digest].rendered.frame
            theirs = type(mine.state)(mine.state.tokens.flip(-1), mine.state.latent.flip(-1), mine.state.moments)
            self.output.put(key, FrameObject(mine.picture, theirs, mine.provenance).to_bytes(), existing="keep")
        return super().commit(task)


def test_a_chain_goes_on_from_the_frame_that_was_put_first(tmp_path: Path, alone: dict[str, bytes]) -> None:
    job = rendered(tmp_path, _SecondToPut)

    assert job.complete
    found = frame_objects(job.parameters.output)
    assert found.keys() == alone.keys()
    first, theirs, second, *_ = sorted(found)
    assert found[first] == alone[first]
    assert found[theirs] != alone[theirs]
    state, other = (FrameObject.from_bytes(frames[second]).state for frames in (found, alone))
    assert not torch.equal(state.latent, other.latent)
    assert [(f.frame, f.kind) for f in job.runs["reef"].failures] == [(2, "infrastructure")]


def test_a_frame_that_is_not_here_can_not_be_put(tmp_path: Path) -> None:
    job = planned(write_manifest(tmp_path / "m.parquet", [REEF]), str(tmp_path / "out"))
    run = job.runs["reef"]
    with pytest.raises(FrameGone, match="frame 0 of video 'reef' is not here any more: it is rendered again"):
        Worker(job.output).commit(frame_task(run, 0))
