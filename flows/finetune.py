"""The flow that fine-tunes a model on a folder of pictures: check, train, register, report."""

# No `from __future__ import annotations` here: see flows/render_manifest.py.
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from prefect import State, get_run_logger, task
from prefect.artifacts import create_markdown_artifact, create_progress_artifact, update_progress_artifact
from prefect.cache_policies import NO_CACHE
from prefect.states import Cancelled, Completed

from flows.job.finetuning import begin, check, figures, finetune_job, publish, summary_markdown, take_over
from flows.orchestration.forms import fields as form
from flows.orchestration.forms.descriptions import described
from flows.orchestration.run import invalid_input, leave_if_ended, opaque
from flows.orchestration.sealed_flow import flow
from flows.orchestration.watch import watching
from infra.settings import load_settings
from renderers.registry import Registry
from renderers.training.finetune_job import finished

if TYPE_CHECKING:
    from infra.ray.finetuning import RayTraining

__all__ = ["finetune"]

# An artifact's update is a row on the server; a line in the log is for people.
PROGRESS_SECONDS = 5.0
LOG_SECONDS = 30.0


class _Stoppable:
    """A training as `watching` sees it. One that is paused trains on: its workers hold the cluster's places anyway, and
    those who want these suspend the run."""

    def __init__(self, training: "RayTraining") -> None:
        self.stop = training.stop

    def hold(self) -> None:
        """Train on."""

    def go_on(self) -> None:
        """It never stopped."""


@task(name="train", cache_policy=NO_CACHE, persist_result=False)
def train(training: "RayTraining") -> None:
    """Train on Ray until the model is there, or until it is stopped."""
    logger = get_run_logger()
    # in async code it would be a coroutine, and Prefect declares both
    progress = cast(UUID, create_progress_artifact(0.0, key="progress", description="starting Ray"))
    shown = logged = 0.0
    last = None
    try:
        training.start()
        while not training.wait(0.5):
            now = training.progress()
            if now is None and training.waiting and time.monotonic() - shown > PROGRESS_SECONDS:
                shown = time.monotonic()
                update_progress_artifact(progress, 0.0, description=training.waiting)
            if now is None or now == last:
                continue
            if time.monotonic() - shown > PROGRESS_SECONDS:
                shown, last = time.monotonic(), now
                percent = 100.0 * now["step"] / now["steps"]
                update_progress_artifact(progress, percent, description=_headline(now))
            if time.monotonic() - logged > LOG_SECONDS:
                logged = time.monotonic()
                logger.info(_headline(now))
        training.result()
        update_progress_artifact(progress, 100.0, description="trained")
    except BaseException:
        training.stop()  # broken: no worker goes on alone
        raise


def _trained(training: "RayTraining") -> State[Any] | None:
    """Train, and hear meanwhile what is done to the run; the state that it has if that was to cancel it.

    A run that is suspended keeps its checkpoint, lets its workers go, and goes on from there when it is resumed.
    """
    with watching(_Stoppable(training)) as watch:
        try:
            ended = train(opaque(training), return_state=True)
        finally:
            training.close()
    leave_if_ended(watch)
    if watch.ended is not None:
        return Cancelled(message="the training was stopped; another run with the same parameters goes on from there")
    if ended.is_failed() or ended.is_crashed():
        ended.result()
    return None


@flow(name="finetune", flow_run_name="finetune {base} into {output}", persist_result=False)
@described
def finetune(
    images: form.Images,
    output: form.ModelFolder,
    base: form.BaseName = "embedded",
    name: form.ModelName = "",
    steps: form.Steps = None,
    batch: form.Batch = None,
    lr: form.LearningRate = None,
    side: form.Side = None,
    seed: form.CropSeed = None,
    mirror: form.Mirror = None,
    calm: form.Calm = None,
    workers: form.Workers = None,
    replace: form.ReplaceModel = False,
) -> State[Any]:
    """Fine-tune a model's VQGAN on pictures of one's own, and register it by name."""
    settings = load_settings()
    registry = Registry(settings.models_folder)
    with invalid_input() as refused:
        job = finetune_job(
            images,
            output,
            base=base,
            name=name,
            steps=steps,
            batch=batch,
            lr=lr,
            side=side,
            seed=seed,
            mirror=mirror,
            calm=calm,
        )
        check(job, registry, source=settings.models_source, replace=replace)
        done = finished(job)
    if refused:
        return refused[0]
    if done is None:
        cancelled = _trained(take_over(job) or begin(job, settings, workers=workers))
        if cancelled is not None:
            return cancelled
    else:
        get_run_logger().info("'%s' holds the finished training: nothing to train", output)
    entry = publish(job, registry, replace=replace)
    report = finished(job)
    assert report is not None
    create_markdown_artifact(summary_markdown(report, Path(job.folder)), key="finetune", description=str(job.folder))
    return Completed(
        message=f"'{entry.name}': PSNR of held-out pictures {report['psnr_before']:.2f} dB before, "
        f"{report['psnr_after']:.2f} dB after"
    )


def _headline(now: dict[str, Any]) -> str:
    return ", ".join([f"step {now['step']} of {now['steps']}", *figures(now), f"{now['seconds_left']:.0f} s left"])
