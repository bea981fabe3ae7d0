"""How much a video flickers, and what its pictures are worth, by what a warm frame starts from.

    python -m tests.benchmarks.bench_calm [--frames 24] [--prompts 8] [--seeds 3 4] [--sprites SPRITES --work WORK]

Renders `--prompts` videos for each seed with the embedded pair (zoom 1.02, 1 degree a frame), once for each variant of
the settings in `warm`, and prints the mean change from frame to frame (`frame_change`, levels of 255, the camera's move
undone, from the fifth frame on), its ratio to the change of today's settings video by video, the sharpness (mean
absolute Laplacian), the drift of the mean luma, and the processor time. Each variant is shown as it is drawn, and
as `finish.smooth` shows it.

What the pictures are worth: the geometric mean of the prompt's place in the list of the judge of `nightreel models eval
embedded --sprites SPRITES --work WORK`, which has no part in making them, over every fourth frame; without it, the
likeness to the pair's own perceptor on 16 fixed crops, which flatters.
"""

from __future__ import annotations

import argparse
import itertools
import math
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from manifests.schema import ManifestRow
from renderers.evaluation.evaluation import EvaluationSettings, fitted_judge
from renderers.frame_plan.motion import Homography
from renderers.frame_plan.video_plan import VideoPlan
from renderers.frame_rendering.renderer import FrameRenderer
from renderers.frame_rendering.smoothing import smoothed
from renderers.frame_rendering.video import render_video
from renderers.frame_rendering.warp import frame_change
from renderers.models import Models, load_models
from renderers.registry import Registry
from renderers.training.concepts import load_concepts
from tests.benchmarks.machine import machine

#: Things that the judge has a name for.
PROMPTS = ("apple", "frog", "birthday cake", "elephant", "car", "boat", "mushroom", "sunflower")
VARIANTS: dict[str, dict[str, Any]] = {
    "today": {},
    "fit 10": {"fit": 10},
    "fit 20": {"fit": 20},
    "codes": {"start": "codes"},
    "codes, fit 5": {"start": "codes", "fit": 5},
    "codes, fit 10": {"start": "codes", "fit": 10},
}
#: `finish.smooth` and `finish.smooth_centre`
SMOOTH = {"": None, ", smooth 3": (3, 0.7), ", smooth 5": (5, 0.4), ", smooth 7": (7, 0.25)}
SETTLED = 4  # frames after the cold start that are left out

Judging = Callable[[Sequence[np.ndarray], str], float]


def video(
    renderer: FrameRenderer, prompt: str, seed: int, frames: int, warm: dict[str, Any]
) -> tuple[list[Any], Homography]:
    """The pictures of a video `(h, w, 3)`, and the motion from each to the next."""
    row = ManifestRow(
        video_id="v", prompt=f"a {prompt}", frames=frames, seed=seed, zoom="1.02", angle="1", handoff="chain",
        warm=warm,
    )  # fmt: skip
    plan = VideoPlan.of(row, entry=renderer.models.entry)
    pictures = [frame.rendered.frame.picture for frame in render_video(renderer, plan, {})]
    return pictures, plan.frame_plans[1].motion


def shown(pictures: Sequence[Any], motion: Homography, smooth: tuple[int, float] | None) -> Sequence[Any]:
    """The pictures as `finish.smooth` shows them, of so many frames with this weight of the middle one; or as drawn."""
    if smooth is None:
        return pictures
    return [picture for _, picture in smoothed(enumerate(pictures), *smooth, lambda _: motion)]


def sharpness(picture: np.ndarray) -> float:
    """Mean absolute Laplacian of the luma, in levels."""
    luma = picture.astype(np.float32).mean(axis=2)
    sides = luma[:-2, 1:-1] + luma[2:, 1:-1] + luma[1:-1, :-2] + luma[1:-1, 2:]
    return float(np.abs(4 * luma[1:-1, 1:-1] - sides).mean())


def judge_of(models: Models, sprites: Path | None, work: Path | None) -> tuple[str, Judging]:
    """What the pictures of a prompt are worth, and what that is called."""
    if sprites is not None and work is not None:
        judge = fitted_judge(models.entry, sprites, work, EvaluationSettings())
        numbers = {concept.name: number for number, concept in enumerate(load_concepts())}

        def place(pictures: Sequence[np.ndarray], prompt: str) -> float:
            some = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255
            ranks = judge.ranks(some, torch.full((len(some),), numbers[prompt]))
            return statistics.fmean(map(math.log, ranks.tolist()))

        return "mean place (log)", place
    perceptor = models.perceptors[0]

    @torch.no_grad()
    def likeness(pictures: Sequence[np.ndarray], prompt: str) -> float:
        some = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255
        chance, seen = torch.Generator().manual_seed(5), []
        for _ in range(16):
            side = int(some.shape[-1] * (0.75 + 0.25 * torch.rand(1, generator=chance).item()))
            top, left = torch.randint(0, some.shape[-1] - side + 1, (2,), generator=chance).tolist()
            crop = some[..., top : top + side, left : left + side]
            size = (perceptor.side, perceptor.side)
            seen.append(perceptor.embed_pictures(F.interpolate(crop, size=size, mode="bicubic", antialias=True)))
        mean = F.normalize(torch.stack(seen).mean(dim=0), dim=-1)
        return float((mean @ F.normalize(perceptor.embed_texts([f"a {prompt}"]), dim=-1).T).mean())

    return "own likeness", likeness


def line(
    name: str, worth: str, found: Sequence[Sequence[float]], base: Sequence[Sequence[float]], seconds: float
) -> str:
    """One variant's line: `found` and `base` are changes, worths, sharpnesses and drifts, one for each video."""
    changes, worths, sharps, drifts = found
    ratios = [one / other for one, other in zip(changes, base[0], strict=True)]
    better = [one - other for one, other in zip(worths, base[1], strict=True)]
    error = 1.96 * statistics.stdev(better) / math.sqrt(len(better)) if len(better) > 1 else math.nan
    return (
        f"{name:24s} change {statistics.fmean(changes):.2f}, {statistics.fmean(ratios):.2f} of today's "
        f"({min(ratios):.2f} to {max(ratios):.2f}); {worth} {statistics.fmean(worths):.3f} "
        f"({statistics.fmean(better):+.3f} +- {error:.3f}); sharpness {statistics.fmean(sharps):.2f}; luma "
        f"{statistics.fmean(drifts):+.1f} levels; {seconds:.0f} s of a processor"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--prompts", type=int, default=len(PROMPTS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[3, 4])
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=list(VARIANTS))
    parser.add_argument("--sprites", type=Path, help="what `nightreel models sprites` made")
    parser.add_argument(
        "--work", type=Path, help="work folder of an evaluation; its judge is fitted if it is not there"
    )
    chosen = parser.parse_args()
    print(machine())
    models = load_models(Registry().entry("embedded"), device="cpu", threads=1)
    torch.set_num_threads(1)
    renderer = FrameRenderer(models)
    worth, judging = judge_of(models, chosen.sprites, chosen.work)
    base: list[list[float]] = []
    for name in chosen.variants:
        measured: dict[str, list[list[float]]] = {}
        began = time.process_time()
        for prompt in PROMPTS[: chosen.prompts]:
            for seed in chosen.seeds:
                pictures, motion = video(renderer, prompt, seed, chosen.frames, VARIANTS[name])
                for suffix, setting in SMOOTH.items():
                    which = name + suffix
                    kept = shown(pictures, motion, setting)[SETTLED:-1]
                    changes = [frame_change(a, b, motion) for a, b in itertools.pairwise(kept)]
                    figures = (
                        statistics.fmean(changes), judging(kept[::4], prompt),
                        statistics.fmean(map(sharpness, kept)), float(kept[-1].mean() - kept[0].mean()),
                    )  # fmt: skip
                    rows = measured.setdefault(which, [[], [], [], []])
                    for row, figure in zip(rows, figures, strict=True):
                        row.append(figure)
        seconds = time.process_time() - began
        base = base or measured[name]
        for which, rows in measured.items():
            print(line(which, worth, rows, base, seconds), flush=True)


if __name__ == "__main__":
    main()
