"""One worker on Ray: an actor, which is a process that holds a `Worker`, and the handle that flows rent.

`max_task_retries=0`: the driver owns retries, since only it knows what counts as a failure of the frame and what as one
of the machine.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any, cast

from infra import metrics
from infra.environment import ray_environment
from infra.masked_logs import mask_logs
from infra.ray.cluster import lost_cluster  # before Ray: sets its environment
from infra.ray.metrics import RayRecorder
from infra.storage.storage import ReadingPolicy, Storage
from infra.workers.pool import WorkerLost, WorkerOutOfMemory, WorkerStalled
from infra.workers.renderers import LoadedModels
from infra.workers.tasks import FrameReport, FrameTask, SegmentReport, SegmentTask, WorkerProgress
from infra.workers.worker import Worker
from manifests.errors import ErrorKind, NightreelError, first_line

ray_environment()  # before the import: Ray reads them while it is imported

import ray  # noqa: E402
import ray.exceptions  # noqa: E402

__all__ = ["RayWorker", "VersionsMixed"]

# A restart takes seconds (a process, torch); one whose node is gone may never come, and another worker goes on.
RESTART_SECONDS = 60.0
LOOK_SECONDS = 5.0  # between two looks at whether there is a cluster to answer
# A frame's PNG takes some 50 ms and a put as long: enough for the frames of a pass on a GPU.
COMMITS_AT_ONCE = 4


class VersionsMixed(NightreelError):
    """A node has another version of nightreel than the run's driver."""

    kind = ErrorKind.ENVIRONMENT


# `control` has a thread of its own, so that progress and stop are answered while a frame is being rendered; `commits`
# has some, so that frames are put, and segments encoded, while others are rendered.
@ray.remote(  # type: ignore[call-overload]  # Ray's overloads lack concurrency_groups, which its documentation has
    max_restarts=-1, max_task_retries=0, concurrency_groups={"control": 1, "commits": COMMITS_AT_ONCE}
)
class _Actor:
    def __init__(
        self, output: Storage, how: Mapping[str, Any], reading: ReadingPolicy | None, gpus: float, measured: bool,
        wanted: str,
    ) -> None:  # fmt: skip
        """`gpus` is its share of a GPU, `measured` says whether its numbers go anywhere, `wanted` is the version of the
        driver."""
        mask_logs()
        self._mine, self._wanted = version("nightreel"), wanted
        metrics.record_with(RayRecorder() if measured else None)
        self._worker = Worker(output, LoadedModels(**how), registry=how["registry"], reading=reading, gpus=gpus)

    def warm(self, model: str) -> str:
        return self._worker.warm(model)

    @ray.method(concurrency_group="control")
    def node(self) -> str:
        return str(ray.get_runtime_context().get_node_id())

    def render_frame(self, task: FrameTask) -> FrameReport:
        self._check_version()
        return self._worker.render_frame(task)

    def render_frames(self, tasks: Sequence[FrameTask]) -> list[Exception | None]:
        self._check_version()
        return self._worker.render_frames(tasks)

    @ray.method(concurrency_group="commits")
    def commit(self, task: FrameTask) -> FrameReport:
        return self._worker.commit(task)

    @ray.method(concurrency_group="commits")
    def encode_segment(self, task: SegmentTask) -> SegmentReport:
        self._check_version()
        return self._worker.encode_segment(task)

    @ray.method(concurrency_group="control")
    def progress(self) -> WorkerProgress:
        return self._worker.progress()

    @ray.method(concurrency_group="control")
    def stop(self) -> None:
        self._worker.stop()

    def _check_version(self) -> None:
        """Raise VersionsMixed where this machine has another nightreel than the driver: its frames would be others."""
        if self._mine != self._wanted:
            where = f"{socket.gethostname()} ({ray.util.get_node_ip_address()})"
            raise VersionsMixed(
                f"nightreel {self._mine} is installed on {where}, and the run's driver is nightreel {self._wanted}: "
                "install the same version everywhere (the same image), and start that node again; `nightreel doctor` "
                "lists all nodes"
            )


class RayWorker:
    """An actor as the flows see it: blocking calls, our errors. See `PoolWorker`."""

    def __init__(self, name: str, options: Mapping[str, Any], given: Sequence[Any]) -> None:
        """Start it, wherever the cluster has or will have room; does not wait."""
        self.name, self.retiring, self.lost, self.node = name, False, False, ""
        self._stalled = self._asked = False
        self._actor = cast(Any, _Actor).options(**options).remote(*given)

    @property
    def asked(self) -> bool:
        """Whether a person asked for the restart that it is lost by."""
        return self._asked

    def awake(self) -> Any:
        """Return a reference to the id of its node, once its process is up; does not wait."""
        return self._actor.node.remote()

    def warm(self, model: str) -> Any:
        """Start loading; does not wait."""
        return self._actor.warm.remote(model)

    def render_frame(self, task: FrameTask) -> FrameReport:
        """See `PoolWorker.render_frame`."""
        report: FrameReport = self._ask("render_frame", task)
        return report

    def render_frames(self, tasks: Sequence[FrameTask]) -> list[Exception | None]:
        """See `PoolWorker.render_frames`."""
        failed: list[Exception | None] = self._ask("render_frames", tasks)
        return failed

    def commit(self, task: FrameTask) -> FrameReport:
        """See `PoolWorker.commit`."""
        report: FrameReport = self._ask("commit", task)
        return report

    def encode_segment(self, task: SegmentTask) -> SegmentReport:
        """See `PoolWorker.encode_segment`."""
        report: SegmentReport = self._ask("encode_segment", task)
        return report

    def progress(self) -> Any:
        """Return a reference to the answer; does not wait."""
        return self._actor.progress.remote()

    def stop(self) -> Any:
        """Ask it to stop; does not wait."""
        return self._actor.stop.remote()

    def kill(self) -> None:
        """End the process, without a restart."""
        ray.kill(self._actor, no_restart=True)

    def restart(self, *, asked: bool = False) -> None:
        """End the process, because it hangs or because a person has `asked` for it; Ray starts a new one."""
        self._stalled, self._asked = not asked, asked
        ray.kill(self._actor, no_restart=False)

    def _ask(self, method: str, task: Any) -> Any:
        try:
            if self.lost:
                self._wait_for_restart()
            return self._answer(getattr(self._actor, method).remote(task))
        except ray.exceptions.RayTaskError as error:
            # the worker's own exception, as it was raised there, with the remote traceback as its cause
            raise error.cause from error
        except ray.exceptions.OutOfMemoryError as error:
            self.lost = True
            raise WorkerOutOfMemory(f"worker {self.name} was ended by its node: {first_line(error)}") from error
        except ray.exceptions.RayError as error:  # whatever else Ray says, it is not the frame's fault
            self.lost = True
            # whoever commits or encodes waits beside whoever renders: it is the latter's frame that did not get on
            if self._stalled and method not in ("commit", "encode_segment"):
                self._stalled = False
                raise WorkerStalled(f"worker {self.name} made no step for too long and was restarted") from error
            how = "was restarted, as asked for" if self._asked else f"was lost: {first_line(error)}"
            raise WorkerLost(f"worker {self.name} {how}") from error

    def _answer(self, reference: Any) -> Any:
        while True:
            ready, _ = ray.wait([reference], timeout=LOOK_SECONDS)
            if ready:
                return ray.get(reference)
            if lost := lost_cluster():  # it would wait for ever
                self.lost = True
                raise WorkerLost(f"worker {self.name} was lost: {lost}")

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
                self.lost = self._stalled = self._asked = False
                return
