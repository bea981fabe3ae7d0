"""What is fine-tuned, on what, into which folder; checked before anything heavy begins. Nothing here needs torch.

<folder>/training/            checkpoint, curves, and what whoever waits can see (see `FinetuneJob`)
<folder>/vqgan.yaml, vqgan.safetensors, <name>.yaml   the model, and its entry for the registry
<folder>/before-after.png, model-card.md, report.json   what came of it; the report is written last
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from renderers.errors import BadInput
from renderers.registry import ModelEntry, Registry, shipped_names
from renderers.training.kept_documents import read_object, read_report
from renderers.training.picture_files import PictureFiles, find_pictures

__all__ = ["FinetuneJob", "check_job", "finished"]

REPORT = "report.json"


@dataclass(frozen=True)
class FinetuneJob:
    """One fine-tuning. Paths are absolute, and mean the same on every machine that takes part. What is None is left to
    the training that the folder holds, or else to `VQGANTrainingSettings.for_finetuning` and the model."""

    images: tuple[Path, ...]
    folder: Path
    base: str = "embedded"
    name: str = ""
    steps: int | None = None
    batch: int | None = None
    lr: float | None = None
    side: int | None = None
    seed: int | None = None
    mirror: bool | None = None
    calm: float | None = None

    @property
    def model_name(self) -> str:
        """What the result is called in the registry: `name`, or the folder's."""
        return self.name or re.sub(r"[^A-Za-z0-9._-]+", "-", self.folder.name).strip("-._") or "finetuned"

    @property
    def training(self) -> Path:
        """Where the checkpoint is, which a second start goes on from."""
        return self.folder / "training"

    def kept(self) -> dict[str, Any]:
        """The settings of the training that the folder holds; empty if there is none to go on with."""
        try:
            kept = read_object(self.training / "settings.json")
        except (OSError, ValueError):
            return {}
        return kept if (self.training / "checkpoint.pt").exists() else {}

    @property
    def progress_file(self) -> Path:
        """Where the first worker says how far it is, as JSON."""
        return self.training / "progress.json"

    @property
    def stop_file(self) -> Path:
        """While it is there, workers stop between two steps."""
        return self.training / "stop"

    @property
    def entry_file(self) -> Path:
        """The entry for the registry."""
        return self.folder / f"{self.model_name}.yaml"


def check_job(job: FinetuneJob, registry: Registry) -> tuple[ModelEntry, PictureFiles]:
    """The base model's entry, and the pictures.

    Raises:
        BadInput: the pictures, the folder or the model won't do.
        UnknownModel, ModelFilesBroken: the base model can't be had.
    """
    entry = registry.entry(job.base)
    if entry.vqgan.kind != "vqgan":
        others = ", ".join(name for name in shipped_names() if registry.entry(name).vqgan.kind == "vqgan")
        raise BadInput(
            f"'{job.base}' is a Gumbel VQGAN, which can't be fine-tuned here: its codes do not follow running means. "
            f"Start from one of: {others}"
        )
    if job.side is not None and job.side % entry.downsampling:
        raise BadInput(f"side {job.side}: must be a multiple of {entry.downsampling}, the pixels of a token")
    if job.folder.exists() and not job.folder.is_dir():
        raise BadInput(f"'{job.folder}' is a file: name a folder")
    if not job.training.exists() and job.folder.exists() and any(job.folder.iterdir()):
        raise BadInput(f"'{job.folder}' holds something else than a training: name an empty folder, or a new one")
    return entry, find_pictures(job.images)


def finished(job: FinetuneJob) -> dict[str, Any] | None:
    """The report of a fine-tuning that came to its end in the job's folder, unless more steps are wanted now.

    Raises:
        BadInput: the folder holds one of another model or name, or what only looks like one.
    """
    report = read_report(job.folder / REPORT)
    if report is None:
        return None
    for what, found, wanted in (("from", report["base"], job.base), ("name", report["name"], job.model_name)):
        if found != wanted:
            raise BadInput(
                f"'{job.folder}' holds a fine-tuning with --{what} {found}, not {wanted}: name another folder"
            )
    return report if job.steps is None or report["steps"] >= job.steps else None
