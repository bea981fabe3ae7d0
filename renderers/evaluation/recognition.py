"""Rendering what is judged: every prompt with every seed, by the real renderer, in whatever processes there are.

Pictures are kept under names that carry the digest of all that decides them, so an evaluation that was stopped goes on,
and one of another model or other settings never takes over a wrong picture.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from manifests.schema import ManifestRow
from renderers.checksums import file_sha256
from renderers.errors import ModelFilesBroken
from renderers.evaluation.pixels import Pixels
from renderers.evaluation.prompts import EvaluationPrompt
from renderers.frame_plan.resolution import resolve
from renderers.frame_plan.video_plan import VideoPlan
from renderers.frame_rendering.renderer import FrameRenderer
from renderers.models import Models, load_models
from renderers.models.vqgan.vqgan import VQGAN
from renderers.registry import ModelEntry, PerceptorEntry

__all__ = [
    "Variant", "picture_paths", "plan_of", "read_pictures", "render_picture", "start_rendering", "with_perceptor",
]  # fmt: skip


@dataclass(frozen=True)
class Variant:
    """What is rendered with: a model, or the perceptors of one on bare pixels."""

    name: str
    entry: ModelEntry
    without_vqgan: bool = False


def with_perceptor(entry: ModelEntry, folder: Path) -> ModelEntry:
    """`entry` with the perceptor in `folder` in the place of its own: other weights, the same shape and templates.

    Raises:
        ModelFilesBroken: there are no weights in `folder`.
    """
    folder = Path(folder).absolute()
    weights = folder / "open_clip_model.safetensors"
    if not weights.is_file():
        raise ModelFilesBroken(f"'{folder}' holds no perceptor: {weights.name} is missing")
    own = entry.perceptors[0]
    other = PerceptorEntry(
        folder=folder, sha256=file_sha256(weights), merges=own.merges, words=own.words, templates=own.templates
    )
    return entry.model_copy(update={"perceptors": (other,)})


def plan_of(variant: Variant, prompt: str, seed: int) -> VideoPlan:
    """A still of the model's own defaults."""
    columns: dict[str, Any] = {"video_id": "evaluation", "prompt": prompt, "seed": seed, "frames": 1}
    if variant.without_vqgan and variant.entry.defaults.get("init") == "tokens":
        columns["init"] = "noise"  # there are no tokens to draw from
    return VideoPlan(resolve(ManifestRow.model_validate(columns), variant.entry), variant.entry, {})


def picture_paths(
    variant: Variant, prompts: Sequence[EvaluationPrompt], seeds: Sequence[int], folder: Path
) -> dict[tuple[int, int], Path]:
    """(number of the prompt, seed) -> where its picture is or will be."""
    kind = "pixels" if variant.without_vqgan else "pictures"
    return {
        (number, seed): folder / kind / f"{plan_of(variant, prompt.prompt, seed).digests[0][:24]}.png"
        for number, prompt in enumerate(prompts)
        for seed in seeds
    }


def read_pictures(paths: Sequence[Path]) -> Tensor:
    """Pictures `(n, 3, h, w)` in [0, 1]."""
    pictures = [np.array(Image.open(path, formats=["PNG"]).convert("RGB")) for path in paths]
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255


def start_rendering(
    pool: Executor,
    variant: Variant,
    prompts: Sequence[EvaluationPrompt],
    seeds: Sequence[int],
    folder: Path,
) -> tuple[dict[tuple[int, int], Path], list[Future[float]]]:
    """Have `pool` render what of `picture_paths` is not there yet; gives all paths, and the seconds each will take."""
    paths = picture_paths(variant, prompts, seeds, folder)
    futures = []
    for (number, seed), path in paths.items():
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            futures.append(pool.submit(render_picture, variant, prompts[number].prompt, seed, path))
    return paths, futures


_renderers: dict[str, Any] = {}  # of a worker process: loading takes longer than rendering


def render_picture(variant: Variant, prompt: str, seed: int, path: Path) -> float:
    """Render one picture into `path`, whole or not at all; gives the seconds it took."""
    if variant.name not in _renderers:
        _renderers[variant.name] = _renderer(variant)
    plan = plan_of(variant, prompt, seed)
    rendered = _renderers[variant.name].render(plan, next(plan.walk()), None, {})
    unfinished = path.with_suffix(f".{os.getpid()}")  # two variants may come to the same picture
    Image.fromarray(rendered.frame.picture).save(unfinished, format="PNG")
    unfinished.replace(path)
    return float(rendered.seconds)


def _renderer(variant: Variant) -> FrameRenderer:
    models = load_models(variant.entry, device="cpu", threads=1)
    if variant.without_vqgan:
        bare = cast(VQGAN, Pixels())
        entry = models.entry.model_copy(update={"downsampling": 1})
        models = Models(entry, bare, models.perceptors, models.device, models.threads)
    return FrameRenderer(models)
