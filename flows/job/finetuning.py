"""Fine-tuning as flows and the command line see it: a job, its workers, and its place in the registry at the end."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from flows.job.handover import Handover
from flows.report.markdown import escape_markdown
from infra.models.bringing import bring_entries
from infra.settings import InfraSettings
from renderers.errors import BadInput, ModelFilesBroken, UnknownModel
from renderers.pictures.errors import PICTURE_ERRORS
from renderers.registry import ModelEntry, Registry
from renderers.training.finetune_job import FinetuneJob, check_job, finished
from renderers.user_paths import at_home

if TYPE_CHECKING:
    from infra.ray.finetuning import RayTraining

__all__ = [
    "begin",
    "check",
    "figures",
    "finetune_job",
    "handing_over",
    "publish",
    "published",
    "summary_markdown",
    "take_over",
]

_TRAINING: Handover[RayTraining] = Handover("training")


def finetune_job(images: Sequence[str | Path], output: str | Path, **settings: Any) -> FinetuneJob:
    """Return a job with absolute paths: workers have working folders of their own."""
    return FinetuneJob(
        images=tuple(at_home(place).absolute() for place in images),
        folder=at_home(output).absolute(),
        **settings,
    )


def check(job: FinetuneJob, registry: Registry, *, source: str | None = None, replace: bool = False) -> None:
    """Say what is wrong before anything is started. Models that were published in `source` are known, as for a render.

    Raises:
        BadInput, UnknownModel, ModelFilesBroken: see `check_job` and `Registry.check_new_name`.
        FetchFailed, StorageError: see `bring_entries`.
    """
    bring_entries(registry, source)
    registry.check_new_name(job.model_name, replace=replace or published(job, registry) is not None)
    check_job(job, registry)
    try:  # now, and not once Ray has come up
        job.folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise BadInput(f"'{job.folder}' can't be made ({why}): name another folder") from error


def begin(job: FinetuneJob, settings: InfraSettings, *, workers: int | None = None) -> RayTraining:
    """Bring a Ray cluster up for `job`, in the background; `start` of what is returned begins the training."""
    from infra.ray.finetuning import RayTraining  # Ray takes seconds to import: only when workers are needed

    return RayTraining(job, settings, workers=workers)


def handing_over(training: RayTraining) -> AbstractContextManager[None]:
    """Offer a cluster that comes up to the flow that is called inside the block with the same job."""
    return _TRAINING.giving(training)


def take_over(job: FinetuneJob) -> RayTraining | None:
    """Return what was handed over for `job`, once."""
    return _TRAINING.take(lambda training: training.job == job)


def published(job: FinetuneJob, registry: Registry) -> ModelEntry | None:
    """Return the registry's entry of this very job's result, if it is there."""
    report = finished(job)
    if report is None:
        return None
    try:
        entry = registry.entry(job.model_name)
    except (UnknownModel, ModelFilesBroken):
        return None
    return entry if entry.vqgan.sha256 == report["sha256"] else None


def publish(job: FinetuneJob, registry: Registry, *, replace: bool = False) -> ModelEntry:
    """Register the result of a job that came to its end; nothing happens if it is registered.

    Raises:
        BadInput: the name was taken in the meantime.
        ModelFilesBroken: the job's files are not those that it left.
    """
    there = published(job, registry)
    if there is not None:
        return there
    return registry.register(job.entry_file, job.model_name, replace=replace)


def figures(progress: dict[str, Any]) -> list[str]:
    """Return what has been measured so far, as texts: the loss, the PSNR of held-out pictures."""
    return [
        text.format(progress[name])
        for name, text in (("loss", "loss {:.4f}"), ("psnr", "PSNR {:.2f} dB"))
        if progress.get(name) is not None
    ]


def summary_markdown(report: dict[str, Any], folder: Path) -> str:
    """Return the report for people, with the sheet in it."""
    before, after = report["psnr_before"], report["psnr_after"]
    named = list(report["broken_pictures"].items())[:20]
    broken = "".join(f"\n- {escape_markdown(path)}: {escape_markdown(why)}" for path, why in named)
    return f"""# {escape_markdown(report["name"])}

{escape_markdown(report["base"])} fine-tuned on {report["training_pictures"]} pictures in {report["steps"]} steps, \
{report["seconds"]:.0f} s on {escape_markdown(report["hardware"])}.

| held-out pictures | before | after | gain |
|---|---|---|---|
| {len(report["held_out_pictures"])} | {before:.2f} dB | {after:.2f} dB | {after - before:+.2f} dB |

![original, before, after]({_inline(folder / "before-after.png")})

A manifest's row uses it by `model: {report["name"]}`. Files: {escape_markdown(folder)}.
{f"{chr(10)}Pictures that could not be read:{broken}" if broken else ""}"""


def _inline(path: Path) -> str:
    """Return a picture as a data URI, small enough for an artifact."""
    try:
        with Image.open(path, formats=["PNG"]) as image:
            small = image.convert("RGB")
    except PICTURE_ERRORS:
        return ""
    buffer = io.BytesIO()
    small.save(buffer, format="JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
