"""The Ray actor pool.

Each actor is a process that holds a `Worker`, loads its models once and renders frame after frame.
`max_task_retries=0`: the driver owns retries, since only it knows what counts as a failure of the frame and what as one
of the machine.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

from infra.pool import PoolWorker, Roster, WorkerLost, WorkerOutOfMemory, WorkerStalled
from infra.ray_cluster import RayUnavailable, alive_nodes, connect, room_for_actors  # before Ray: sets its environment
from infra.settings import InfraSettings
from infra.storage import Storage
from infra.worker import FrameReport, FrameTask, SegmentReport, SegmentTask, Worker, WorkerProgress

import ray  # isort: skip
import ray.exceptions  # isort: skip

__all__ = ["RayPool", "RayUnavailable", "room_for_actors"]

# A restart takes seconds (a process, torch); one whose node is gone may never come, and another worker goes on.
RESTART_SECONDS = 60.0


# `control` has a thread of its own, so that progress and stop are answered while a frame is being rendered.
@ray.remote(max_restarts=-1, max_task_retries=0, concurrency_groups={"control": 1})
class _Actor:
    def __init__(self, output: Storage, device: str, threads: int, models_folder: Path) -> None:
        self._worker = Worker(output, device=device, threads=threads, models_folder=models_folder)

    def warm(self, model: str) -> str:
        return self._worker.warm(model)

    def render_frame(self, task: FrameTask) -> FrameReport:
        return self._worker.render_frame(task)

    def encode_segment(self, task: SegmentTask) -> SegmentReport:
        return self._worker.encode_segment(task)

    @ray.method(concurrency_group="control")
    def progress(self) -> WorkerProgress:
        return self._worker.progress()

    @ray.method(concurrency_group="control")
    def stop(self) -> None:
        self._worker.stop()


class _Handle:
    """An actor as the flows see it: blocking calls, our errors."""

    def __init__(self, actor: Any, name: str) -> None:
        self._actor, self.name, self._lost, self._stalled = actor, name, False, False

    def warm(self, model: str) -> Any:
        """Start loading; does not wait."""
        return self._actor.warm.remote(model)

    def render_frame(self, task: FrameTask) -> FrameReport:
        report: FrameReport = self._ask("render_frame", task)
        return report

    def encode_segment(self, task: SegmentTask) -> SegmentReport:
        report: SegmentReport = self._ask("encode_segment", task)
        return report

    def progress(self) -> Any:
        """A reference to the answer; does not wait."""
        return self._actor.progress.remote()

    def stop(self) -> Any:
        """Tell it; does not wait."""
        return self._actor.stop.remote()

    def kill(self) -> None:
        """End the process, without a restart."""
        ray.kill(self._actor, no_restart=True)

    def restart(self) -> None:
        """End the process; Ray starts a new one."""
        self._stalled = True
        ray.kill(self._actor, no_restart=False)

    def _ask(self, method: str, task: Any) -> Any:
        try:
            if self._lost:
                self._wait_for_restart()
            return ray.get(getattr(self._actor, method).remote(task))
        except ray.exceptions.RayTaskError as error:
            # the worker's own exception, as it was raised there, with the remote traceback as its cause
            raise error.cause from error
        except ray.exceptions.OutOfMemoryError as error:
            self._lost = True
            raise WorkerOutOfMemory(f"worker {self.name} was ended by its node: {_first_line(error)}") from error
        except ray.exceptions.RayError as error:  # whatever else Ray says, it is not the frame's fault
            self._lost = True
            if self._stalled:
                self._stalled = False
                raise WorkerStalled(f"worker {self.name} made no step for too long and was restarted") from error
            raise WorkerLost(f"worker {self.name} was lost: {_first_line(error)}") from error

    def _wait_for_restart(self) -> None:
        """Wait until the actor's new process answers; until then Ray refuses every call, at the cost of a try."""
        deadline = time.monotonic() + RESTART_SECONDS
        while True:
            try:
                ray.get(self.progress(), timeout=max(0.0, deadline - time.monotonic()))
            except ray.exceptions.ActorUnavailableError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)
            else:
                self._lost = False
                return


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


class RayPool:
    """Actors on a Ray cluster, as many as the settings say or the cluster has room for."""

    def __init__(self, output: Storage, settings: InfraSettings, *, warm: str | None = None) -> None:
        """Connect, or start a cluster of this machine's own, and start the actors; `warm` is a model to load at once.

        Raises:
            RayUnavailable: no cluster answers, or it has no room for one actor.
        """
        self._closed = False
        self._started = connect(settings)
        nodes = alive_nodes()
        gpus, cpus = (sum(node.get(kind, 0.0) for node in nodes) for kind in ("GPU", "CPU"))
        use_gpu = gpus > 0 and settings.device != "cpu"
        room = room_for_actors(nodes, settings.cpus_per_actor, settings.gpus_per_actor if use_gpu else 0.0)
        self.size = settings.actors or room
        if self.size > room or not room:
            have, need = f"{cpus:g} CPUs", f"{settings.cpus_per_actor:g} CPUs"
            if use_gpu:
                have, need = f"{have} and {gpus:g} GPUs", f"{need} and {settings.gpus_per_actor:g} GPUs"
            self.close()
            raise RayUnavailable(
                f"{self.size or 1} actors of {need} each do not fit on a cluster of {have}: "
                "set NIGHTREEL_ACTORS, NIGHTREEL_CPUS_PER_ACTOR or NIGHTREEL_GPUS_PER_ACTOR lower"
            )
        self.gpus_per_actor = settings.gpus_per_actor if use_gpu else 0.0
        options = {"num_cpus": settings.cpus_per_actor, "num_gpus": self.gpus_per_actor}
        device = settings.device if use_gpu or settings.device != "auto" else "cpu"
        actor, given = cast(Any, _Actor).options(**options), (output, device, settings.threads, settings.models_folder)
        self._handles = [_Handle(actor.remote(*given), f"actor-{number}") for number in range(self.size)]
        self.names = tuple(handle.name for handle in self._handles)
        self._processes: dict[str, _Handle] = {}
        self._roster = Roster(list(self._handles))
        for handle in self._handles if warm else ():
            handle.warm(str(warm))  # not waited for: what loading raises, the first frame raises again

    @contextmanager
    def lease(self, prefer: str | None = None, exclude: frozenset[str] = frozenset()) -> Iterator[PoolWorker]:
        """Rent a free actor, waiting for one."""
        with self._roster.lease(prefer, exclude) as worker:
            yield worker

    def restart(self, process: str) -> None:
        """Give the actor of a process that hangs a new one."""
        handle = self._processes.pop(process, None)
        if handle is not None and not self._closed:
            handle.restart()

    def progress(self) -> list[WorkerProgress]:
        """What every actor is doing; those that do not answer within a second are left out."""
        if self._closed:
            return []  # a call to Ray would start a cluster of its own
        asked = {handle.progress(): handle for handle in self._handles}
        ready, _ = ray.wait(list(asked), num_returns=len(asked), timeout=1.0)
        answers = []
        for reference in ready:
            with suppress(ray.exceptions.RayError):
                answers.append(ray.get(reference))
                self._processes[answers[-1].worker] = asked[reference]
        return answers

    def stop(self) -> None:
        """Tell all actors to stop between two steps."""
        if self._closed:
            return
        told = [handle.stop() for handle in self._handles]
        ray.wait(told, num_returns=len(told), timeout=5.0)

    def close(self) -> None:
        """End the actors, and the cluster if this pool started it."""
        if self._closed:
            return
        self._closed = True
        for handle in getattr(self, "_handles", []):
            with suppress(Exception):
                handle.kill()
        if self._started:
            ray.shutdown()
