"""What a pool promises, asked of both pools: the one of this process and the one of Ray actors."""

from __future__ import annotations

import hashlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from flows.job.dispatch import run_job
from infra.ray.pool import RayPool, RayUnavailable
from infra.settings import InfraSettings
from infra.storage.layout import frame_key
from infra.storage.storage import ObjectMissing, Storage
from infra.workers.local_pool import LocalPool
from infra.workers.pool import Pool, WorkerLost
from infra.workers.room import room_for_actors
from infra.workers.tasks import FrameReport, FrameTask, SegmentTask, WorkerProgress
from manifests.schema import ManifestRow
from renderers.errors import BadInput, Stopped
from renderers.frame_plan.video_plan import VideoPlan
from renderers.frame_rendering.frame_object import FrameObject
from renderers.registry import Registry
from tests.helpers.render_jobs import frame_objects, planned, quick_row, render, write_manifest

LONG = 10_000  # steps, of a hundredth of a second each: such a frame never ends within its test


def tasks_of(row: ManifestRow) -> list[FrameTask]:
    plan = VideoPlan.of(row, entry=Registry().entry(row.model))
    return [FrameTask(plan.row, {}, frame) for frame in plan.walk()]


def key_of(task: FrameTask) -> str:
    return frame_key(task.row.video_id, task.frame.index, task.frame.digest)


def rendering(pool: Pool, video: str, *, step: int = 1) -> WorkerProgress:
    """Wait until a worker is in the middle of `video`."""
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        for progress in pool.progress():
            if progress.video_id == video and progress.step >= step:
                return progress
        time.sleep(0.05)
    raise AssertionError(f"nobody began to render '{video}'")


def eventually(condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.05)


def ray_pool(output: Storage, size: int) -> RayPool:
    return RayPool(output, InfraSettings(actors=size, cpus_per_actor=0.4), warm="embedded")


class PoolContract:
    """Subclasses say how a pool of two is made."""

    make: Callable[[Storage, int], Pool]

    @pytest.fixture(scope="class")
    @classmethod
    def output(cls, tmp_path_factory: pytest.TempPathFactory) -> Storage:
        return Storage(str(tmp_path_factory.mktemp("pool")))

    @pytest.fixture(scope="class")
    @classmethod
    def pool(cls, output: Storage) -> Iterator[Pool]:
        pool = cls.make(output, 2)
        yield pool
        pool.close()

    def test_every_worker_is_let_to_one_tenant_and_the_next_one_waits(self, pool: Pool) -> None:
        def rent() -> str:
            with pool.lease() as worker:
                return worker.name

        assert pool.size == 2
        with ThreadPoolExecutor(1) as threads, ExitStack() as tenants:
            first, second = (tenants.enter_context(pool.lease()) for _ in range(2))
            assert first.name != second.name
            third: Future[str] = threads.submit(rent)
            with pytest.raises(TimeoutError):
                third.result(0.3)
            tenants.close()
            assert third.result(10) in {first.name, second.name}

    def test_the_preferred_worker_is_let_if_it_is_free(self, pool: Pool) -> None:
        with pool.lease() as worker:
            names = [worker.name]
            with pool.lease(prefer=worker.name) as other:  # it is taken: another will do
                names.append(other.name)
        assert len(set(names)) == 2
        for name in [*names, *reversed(names), names[0], names[0]]:
            with pool.lease(prefer=name) as worker:
                assert worker.name == name

    def test_a_worker_that_failed_goes_back_to_the_pool(self, pool: Pool) -> None:
        for _ in range(3):
            with pytest.raises(KeyError), pool.lease():
                raise KeyError
        with pool.lease(), pool.lease():
            pass

    def test_a_frame_is_committed_before_the_call_returns_and_a_segment_is_made_of_them(
        self, pool: Pool, output: Storage
    ) -> None:
        tasks = tasks_of(quick_row("reef", "a fish", frames=3))
        with pool.lease() as worker:
            reports = []
            for task in tasks:
                reports.append(worker.render_frame(task))
                FrameObject.from_bytes(output.read(key_of(task)), task.frame.digest)
            segment = worker.encode_segment(SegmentTask(tasks[0].row, tuple(t.frame for t in tasks), tuple(reports)))

        assert [(r.video_id, r.frame, r.steps, len(r.losses)) for r in reports] == [
            ("reef", 0, 4, 4), ("reef", 1, 2, 2), ("reef", 2, 2, 2),
        ]  # fmt: skip
        assert all(0 < r.seconds <= r.total_seconds for r in reports if r.seconds and r.total_seconds)
        # what is known of the frames, and what only shows beside the frame before
        assert [replace(report, change=None) for report in segment.frames] == reports
        assert [report.change is None for report in segment.frames] == [True, False, False]
        assert len(output.read(segment.key)) == segment.bytes

    def test_a_worker_that_never_saw_a_video_goes_on_with_it(self, pool: Pool, output: Storage, tmp_path: Path) -> None:
        row = quick_row("relay", "a fish", frames=4)
        with pool.lease() as one, pool.lease() as other:
            for task, worker in zip(tasks_of(row), (one, one, other, one), strict=True):
                worker.render_frame(task)
        render(write_manifest(tmp_path / "m.parquet", [row]), str(tmp_path / "out"))
        relay = {key: data for key, data in frame_objects(output).items() if key.startswith("relay/")}
        assert relay == frame_objects(str(tmp_path / "out"))

    def test_a_failure_of_the_frame_comes_as_it_was_raised(self, pool: Pool, tmp_path: Path) -> None:
        picture = tmp_path / "start.png"
        Image.new("RGB", (32, 32), "teal").save(picture)
        row = quick_row("start", init_image=str(picture))
        plan = VideoPlan.of(
            row, {str(picture): hashlib.sha256(b"as it was").hexdigest()}, entry=Registry().entry(row.model)
        )
        task = FrameTask(plan.row, plan.images, next(iter(plan.walk())))
        _, orphan = tasks_of(quick_row("orphan", frames=2))
        with pool.lease() as worker:
            with pytest.raises(BadInput, match=r"start\.png' changed since the job was planned"):
                worker.render_frame(task)
            with pytest.raises(ObjectMissing, match="frame 0 of video 'orphan' is gone from storage"):
                worker.render_frame(orphan)

    def test_progress_is_reported_while_a_frame_is_rendered_and_stop_ends_it(self, output: Storage) -> None:
        pool = type(self).make(output, 1)
        (task,) = tasks_of(quick_row("long", steps_first=LONG))
        try:
            with ThreadPoolExecutor(1) as threads, pool.lease() as worker:
                began: Future[FrameReport] = threads.submit(worker.render_frame, task)
                first = rendering(pool, "long")
                later = rendering(pool, "long", step=first.step + 1)
                assert (later.frame, later.steps) == (0, LONG)
                assert later.steps_per_second > 0
                pool.stop()
                with pytest.raises(Stopped, match="of video 'long' before step"):
                    began.result(10)
                with pytest.raises(Stopped):
                    worker.render_frame(task)
            assert not output.exists(key_of(task))
        finally:
            pool.close()

    def test_a_drained_worker_finishes_its_frame_and_stays_out_until_it_is_allowed(self, output: Storage) -> None:
        pool = type(self).make(output, 2)
        (task,) = tasks_of(quick_row("drained"))
        try:
            with ExitStack() as both:
                first, _ = (both.enter_context(pool.lease()) for _ in range(2))
                assert set(pool.standings().values()) == {"there"}
                assert pool.drain(first.name)
                assert first.retiring
                assert pool.standings()[first.name] == "leaving"
                assert not pool.drain(first.name), "it leaves already"
                assert first.render_frame(task).frame == 0
            assert not pool.drain("nobody")
            eventually(lambda: pool.standings().get(first.name) == "drained", "it has left")
            assert (pool.size, first.name in pool.names) == (1, False)
            time.sleep(1.0)  # the keeper has had time to start another
            with ExitStack() as both, ThreadPoolExecutor(1) as threads:
                other = both.enter_context(pool.lease())
                waiting = threads.submit(lambda: both.enter_context(pool.lease()).name)
                time.sleep(0.3)
                assert (other.name != first.name, waiting.done()) == (True, False)
                assert pool.allow(first.name)
                assert waiting.result(60) != other.name
            assert not pool.allow(first.name), "nobody is drained now"
            eventually(lambda: pool.size == 2, "there are two again")
        finally:
            pool.close()

    def test_one_that_was_to_be_drained_can_be_kept(self, output: Storage) -> None:
        pool = type(self).make(output, 1)
        try:
            with pool.lease() as worker:
                assert pool.drain(worker.name)
                assert pool.allow(worker.name)
                assert pool.standings() == {worker.name: "there"}
            with pool.lease() as again:
                assert again.name == worker.name
        finally:
            pool.close()

    def test_progress_names_the_worker_as_the_pool_does(self, pool: Pool) -> None:
        with pool.lease():  # it is up
            assert {it.name for it in pool.progress()} <= set(pool.names)
            assert [it for it in pool.progress() if it.name]


class TestLocalPool(PoolContract):
    make = staticmethod(lambda output, size: LocalPool(output, size=size))


@pytest.mark.usefixtures("ray_cluster")
class TestRayPool(PoolContract):
    make = staticmethod(ray_pool)

    def test_sigkill_of_an_actor_costs_the_frame_and_the_next_call_works(self, pool: Pool, output: Storage) -> None:
        (long,) = tasks_of(quick_row("killed", steps_first=LONG))
        (short,) = tasks_of(quick_row("after"))
        with ThreadPoolExecutor(1) as threads, pool.lease() as worker:
            began = threads.submit(worker.render_frame, long)
            _, _, process = rendering(pool, "killed").worker.rpartition(":")
            os.kill(int(process), signal.SIGKILL)
            with pytest.raises(WorkerLost, match=f"worker {worker.name} was lost"):
                began.result(60)
            report = worker.render_frame(short)

        assert not report.worker.endswith(f":{process}")
        assert output.exists(key_of(short))
        assert not output.exists(key_of(long))

    @pytest.mark.minutes
    def test_a_process_that_died_is_not_restarted_in_the_one_that_took_its_place(self, output: Storage) -> None:
        pool = ray_pool(output, 1)
        first, second = (tasks_of(quick_row(video, steps_first=LONG))[0] for video in ("first", "second"))
        try:
            with ThreadPoolExecutor(1) as threads, pool.lease() as worker:
                began = threads.submit(worker.render_frame, first)
                dead = rendering(pool, "first").worker
                os.kill(int(dead.rpartition(":")[2]), signal.SIGKILL)
                with pytest.raises(WorkerLost):
                    began.result(60)
                began = threads.submit(worker.render_frame, second)
                living = rendering(pool, "second")
                pool.restart(dead)  # what a watch does that has not heard of it for long
                later = rendering(pool, "second", step=living.step + 20)
                pool.stop()
                with pytest.raises(Stopped):
                    began.result(10)
            assert dead != living.worker == later.worker
        finally:
            pool.close()

    def test_an_actor_is_restarted_because_a_person_asks_for_it(self, pool: Pool, output: Storage) -> None:
        (long,) = tasks_of(quick_row("asked", steps_first=LONG))
        (short,) = tasks_of(quick_row("afterwards"))
        with ThreadPoolExecutor(1) as threads, pool.lease() as worker:
            began = threads.submit(worker.render_frame, long)
            was = rendering(pool, "asked").worker
            assert pool.restart_worker(worker.name)
            with pytest.raises(WorkerLost, match=f"worker {worker.name} was restarted, as asked for"):
                began.result(60)
            assert pool.standings()[worker.name] == "starting"
            assert not pool.restart_worker(worker.name), "it is starting"
            assert worker.render_frame(short).worker != was
        assert not pool.restart_worker("nobody")

    @pytest.mark.minutes
    def test_a_free_actor_is_restarted_and_comes_back(self, output: Storage) -> None:
        pool = ray_pool(output, 1)
        try:
            with pool.lease() as worker:
                was = next(it.worker for it in pool.progress())
            assert pool.restart_worker(worker.name)
            with pool.lease() as again:
                assert again.name == worker.name
                assert again.render_frame(tasks_of(quick_row("back"))[0]).worker != was
        finally:
            pool.close()

    @pytest.mark.minutes
    def test_a_job_survives_the_death_of_an_actor(self, pool: Pool, output: Storage, tmp_path: Path) -> None:
        rows = [quick_row("one", "a fish", frames=10, steps=6), quick_row("two", "a boat", frames=10, steps=6)]
        manifest = write_manifest(tmp_path / "m.parquet", rows)
        job = planned(manifest, output.root, range_frames=5)
        thread = threading.Thread(target=run_job, args=(job, pool))
        thread.start()
        _, _, process = rendering(pool, "two").worker.rpartition(":")
        os.kill(int(process), signal.SIGKILL)
        thread.join(120)

        assert not thread.is_alive()
        assert job.complete
        failures = [(f.video_id, f.kind) for run in job.runs.values() for f in run.failures]
        assert failures == [("two", "infrastructure")]  # one death, one record
        render(manifest, str(tmp_path / "out"), range_frames=5)
        assert frame_objects(str(tmp_path / "out")).items() <= frame_objects(output).items()

    @pytest.mark.minutes
    def test_an_actor_that_hangs_is_restarted_and_its_frame_rendered(self, output: Storage, tmp_path: Path) -> None:
        # one without end stands for one that hangs: its steps go on, but `stall_seconds` are shorter than one.
        manifest = write_manifest(tmp_path / "m.parquet", [quick_row("hung", steps_first=LONG)])
        settings = InfraSettings(actors=2, cpus_per_actor=0.4, attempts=1, stall_seconds=0.001)
        pool = RayPool(output, settings, warm="embedded")
        try:
            job = planned(manifest, output.root, settings)
            run_job(job, pool)
        finally:
            pool.close()

        (video,) = job.runs.values()
        assert [(f.kind, f.frame) for f in video.failures] == [("stalled", 0)] * 2
        assert len({f.worker for f in video.failures}) == 2  # two workers must have failed it
        assert "made no step for too long" in video.reason

    def test_more_actors_than_fit_are_refused_with_what_to_do(self, output: Storage) -> None:
        with pytest.raises(RayUnavailable) as caught:
            RayPool(output, InfraSettings(actors=9, cpus_per_actor=1))
        assert str(caught.value) == (
            "9 actors of 1 CPUs each do not fit on a cluster of 2 CPUs: "
            "set NIGHTREEL_ACTORS, NIGHTREEL_CPUS_PER_ACTOR or NIGHTREEL_GPUS_PER_ACTOR lower"
        )
        with pytest.raises(RayUnavailable, match="1 actors of 3 CPUs each"):
            RayPool(output, InfraSettings(cpus_per_actor=3))

    def test_a_closed_pool_is_quiet_and_leaves_a_cluster_that_it_did_not_start(self, output: Storage) -> None:
        import ray

        pool = RayPool(output, InfraSettings(actors=1, cpus_per_actor=0.1))
        pool.close()
        assert pool.progress() == []
        pool.stop()
        pool.close()
        assert ray.is_initialized()


@pytest.mark.parametrize(
    ("nodes", "cpus", "gpus", "room"),
    [
        ([{"CPU": 2.0}], 1, 0, 2),
        ([{"CPU": 3.0}, {"CPU": 3.0}], 2, 0, 2),  # not three: no actor lies on two nodes
        ([{"CPU": 8.0, "GPU": 2.0}], 1, 0.6, 2),  # not three: none lies on two GPUs
        ([{"CPU": 8.0, "GPU": 2.0}], 1, 0.25, 8),
        ([{"CPU": 4.0, "GPU": 8.0}], 1, 1, 4),  # the CPUs are the limit
        ([{"CPU": 16.0, "GPU": 4.0}, {"CPU": 16.0}], 1, 2, 2),
        ([{"CPU": 100.0, "GPU": 7.0}], 0.07, 0.07, 98),
        ([{"CPU": 7.0}], 0.07, 0, 100),
        ([{"memory": 1.0}], 1, 0, 0),
        ([], 1, 1, 0),
    ],
)
def test_actors_are_counted_as_ray_can_place_them(
    nodes: list[dict[str, float]], cpus: float, gpus: float, room: int
) -> None:
    assert room_for_actors(nodes, cpus, gpus) == room
