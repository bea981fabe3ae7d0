"""Several runs on one Ray cluster, whose nodes come and go: who has how many actors, and what becomes of the frames.

Frames of half a second and more stand for those of minutes: no test waits for the end of such a run.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.core.generated.autoscaler_pb2 import DrainNodeReason  # type: ignore[attr-defined]

from flows.job.dispatch import run_job
from flows.job.job import RenderJob
from infra.ray.fair_share_actor import NAME, NAMESPACE
from infra.ray.pool import RayPool
from infra.ray.training_share import TrainingShare
from infra.settings import InfraSettings
from infra.storage.storage import Storage
from renderers.frame_rendering.frame_object import FrameObject
from tests.helpers.patient_ray import add_node
from tests.helpers.render_jobs import planned, quick_row, write_manifest

LONGEST_SECONDS = 300  # seconds, on a busy machine
ONE_CPU = InfraSettings(cpus_per_actor=1)
TWO_CPUS = InfraSettings(cpus_per_actor=2)


def until(what: str, true: Callable[[], Any]) -> None:
    deadline = time.monotonic() + LONGEST_SECONDS
    while not true():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


class Run:
    """A job on a pool of its own, driven in a thread."""

    def __init__(
        self, folder: Path, name: str, settings: InfraSettings, *, videos: int = 1, frames: int = 2, steps: int = 2,
        **pool: Any,
    ) -> None:  # fmt: skip
        columns = {"frames": frames, "steps_first": 4, "steps": steps, "handoff": "chain"}
        rows = [quick_row(f"{name}-{n}", "a fish", **columns) for n in range(videos)]
        output = str(folder / name)
        # one range: its frames are rendered under one lease
        self.job = planned(write_manifest(folder / f"{name}.parquet", rows), output, settings, range_frames=frames)
        self.output, self.settings, self.options = Storage(output), settings, {"warm": "embedded", **pool}
        self.began = time.monotonic()
        self.pool: RayPool
        self.up = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        self.pool = RayPool(self.output, self.settings, **self.options)
        self.up.set()
        try:
            run_job(self.job, self.pool)
        finally:
            self.job.close()

    @property
    def rendered(self) -> int:
        return sum(run.rendered for run in self.job.runs.values())

    def end(self) -> None:
        self.job.stop()
        self.thread.join(LONGEST_SECONDS)
        assert not self.thread.is_alive()


@contextmanager
def long_run(folder: Path, settings: InfraSettings) -> Iterator[Run]:
    """Two videos that no test waits for; both are being rendered, each as far as there are actors."""
    run = Run(folder, "nightly", settings, videos=2, frames=2000, steps=40)
    assert run.up.wait(LONGEST_SECONDS)
    try:
        yield run
    finally:
        run.end()


def check_frames(job: RenderJob, output: Storage) -> None:
    """No frame was rendered twice or left out, and each is whole."""
    for video, run in job.runs.items():
        keys = sorted(info.key for info in output.list() if info.key.startswith(f"{video}/frames/"))
        assert run.available == set(range(run.rendered))
        # one may have been committed in the moment of the stop
        assert len(keys) - run.rendered in (0, 1)
        for index in sorted(run.available):
            FrameObject.from_bytes(output.read(keys[index]), run.work.frames[index].digest)


@pytest.mark.minutes
@pytest.mark.usefixtures("ray_cluster")
def test_an_urgent_run_gets_an_actor_between_two_frames_of_a_nightly_and_gives_it_back(
    tmp_path: Path, record_property: Callable[[str, object], None], capsys: pytest.CaptureFixture[str]
) -> None:
    with long_run(tmp_path, ONE_CPU) as nightly:
        until("both actors render", lambda: all(run.rendered for run in nightly.job.runs.values()))
        assert len(nightly.pool.names) == 2

        urgent = Run(tmp_path, "urgent", ONE_CPU, priority=10, want=1)
        until("the urgent run has a frame", lambda: urgent.rendered or not urgent.thread.is_alive())
        seconds = time.monotonic() - urgent.began
        record_property("seconds to the first frame of an urgent run", round(seconds, 1))
        with capsys.disabled():
            print(f"\nan urgent run's first frame came after {seconds:.1f} s")
        assert len(nightly.pool.names) == 1  # throttled, not starved
        before = nightly.rendered
        until("the nightly goes on meanwhile, or after it", lambda: nightly.rendered > before)

        urgent.thread.join(LONGEST_SECONDS)
        assert urgent.job.complete
        until("the nightly has grown back", lambda: len(nightly.pool.names) == 2)
        before = {video: run.rendered for video, run in nightly.job.runs.items()}
        until("both videos go on", lambda: all(r.rendered > before[v] for v, r in nightly.job.runs.items()))

    assert [run.failures for run in nightly.job.runs.values()] == [[], []]  # no frame was lost or killed
    check_frames(nightly.job, nightly.output)


@pytest.mark.minutes
@pytest.mark.usefixtures("ray_cluster")
def test_a_training_is_given_all_of_its_places_by_a_run_that_renders_or_none(tmp_path: Path) -> None:
    said: list[str] = []
    with long_run(tmp_path, ONE_CPU) as nightly:
        until("both actors render", lambda: all(run.rendered for run in nightly.job.runs.values()))

        large = TrainingShare((1.0, 0.0), 2, least=2, grows=False)  # with it the run would have none
        try:
            assert not large.wait(say=said.append, stop=lambda: bool(said))
            assert said[0] == "its share of the cluster: 2 places at once, which other runs hold"
            assert len(nightly.pool.names) == 2
        finally:
            large.close()

        share = TrainingShare((1.0, 0.0), 2, least=1, grows=False)
        try:
            assert share.wait(say=said.append, stop=lambda: False) == 1
            until("the run has given one back", lambda: len(nightly.pool.names) == 1)
            before = nightly.rendered
            until("it renders with the other", lambda: nightly.rendered > before)
        finally:
            share.close()
        until("the run has grown back", lambda: len(nightly.pool.names) == 2)
    check_frames(nightly.job, nightly.output)


@pytest.mark.slow
@pytest.mark.usefixtures("ray_cluster")
def test_three_runs_on_a_cluster_with_room_for_one_actor_all_come_to_their_end(tmp_path: Path) -> None:
    runs = [Run(tmp_path, f"run{number}", TWO_CPUS, videos=2) for number in range(3)]
    for run in runs:
        run.thread.join(LONGEST_SECONDS)
    assert [(run.thread.is_alive(), run.job.complete) for run in runs] == [(False, True)] * 3
    assert not any(video.failures for run in runs for video in run.job.runs.values())


@pytest.mark.usefixtures("ray_cluster")
@pytest.mark.minutes
def test_a_run_that_waits_for_its_first_actor_can_be_stopped_or_given_a_higher_priority(tmp_path: Path) -> None:
    with long_run(tmp_path, TWO_CPUS) as nightly:
        until("the actor renders", lambda: nightly.rendered)
        waiting = Run(tmp_path, "waiting", TWO_CPUS)
        assert waiting.up.wait(LONGEST_SECONDS)
        assert (waiting.pool.size, waiting.pool.names, waiting.pool.progress()) == (0, (), [])
        waiting.end()
        assert not waiting.job.complete
        assert not any(run.failures for run in waiting.job.runs.values())

        raised = Run(tmp_path, "raised", TWO_CPUS)
        assert raised.up.wait(LONGEST_SECONDS)
        assert raised.pool.size == 0
        raised.pool.prioritise(10)
        until("it has the actor", lambda: raised.rendered or not raised.thread.is_alive())
        assert nightly.pool.size == 0
        raised.thread.join(LONGEST_SECONDS)
        assert raised.job.complete


@pytest.mark.minutes
@pytest.mark.usefixtures("ray_cluster")
def test_the_loss_of_the_fair_share_actor_harms_nobody(tmp_path: Path) -> None:
    with long_run(tmp_path, ONE_CPU) as nightly:
        until("both actors render", lambda: all(run.rendered for run in nightly.job.runs.values()))
        for no_restart in (True, False):
            ray.kill(ray.get_actor(NAME, namespace=NAMESPACE), no_restart=no_restart)
            urgent = Run(tmp_path, f"urgent{no_restart}", ONE_CPU, priority=10, want=1)
            urgent.thread.join(LONGEST_SECONDS)
            assert urgent.job.complete
            until("the nightly has grown back", lambda: len(nightly.pool.names) == 2)
    assert [run.failures for run in nightly.job.runs.values()] == [[], []]
    check_frames(nightly.job, nightly.output)


@pytest.mark.slow
def test_a_node_that_comes_is_used_and_one_that_goes_is_missed_without_harm(ray_cluster: Any, tmp_path: Path) -> None:
    with long_run(tmp_path, TWO_CPUS) as nightly:
        until("the actor renders", lambda: nightly.rendered)
        assert (nightly.pool.size, nightly.pool.capacity) == (1, 1)

        node = add_node(ray_cluster, num_cpus=2, num_gpus=0, object_store_memory=100 * 2**20)
        try:
            until("an actor lives on it", lambda: len(nightly.pool.names) == 2)
            until("it renders", lambda: all(run.rendered for run in nightly.job.runs.values()))
        finally:
            ray_cluster.remove_node(node, allow_graceful=False)
        until("its actor is missed", lambda: (nightly.pool.size, len(nightly.pool.names)) == (1, 1))
        before = nightly.rendered
        until("the other goes on", lambda: nightly.rendered > before)

    failures = [failure for run in nightly.job.runs.values() for failure in run.failures]
    assert {failure.kind for failure in failures} <= {"infrastructure"}
    assert len(failures) <= 2  # the frame in progress, and no row of tries on an actor that is gone
    check_frames(nightly.job, nightly.output)


@pytest.mark.minutes
def test_a_node_that_is_to_leave_is_left_after_the_frame_and_the_job_goes_on_elsewhere(
    ray_cluster: Any, tmp_path: Path
) -> None:
    node = add_node(ray_cluster, num_cpus=2, num_gpus=0, object_store_memory=100 * 2**20)
    try:
        with long_run(tmp_path, TWO_CPUS) as nightly:
            until("both actors render", lambda: all(run.rendered for run in nightly.job.runs.values()))
            worker = ray._private.worker.global_worker
            accepted, why = worker.gcs_client.drain_node(
                node.node_id, DrainNodeReason.DRAIN_NODE_REASON_PREEMPTION, "a test", int(time.time() * 1000) + 120_000
            )
            assert accepted, why
            until("nobody is there any more", lambda: (nightly.pool.size, nightly.pool.capacity) == (1, 1))
            before = nightly.rendered
            until("the other goes on", lambda: nightly.rendered > before)
        assert not any(run.failures for run in nightly.job.runs.values()), "no frame was cut off"
        check_frames(nightly.job, nightly.output)
    finally:
        ray_cluster.remove_node(node, allow_graceful=False)
