"""What an evaluation found, as frozen data: everything a report says is computed here, from ranks and pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from renderers.evaluation.colours import background_colour, named_colour_obeyed
from renderers.evaluation.metrics import PairMetrics
from renderers.evaluation.prompts import EvaluationPrompt

__all__ = ["Ceiling", "Evaluation", "PictureResult", "Recognition", "ceiling", "judged", "recognition"]


@dataclass(frozen=True)
class PictureResult:
    """One rendered picture, judged."""

    number: int
    """of the prompt"""
    seed: int
    rank: int
    """the place of the prompt's concept in the judge's list, from 1"""
    colour_obeyed: bool | None
    """None where the prompt says no colour"""
    background_found: str
    background_obeyed: bool | None


@dataclass(frozen=True)
class Recognition:
    """Pictures of one variant: shares that the judge named at the first place and among five, with 95 % intervals."""

    variant: str
    pictures: int
    seeds: tuple[int, ...]
    top1: float
    top5: float
    top1_interval: tuple[float, float]
    top5_interval: tuple[float, float]
    colours_obeyed: float | None
    """None where no prompt asked for one"""
    colours_asked: int
    backgrounds_obeyed: float | None
    backgrounds_asked: int
    results: tuple[PictureResult, ...]


@dataclass(frozen=True)
class Ceiling:
    """What the judge names of real sprites: top-1 and top-5."""

    what: str
    pictures: int
    top1: float
    top5: float


@dataclass(frozen=True)
class Evaluation:
    """Everything about one model."""

    model: str
    digest: str
    chance: tuple[float, float]
    ceilings: tuple[Ceiling, ...]
    """the first one is the ceiling: styles it never saw, through the VQGAN"""
    judge: Mapping[str, object]
    recognitions: tuple[Recognition, ...]
    """the model's own first, then the ablations, then the model's own on the ablations' seeds"""
    metrics: PairMetrics | None
    seconds_per_picture: Mapping[str, float]
    """of one process, by variant; only of those that were rendered this time"""


def judged(
    keys: Sequence[tuple[int, int]], pictures: Tensor, ranks: Tensor, prompts: Sequence[EvaluationPrompt]
) -> tuple[PictureResult, ...]:
    """Results of `pictures` `(n, 3, h, w)` with their `ranks` `(n,)`; `keys` are their prompts' numbers and seeds."""
    results = []
    for (number, seed), picture, rank in zip(keys, pictures, ranks.tolist(), strict=True):
        prompt = prompts[number]
        found = background_colour(picture)
        results.append(
            PictureResult(
                number,
                seed,
                int(rank),
                named_colour_obeyed(picture, prompt.colour) if prompt.colour else None,
                found,
                found == prompt.background if prompt.background else None,
            )
        )
    return tuple(results)


def recognition(variant: str, results: Sequence[PictureResult]) -> Recognition:
    """Sum up `results`. Intervals are bootstrapped over prompts, since seeds of one prompt are not independent."""
    colours = [r.colour_obeyed for r in results if r.colour_obeyed is not None]
    backgrounds = [r.background_obeyed for r in results if r.background_obeyed is not None]
    return Recognition(
        variant=variant,
        pictures=len(results),
        seeds=tuple(sorted({r.seed for r in results})),
        top1=float(np.mean([r.rank <= 1 for r in results])),
        top5=float(np.mean([r.rank <= 5 for r in results])),
        top1_interval=_interval(results, 1),
        top5_interval=_interval(results, 5),
        colours_obeyed=_share(colours),
        colours_asked=len(colours),
        backgrounds_obeyed=_share(backgrounds),
        backgrounds_asked=len(backgrounds),
        results=tuple(results),
    )


def _share(values: list[bool]) -> float | None:
    return sum(values) / len(values) if values else None


def _interval(results: Sequence[PictureResult], places: int) -> tuple[float, float]:
    hits: dict[int, list[bool]] = {}
    for result in results:
        hits.setdefault(result.number, []).append(result.rank <= places)
    by_prompt = np.array([np.mean(found) for found in hits.values()])
    rng = np.random.default_rng(0)
    means = by_prompt[rng.integers(len(by_prompt), size=(2000, len(by_prompt)))].mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)


def ceiling(what: str, ranks: Tensor) -> Ceiling:
    """Sum up the judge's `ranks` `(n,)` of real sprites."""
    return Ceiling(
        what, len(ranks), float((ranks <= 1).to(torch.float32).mean()), float((ranks <= 5).to(torch.float32).mean())
    )
