"""What a fine-tuning leaves in its folder: the model with its entry, a sheet of before and after, a card, a report."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from manifests.schema.texts import short
from renderers.models import VQGAN, load_models
from renderers.models.vqgan.vqgan import VQMODEL
from renderers.models.weights_file import write_weights
from renderers.registry import ModelEntry
from renderers.training.finetune_job import REPORT, FinetuneJob
from renderers.training.picture_files import PictureFiles
from renderers.training.run import TrainingRun, write_whole
from renderers.training.vqgan_training import VQGANTrainingSettings, psnr, reconstruct, redrawn_figures
from renderers.training.workers import world_size

__all__ = ["sheet", "write_results"]

SHOWN = 8
CELL = 128  # pixels of a picture on the sheet, at least
PAPER, INK = (24, 24, 27), (212, 212, 216)


def write_results(
    job: FinetuneJob,
    entry: ModelEntry,
    settings: VQGANTrainingSettings,
    files: PictureFiles,
    run: TrainingRun,
    held_out: Tensor,
    trained: VQGAN,
    device: torch.device,
    threads: int,
    unreadable: Mapping[Path, str],
) -> None:
    """Write everything but the training's own folder, the report last."""
    after = reconstruct(trained.to(device), held_out).cpu()
    base = load_models(entry, device=str(device), threads=threads, precision="float32").vqgan
    before = reconstruct(base, held_out).cpu()
    write_whole(job.folder / "before-after.png", sheet(held_out[:SHOWN], before[:SHOWN], after[:SHOWN]))

    document = {"model": {"target": VQMODEL, "params": _plain(trained)}}
    _write_text(job.folder / "vqgan.yaml", yaml.safe_dump(document, sort_keys=False))
    weights = job.folder / "vqgan.safetensors"
    digest = write_weights(trained.state_dict(), weights)

    broken = {str(path): why for path, why in (*files.broken, *unreadable.items())}
    report: dict[str, Any] = {
        "name": job.model_name,
        "base": entry.name,
        "base_licence": entry.licence,
        "images": [str(place) for place in job.images],
        "pictures": len(files),
        "training_pictures": len(files.training),
        "held_out_pictures": [path.name for path in files.held_out],
        "broken_pictures": broken,
        "side": held_out.shape[-1],
        "steps": settings.steps,
        "seconds": round(run.seconds, 1),
        # the first line of the curves is from before the first step, on these very pictures.
        "psnr_before": run.curves()[0]["psnr"],
        "psnr_after": round(float(psnr(after, held_out).mean()), 3),
        # levels of 255, of the pictures above as each model draws them
        "redrawn_before": _redrawn(base, held_out.to(device)),
        "redrawn_after": _redrawn(trained, held_out.to(device)),
        "hardware": _hardware(device, threads),
        "workers": world_size(),
        "sha256": digest,
        "settings": settings.model_dump(mode="json"),
        "software": {"nightreel": version("nightreel"), "torch": torch.__version__},
    }
    _write_text(job.entry_file, yaml.safe_dump(_entry(report), sort_keys=False, allow_unicode=True))
    _write_text(job.folder / "model-card.md", _card(report))
    _write_text(job.folder / REPORT, json.dumps(report, indent=1, ensure_ascii=False))


def sheet(originals: Tensor, before: Tensor, after: Tensor) -> bytes:
    """A PNG: a row per picture, original, before, after; `(n, 3, side, side)` in [0, 1] each."""
    import io

    side = originals.shape[-1]
    cell, gap, head = max(side, CELL), 6, 26
    image = Image.new("RGB", (gap + 3 * (cell + gap), head + len(originals) * (cell + gap)), PAPER)
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(size=14)
    for column, (label, pictures) in enumerate((("original", originals), ("before", before), ("after", after))):
        left = gap + column * (cell + gap)
        draw.text((left + cell / 2, head / 2), label, fill=INK, font=font, anchor="mm")
        for row, picture in enumerate(pictures):
            pixels = (picture.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
            tile = Image.fromarray(np.ascontiguousarray(pixels)).resize((cell, cell), Image.Resampling.BICUBIC)
            image.paste(tile, (left, head + row * (cell + gap)))
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def _redrawn(model: VQGAN, pictures: Tensor) -> dict[str, float]:
    return {name: round(levels, 2) for name, levels in redrawn_figures(model, pictures).items()}


def _levels(again: Mapping[str, float]) -> str:
    return f"{again['still']:.1f} levels of 255 (moved: {again['moved']:.1f})"


def _plain(model: VQGAN) -> dict[str, Any]:
    """A taming config's `params`."""
    params: dict[str, Any] = json.loads(model.config.model_dump_json(exclude={"kind"}))
    return params


def _entry(report: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": report["name"],
        "like": report["base"],
        "summary": f"{report['base']}, its VQGAN fine-tuned on {report['training_pictures']} pictures",
        "licence": f"as {report['base']} ({short(report['base_licence'], 1000)}), and whatever the pictures' owners "
        "allow",
        "vqgan": {"config": "vqgan.yaml", "weights": "vqgan.safetensors", "sha256": report["sha256"]},
    }


def _card(report: Mapping[str, Any]) -> str:
    before, after = report["psnr_before"], report["psnr_after"]
    settings = report["settings"]
    places = ", ".join(f"`{place}`" for place in report["images"])
    return f"""# {report["name"]}

The VQGAN of `{report["base"]}`, fine-tuned by nightreel {report["software"]["nightreel"]}.

| | |
|---|---|
| data | {report["training_pictures"]} pictures of {places}; {len(report["held_out_pictures"])} more were held out, \
{len(report["broken_pictures"])} could not be read |
| base model | `{report["base"]}` |
| training | {report["steps"]} steps of {settings["batch"]} crops of {report["side"]} px, learning rate \
{settings["lr"]:g}, seed {settings["seed"]} |
| time | {report["seconds"]:.0f} s, {report["workers"]} worker(s) on {report["hardware"]} |
| PSNR of held-out pictures | {before:.2f} dB before, {after:.2f} dB after ({after - before:+.2f}) |
| change of a picture of its own, encoded and drawn again | {_levels(report["redrawn_before"])} before, \
{_levels(report["redrawn_after"])} after |
| SHA-256 of the weights | `{report["sha256"]}` |

`before-after.png` shows held-out pictures: as they are, through the base model, through this one.

## Licence

These weights derive from `{report["base"]}` ({report["base_licence"]}) and from the pictures named above. Whoever
passes them on needs the right to do so from the owners of both; nightreel knows nothing of the pictures' licence.

## Limits

PSNR tells how well the VQGAN can draw such pictures, not how well prompts find them: the perceptor is the base
model's. What the pictures do not show is drawn as before at best.
"""


def _hardware(device: torch.device, threads: int) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{threads} thread(s) of {os.cpu_count()} CPUs ({platform.machine()})"


def _write_text(path: Path, text: str) -> None:
    # names of pictures that are no UTF-8 have a sign for each such byte: they must not cost the training
    write_whole(path, text.encode("utf-8", "replace"))
