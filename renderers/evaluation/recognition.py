"""Rendering what is judged: every prompt with every seed, by the real renderer, several processes side by side.

Pictures are kept under names that carry the digest of all that decides them, so an evaluation that was stopped goes on,
and one of another model or other settings never takes over a wrong picture.
"""

from __future__ import annotations

import hashlib
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from manifests.schema import ManifestRow
from renderers.errors import ModelFilesBroken
from renderers.evaluation.pixels import Pixels
from renderers.evaluation.prompts import EvaluationPrompt
from renderers.models import Models, load_models
from renderers.models.vqgan import VQGAN
from renderers.plan import VideoPlan, resolve
from renderers.registry import ModelEntry

__all__ = ["RenderProgress", "Variant", "picture_paths", "read_pictures", "render_pictures", "with_perceptor"]


@dataclass(frozen=True)
class Variant:
    """What is rendered with: a model, or the perceptors of one on bare pixels."""

    name: str
    entry: ModelEntry
    without_vqgan: bool = False


@dataclass(frozen=True)
class RenderProgress:
    """`done` of `total` pictures of a variant are there; `seconds` of computing went into the last one."""

    variant: str
    done: int
    total: int
    seconds: float


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
    sha256 = hashlib.sha256(weights.read_bytes()).hexdigest()
    other = own.model_copy(update={"folder": folder, "sha256": sha256})
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
    pictures = [np.array(Image.open(path).convert("RGB")) for path in paths]
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255


def render_pictures(
    variant: Variant,
    prompts: Sequence[EvaluationPrompt],
    seeds: Sequence[int],
    folder: Path,
    *,
    jobs: int = 1,
    on_progress: Callable[[RenderProgress], None] | None = None,
) -> dict[tuple[int, int], Path]:
    """Render what of `picture_paths` is not there yet, in `jobs` processes of one thread each; gives all paths."""
    paths = picture_paths(variant, prompts, seeds, folder)
    missing = [(prompts[number].prompt, seed, path) for (number, seed), path in paths.items() if not path.exists()]
    done = len(paths) - len(missing)
    if on_progress is not None:
        on_progress(RenderProgress(variant.name, done, len(paths), 0.0))
    if not missing:
        return paths
    next(iter(paths.values())).parent.mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("spawn")  # torch's threads do not survive a fork
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_load, initargs=(variant,)) as pool:
        try:
            for future in as_completed([pool.submit(_render, *task) for task in missing]):
                done += 1
                seconds = future.result()
                if on_progress is not None:
                    on_progress(RenderProgress(variant.name, done, len(paths), seconds))
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return paths


_renderer: tuple[Variant, Any] | None = None  # of a worker process; loading takes longer than rendering


def _load(variant: Variant) -> None:
    global _renderer
    from renderers.frame_renderer import FrameRenderer

    models = load_models(variant.entry, device="cpu", threads=1)
    if variant.without_vqgan:
        bare = cast(VQGAN, Pixels())
        entry = models.entry.model_copy(update={"downsampling": 1})
        models = Models(entry, bare, models.perceptors, models.device, models.threads)
    _renderer = (variant, FrameRenderer(models))


def _render(prompt: str, seed: int, path: Path) -> float:
    assert _renderer is not None  # the pool's initializer sees to it
    variant, renderer = _renderer
    plan = plan_of(variant, prompt, seed)
    rendered = renderer.render(plan, next(plan.walk()), None, {})
    unfinished = path.with_suffix(".unfinished")
    Image.fromarray(rendered.frame.pixels).save(unfinished, format="PNG")
    unfinished.replace(path)
    return float(rendered.seconds)
