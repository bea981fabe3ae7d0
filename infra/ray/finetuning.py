"""Fine-tuning on Ray Train: one GPU or many, or CPUs, with workers that are started again when they are lost.

What a worker does is renderers.training.finetuning; Ray Train places the workers, makes their process group and starts
all of them again when one dies. They go on from our own checkpoint in the job's folder, not from one of Ray's: the
first worker writes it, all of them read it, and so do later runs. Workers on several machines therefore need a folder
that is the same for all, driver included (a network file system), and so do the pictures. The model that is begun
from each machine fetches for itself where it was published (infra/models/bringing.py).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import Any

from filelock import FileLock, Timeout

from infra.models.bringing import bring_model
from infra.ray.autoscaler import Autoscaler  # before Ray: sets its environment
from infra.ray.cluster import RayUnavailable, alive_nodes, connect, disconnect
from infra.ray.placing import wait_for_room, wants_gpus
from infra.ray.training_share import TrainingShare
from infra.settings import InfraSettings
from infra.workers.room import Size, described, room_for_actors
from manifests.errors import NightreelError
from renderers.errors import BadInput, Stopped, TrainingBroken
from renderers.registry import Registry
from renderers.training.finetune_job import FinetuneJob, finished
from renderers.training.kept_documents import read_progress

import ray  # isort: skip
import ray.train  # isort: skip
import ray.train.torch  # isort: skip

__all__ = ["RayTraining", "TrainingFailed"]

# What a worker is given to save its checkpoint when it must stop; a step of a large model takes seconds.
STOP_SECONDS = 60.0


class TrainingFailed(NightreelError):
    """The workers failed in a way that is none of ours, or were lost too often; the message says how."""


class RayTraining:
    """One job on Ray: the cluster comes up in the background at once, `start` begins the training."""

    def __init__(self, job: FinetuneJob, settings: InfraSettings, *, workers: int | None = None) -> None:
        """`workers` is how many train together; None is one per GPU that the cluster has now, as far as its share goes,
        or one without GPUs."""
        self.job, self._settings, self._wanted = job, settings, workers
        self.workers = 0
        self.uses_gpus = self._alone = False
        #: What it waits for before it begins, '' otherwise.
        self.waiting = ""
        self._go, self._closed, self._stopping = threading.Event(), threading.Event(), threading.Event()
        self._result: Future[None] = Future()
        # Ray's servers end with the thread that started them: this one stays until `close`.
        self._thread = threading.Thread(target=self._run, name="training", daemon=True)
        self._thread.start()

    def start(self) -> None:
        """Train as soon as the cluster is there."""
        self._go.set()

    def wait(self, seconds: float) -> bool:
        """Wait for the end, at most so long; whether it has come."""
        with suppress(TimeoutError):
            self._result.exception(seconds)
        return self._result.done()

    def result(self) -> None:
        """Wait for the end.

        Raises:
            NightreelError: whatever the training raised, as it was raised in the worker.
            RayUnavailable: no cluster answers, or it has no room for the workers, nor gets it in time.
            TrainingFailed: workers were lost too often.
        """
        self._result.result()

    def progress(self) -> dict[str, Any] | None:
        """Read what the first worker wrote last: step, steps, seconds, seconds_left, loss, psnr, process; or None."""
        return read_progress(self.job.progress_file)

    def stop(self) -> None:
        """Have the workers save a checkpoint and end between two steps; waits until they have, but not for ever."""
        self._stopping.set()
        if self._result.done() or not self._go.is_set():
            return
        with suppress(OSError):
            self.job.stop_file.touch()
        self.wait(STOP_SECONDS)

    def close(self) -> None:
        """Let go of the cluster; ends it, and what still runs on it, if this training started it."""
        self._closed.set()
        self._go.set()
        self._thread.join(30)

    def _run(self) -> None:
        started = False
        try:
            started = connect(self._settings)
            self._alone = started and self._settings.ray_address is None
            autoscaler = None if self._alone else Autoscaler.of(self._settings)
            size = self._place(autoscaler)
            self._go.wait()
            if not self._closed.is_set():
                with _alone(self.job):
                    for leftover in (self.job.stop_file, self.job.progress_file):
                        leftover.unlink(missing_ok=True)
                    with self._sharing(size, grows=autoscaler is not None):
                        if autoscaler is not None:
                            self._wait_for_nodes(autoscaler, size)
                        self._fit()
            self._result.set_result(None)
        except BaseException as error:  # whoever waits must learn of it
            self._result.set_exception(error)
        finally:
            self._closed.wait()
            if started:
                disconnect()

    def _place(self, autoscaler: Autoscaler | None) -> Size:
        """Decide how many workers, and whether each has a GPU; return what one has. Where nodes may come, all that is
        asked for is waited for."""
        nodes = alive_nodes()
        gpus = sum(node.get("GPU", 0.0) for node in nodes)
        self.uses_gpus = wants_gpus(self._settings, autoscaler) and (gpus >= 1 or autoscaler is not None)
        self.workers = self._wanted or (max(int(gpus), 1) if self.uses_gpus else 1)
        size = self._settings.cpus_per_actor, 1.0 if self.uses_gpus else 0.0
        room = room_for_actors(nodes, *size)
        if self.workers > room and autoscaler is None:
            raise RayUnavailable(
                f"{self.workers} workers of {described(size)} each do not fit on the cluster, which has room for "
                f"{room}: give a smaller --workers, or set NIGHTREEL_CPUS_PER_ACTOR lower"
            )
        return size

    @contextmanager
    def _sharing(self, size: Size, *, grows: bool) -> Iterator[None]:
        """Have the places of all workers as the training's share of the cluster, once it has been given them: as many
        as were asked for, or else what its share is. A cluster that this training started is all its own."""
        if self._alone:
            yield
            return
        share = TrainingShare(size, self.workers, least=self._wanted or 1, grows=grows)
        try:
            self.workers = self._wait(share.wait)
            yield
        finally:
            share.close()

    def _wait_for_nodes(self, autoscaler: Autoscaler, size: Size) -> None:
        self._wait(partial(wait_for_room, autoscaler, size, self.workers))

    def _wait(self, wait: Callable[..., int]) -> int:
        def say(what: str) -> None:
            self.waiting = what

        there = wait(say=say, stop=lambda: self._closed.is_set() or self._stopping.is_set())
        self.waiting = ""
        if not there:
            raise Stopped("the training was stopped before there was room for it; nothing is lost")
        return there

    def _fit(self) -> None:
        settings = self._settings
        resources = {"CPU": settings.cpus_per_actor} | ({"GPU": 1.0} if self.uses_gpus else {})
        # an exception of several workers may be another one's death, so that they are tried again; a lone one is final.
        failures = settings.lost_worker_attempts if self.workers == 1 else settings.attempts
        trainer = ray.train.torch.TorchTrainer(
            _work,  # type: ignore[arg-type]  # its result is documented; the annotation says that there is none
            train_loop_config={
                "job": self.job, "registry": Registry(settings.models_folder), "source": settings.models_source,
                "threads": settings.threads, "use_gpu": self.uses_gpus,
            },
            scaling_config=ray.train.ScalingConfig(
                num_workers=self.workers, use_gpu=self.uses_gpus, resources_per_worker=resources
            ),
            run_config=ray.train.RunConfig(
                name=f"nightreel-{int(time.time() * 1000)}",
                storage_path=str(self.job.training / ".ray"),
                failure_config=ray.train.FailureConfig(max_failures=failures),
            ),
        )  # fmt: skip
        try:
            # Ray declares the Result of its old Train, and at run time gives that of the new one.
            error: object = trainer.fit().return_value  # type: ignore[attr-defined]
        except ray.train.TrainingFailedError as failure:
            raise TrainingFailed(f"the workers failed {failures + 1} times: {_reason(failure)}") from failure
        except ray.exceptions.RayError as failure:
            raise TrainingFailed(f"Ray lost the training: {_reason(failure)}") from failure
        finally:
            self.job.stop_file.unlink(missing_ok=True)
        if isinstance(error, BaseException):
            raise error if isinstance(error, NightreelError) else TrainingFailed(_reason(error)) from error
        if finished(self.job) is None:
            raise TrainingBroken(
                f"the workers' results are not in '{self.job.folder}': workers on other machines need a folder that is "
                "the same one there and here"
            )


@contextmanager
def _alone(job: FinetuneJob) -> Iterator[None]:
    """Keep a second training out of the folder; the lock falls with this process, however it ends.

    Raises:
        BadInput: somebody trains there.
    """
    job.training.mkdir(parents=True, exist_ok=True)
    with ExitStack() as held:
        try:
            held.enter_context(FileLock(job.training / ".lock", timeout=0))
        except Timeout as error:
            raise BadInput(f"another process trains in '{job.folder}': wait for its end") from error
        yield


def _work(config: dict[str, Any]) -> BaseException | None:
    """Run one worker. Returns the failures that trying again would not repair."""
    context = ray.train.get_context()
    try:
        from renderers.training.finetuning import finetune
        from renderers.training.run import TrainingProgress
        from renderers.training.workers import agree

        def on_progress(now: TrainingProgress) -> None:
            # seldom: every worker waits here until Ray has taken the numbers
            if now.step % 100 == 0 or now.step == now.steps:
                ray.train.report({"step": now.step, **now.metrics})

        # before the others wait for this one in a first step
        agree(lambda: bring_model(config["registry"], config["source"], config["job"].base))
        device = str(ray.train.torch.get_device()) if config["use_gpu"] else "cpu"
        finetune(config["job"], config["registry"], device=device, threads=config["threads"], on_progress=on_progress)
    except NightreelError as error:
        return error  # the workers agree on these: all of them are here
    except Exception as error:
        if context.get_world_size() > 1:
            raise
        return error
    return None


def _reason(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[-1]}" if lines else type(error).__name__
