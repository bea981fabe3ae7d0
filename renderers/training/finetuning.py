"""Fine-tuning the VQGAN of a registry's model on a person's pictures: one worker's whole work, from loading to results.

Whoever starts the workers (Ray Train, a test) makes their process group; alone, a process needs none.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable

import torch
from pydantic import ValidationError

from renderers.config_file import problems_of
from renderers.errors import BadInput, TrainingBroken
from renderers.models import load_models
from renderers.models.vqgan.vqgan import DDConfig
from renderers.registry import ModelEntry, Registry
from renderers.training.finetune_job import FinetuneJob, check_job
from renderers.training.finetune_results import write_results
from renderers.training.perceptual import PerceptualDistance
from renderers.training.picture_folder import PictureFolder
from renderers.training.run import TrainingProgress, TrainingRun, write_whole
from renderers.training.vqgan_training import VQGANTraining, VQGANTrainingSettings, train_vqgan
from renderers.training.workers import rank, sum_over_workers

__all__ = ["FinetuneSettings", "finetune"]

# The progress is a file: written so often at most.
PROGRESS_SECONDS = 0.5


class FinetuneSettings(VQGANTrainingSettings):
    """A training's settings, and what else must be the same when it is resumed."""

    base: str
    pictures: str
    side: int
    mirror: bool


def finetune(
    job: FinetuneJob,
    registry: Registry,
    *,
    device: str = "auto",
    threads: int = 1,
    on_progress: Callable[[TrainingProgress], None] | None = None,
) -> None:
    """Do the job, or go on with what its folder holds. Its `stop_file` stops it between two steps.

    `registry` holds the base model.

    Raises:
        BadInput, UnknownModel, ModelFilesBroken: see `check_job`; or the pictures are not those that it began with.
        TrainingBroken: the folder holds another training, or the loss became non-finite.
        Stopped: the stop file was there; the next call goes on.
    """
    entry, files = check_job(job, registry)
    models = load_models(entry, device=device, threads=threads, precision="float32")  # weights are to learn small steps
    base, device_ = models.vqgan, models.device
    # whatever the base, the loss looks through the small perceptor's trunk: it ships with the package.
    small = models
    if entry.name != "embedded":
        small = load_models(registry.entry("embedded"), device=device, threads=threads, precision="float32")
    perceptual = PerceptualDistance(small.perceptors[0].clip.visual.trunk).to(device_)
    settings = _settings(job, entry, files.digest, base.config.ddconfig)
    pictures = PictureFolder(files, settings.side, mirror=settings.mirror)
    held_out = pictures.held_out()
    writes = rank() == 0
    run = TrainingRun(job.training, settings, writes=writes)
    training = VQGANTraining(base, settings, pictures, perceptual)
    trained = train_vqgan(
        training,
        run,
        held_out=held_out,
        on_progress=_progress(job, on_progress) if writes else on_progress,
        should_stop=lambda: _wanted_to_stop(job, device_),
    )
    if writes:
        write_results(job, entry, settings, files, run, held_out, trained, device_, threads, pictures.unreadable)


def _settings(job: FinetuneJob, entry: ModelEntry, pictures: str, shape: DDConfig) -> FinetuneSettings:
    """What the job says, then what the training in its folder was begun with, then the defaults."""
    kept = job.kept()
    if kept and kept.get("pictures") != pictures:
        # the folder's own check would tell of digests, which say nothing to a person.
        raise BadInput(f"the pictures are not those that the training in '{job.folder}' began with: name a new folder")
    names = ("steps", "batch", "lr", "seed", "side", "mirror", "calm")
    given = {name: kept[name] for name in names if name in kept}
    given |= {name: value for name in names if (value := getattr(job, name)) is not None}
    # the rate falls with the width, as Adam wants it (Yang et al. 2021, "Tensor Programs V", table 3).
    usual = {"side": shape.resolution, "mirror": True, "lr": round(16e-3 / shape.ch, 6)}
    if given.get("calm"):
        usual["calm_moved"] = True  # what a video is made of
    try:
        return FinetuneSettings.for_finetuning(
            **{**usual, **given}, base=f"{entry.name} {entry.digest}", pictures=pictures
        )
    except ValidationError as error:  # what the command line gives was looked at: it is the kept ones
        raise TrainingBroken(
            f"the settings of the training in '{job.folder}' are none of ours ({problems_of(error)}): name a new folder"
        ) from error


def _wanted_to_stop(job: FinetuneJob, device: torch.device) -> bool:
    # all workers stop before the same step, or those that go on wait for the others for ever.
    seen = torch.tensor(float(rank() == 0 and job.stop_file.exists()), device=device)
    return bool(sum_over_workers(seen))


def _progress(job: FinetuneJob, tell: Callable[[TrainingProgress], None] | None) -> Callable[[TrainingProgress], None]:
    began, last = time.monotonic(), 0.0
    first_step: int | None = None
    psnr: float | None = None

    def on_progress(now: TrainingProgress) -> None:
        nonlocal last, first_step, psnr
        if first_step is None:
            first_step = now.step - 1
        psnr = now.metrics.get("psnr", psnr)
        spent = time.monotonic() - began
        if time.monotonic() - last >= PROGRESS_SECONDS or now.step == now.steps:
            last = time.monotonic()
            document = {
                "step": now.step,
                "steps": now.steps,
                "seconds": round(now.seconds, 1),
                "seconds_left": round(spent / (now.step - first_step) * (now.steps - now.step), 1),
                "loss": now.metrics.get("loss"),
                "psnr": psnr,
                "process": os.getpid(),
            }
            write_whole(job.progress_file, json.dumps(document).encode())
        if tell is not None:
            tell(now)

    return on_progress
