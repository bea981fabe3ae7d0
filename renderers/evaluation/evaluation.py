"""The evaluation of a model, from sprites to results. Everything that takes long is kept in a work folder."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from renderers.evaluation.judge import Judge, JudgeSettings, fit_judge, judge_key, judge_styles, sitters
from renderers.evaluation.judge_pictures import PLAIN_GUISE, Guise, Sitters, compose, reconstruct
from renderers.evaluation.metrics import PairMetrics, measure_pair
from renderers.evaluation.prompts import load_prompts, shown_as
from renderers.evaluation.recognition import Variant, read_pictures, start_rendering, with_perceptor
from renderers.evaluation.results import Ceiling, Evaluation, Recognition, ceiling, judged, recognition
from renderers.models import load_models
from renderers.pool_process import end_with_parent
from renderers.registry import ModelEntry
from renderers.training.sprites import Sprites, load_sprites

__all__ = ["EvaluationSettings", "Stage", "evaluate", "fitted_judge"]

# Styles that the pair may have seen and the judge never: what its ceiling is measured on.
UNSEEN = ("noto", "twemoji", "fluent")
CEILING_SEED = 90_210


@dataclass(frozen=True)
class EvaluationSettings:
    """What is evaluated. The defaults are those of a full evaluation."""

    seeds: tuple[int, ...] = (0, 1, 2)
    ablation_seeds: tuple[int, ...] = (0,)
    without_adversary: Path | None = None
    """folder of a perceptor trained without the adversarial phase; None: that ablation is left out"""
    with_adversary: Path | None = None
    """folder of one trained for as many steps with that phase, where the model's own was trained for more; or None"""
    pixels: bool = True
    """whether to render without the VQGAN as well"""
    which: str = "common"
    """the list of prompts, one of `LISTS`; its concepts are the judge's classes"""
    prompts: int | None = None
    """only the first so many prompts (for a try-out; the judge still chooses among all)"""
    jobs: int = 1
    """processes of one thread each; they fit the judge and render side by side"""
    metrics: bool = True
    ceiling_pictures: int = 900
    """at least so many of each kind; every sprite is shown as often as any other"""
    judge: JudgeSettings = field(default_factory=JudgeSettings)


@dataclass(frozen=True)
class Stage:
    """What is being done, and how far it is: `done` of `total` (0: unknown), with a word on it."""

    name: str
    done: int = 0
    total: int = 0
    detail: str = ""


def evaluate(
    entry: ModelEntry,
    sprites_folder: Path,
    work: Path,
    settings: EvaluationSettings,
    *,
    on_stage: Callable[[Stage], None] | None = None,
) -> tuple[Evaluation, dict[str, dict[tuple[int, int], Path]]]:
    """Evaluate the model of `entry`; gives what was found, and every variant's pictures by (prompt, seed).

    An evaluation that was stopped goes on in the same `work` folder.

    Raises:
        SourceMissing: there are no sprites in `sprites_folder`.
        ModelFilesBroken: the model, the other perceptor or the judge can't be read.
    """
    tell = on_stage or (lambda _: None)
    everything = load_prompts(settings.which)
    prompts = everything[: settings.prompts]
    variants = [(Variant("the model", entry), settings.seeds)]
    for name, folder in (
        ("no adversarial phase", settings.without_adversary),
        ("adversarial phase, equal steps", settings.with_adversary),
    ):
        if folder is not None:
            variants.append((Variant(name, with_perceptor(entry, folder)), settings.ablation_seeds))
    if settings.pixels:
        variants.append((Variant("pixels, no VQGAN", entry, without_vqgan=True), settings.ablation_seeds))
    tell(Stage("loading"))
    job = _JudgeJob.of(entry, load_sprites(sprites_folder), sprites_folder, work / "judges", settings)
    pictures: dict[str, dict[tuple[int, int], Path]] = {}
    seconds: dict[str, float] = {}
    context = multiprocessing.get_context("spawn")  # torch's threads do not survive a fork
    with ProcessPoolExecutor(settings.jobs, mp_context=context, initializer=end_with_parent) as pool:
        try:
            fit = pool.submit(_fit_judge, job)
            metrics = pool.submit(_measure, entry, sprites_folder) if settings.metrics else None
            rendering = {}
            for variant, seeds in variants:
                pictures[variant.name], rendering[variant.name] = start_rendering(
                    pool, variant, prompts, seeds, work / "renders"
                )
            futures = [future for some in rendering.values() for future in some]
            _wait([fit, *([metrics] if metrics else []), *futures], job, tell)
            ceilings, about = fit.result()
            measured = metrics.result() if metrics else None
            for name, some in rendering.items():
                if some:
                    seconds[name] = sum(future.result() for future in some) / len(some)
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    tell(Stage("judging"))
    torch.set_num_threads(1)
    judge = Judge.load(job.folder)
    recognitions: list[Recognition] = []
    for name, paths in pictures.items():
        seen = read_pictures(list(paths.values()))
        ranks = judge.ranks(seen, torch.tensor([number for number, _ in paths]))
        recognitions.append(recognition(name, judged(list(paths), seen, ranks, prompts)))
    if len(recognitions) > 1 and set(settings.ablation_seeds) < set(settings.seeds):
        own = [r for r in recognitions[0].results if r.seed in settings.ablation_seeds]
        recognitions.append(recognition("the model, the ablations' seeds", own))
    chance = (1 / len(everything), 5 / len(everything))
    found = Evaluation(entry.name, entry.digest, chance, ceilings, about, tuple(recognitions), measured, seconds)
    return found, pictures


def fitted_judge(entry: ModelEntry, sprites_folder: Path, work: Path, settings: EvaluationSettings) -> Judge:
    """The judge of the pictures of `entry`'s VQGAN: the one that an evaluation left in `work`, or fitted now (a good
    half hour of a core).

    Raises:
        SourceMissing: there are no sprites in `sprites_folder`.
    """
    job = _JudgeJob.of(entry, load_sprites(sprites_folder), sprites_folder, work / "judges", settings)
    _fit_judge(job)
    return Judge.load(job.folder)


def _wait(futures: list[Future[Any]], job: _JudgeJob, tell: Callable[[Stage], None]) -> None:
    """Wait for all of `futures`, telling how far they are; the first that fails ends it."""
    waiting = set(futures)
    while waiting:
        done, waiting = wait(waiting, timeout=5, return_when=FIRST_COMPLETED)
        for future in done:
            future.result()
        fitting = futures[0] in waiting
        tell(
            Stage("rendering", len(futures) - len(waiting), len(futures), job.progress() if fitting else "judge fitted")
        )


def _measure(entry: ModelEntry, sprites_folder: Path) -> PairMetrics:
    return measure_pair(load_models(entry, device="cpu", threads=1), load_sprites(sprites_folder))


@dataclass(frozen=True)
class _JudgeJob:
    """All that another process needs to fit the judge of a VQGAN's pictures."""

    entry: ModelEntry
    sprites_folder: Path
    settings: JudgeSettings
    ceiling_pictures: int
    side: int
    base: Path
    """folder of the first stage, which all VQGANs of pictures of this side share"""
    folder: Path
    which: str = "common"

    def sitters(self, *styles: str) -> Sitters:
        """The sprites of `styles` that show what the prompts name."""
        return _sitters(load_sprites(self.sprites_folder), self.which, *styles)

    @classmethod
    def of(
        cls, entry: ModelEntry, sprites: Sprites, sprites_folder: Path, judges: Path, settings: EvaluationSettings
    ) -> _JudgeJob:
        side = int(entry.defaults.get("width", 256))
        own = _sitters(sprites, settings.which, *judge_styles())
        base = judges / f"base-{judge_key(None, own, side, settings.judge)}"
        source = entry.vqgan.source
        weights = entry.vqgan.sha256 or (source.checkpoint.sha256 if source else entry.digest)
        folder = judges / judge_key(weights, own, side, settings.judge)
        return cls(entry, sprites_folder, settings.judge, settings.ceiling_pictures, side, base, folder, settings.which)

    def progress(self) -> str:
        """How far it is, from what the fit keeps."""
        for folder, steps, name in (
            (self.folder, self.settings.steps, "second"),
            (self.base, self.settings.steps_crisp, "first"),
        ):
            curves = folder / "curves.csv"
            if curves.exists():
                step = curves.read_text(encoding="utf-8").rstrip().rsplit("\n", 1)[-1].split(",")[0]
                return f"judge, {name} stage: {step.removesuffix('.0')} of {steps} steps"
        return "judge: loading"


def _sitters(sprites: Sprites, which: str, *styles: str) -> Sitters:
    prompts = load_prompts(which)
    return sitters(shown_as(sprites, prompts), tuple(prompt.concept for prompt in prompts), *styles)


def _fit_judge(job: _JudgeJob) -> tuple[tuple[Ceiling, ...], dict[str, object]]:
    """Fit both stages, as far as they are not there; gives what the judge names of real sprites, and what to say of it.

    The judge itself stays in its folder.
    """
    vqgan = load_models(job.entry, device="cpu", threads=1).vqgan
    own = job.sitters(*judge_styles())
    fit_judge(job.base, own, None, job.side, job.settings)
    judge = fit_judge(job.folder, own, vqgan, job.side, job.settings, start=job.base)
    about = {
        "styles": ", ".join(judge_styles()),
        "sprites": len(own.classes),
        "seconds of fitting": sum(
            json.loads((f / "judge.json").read_text())["seconds"] for f in (job.base, job.folder)
        ),
        "steps": f"{job.settings.steps_crisp} + {job.settings.steps}",
        "key": job.folder.name,
    }
    kept = job.folder / "ceilings.json"
    if kept.exists():
        return tuple(Ceiling(**one) for one in json.loads(kept.read_text(encoding="utf-8"))), about
    unseen = job.sitters(*UNSEEN)
    looks = {
        "styles it never saw, reconstructed": (unseen, PLAIN_GUISE, True),
        "styles it never saw, crisp": (unseen, PLAIN_GUISE, False),
        "its own styles, plainly composed, reconstructed": (own, PLAIN_GUISE, True),
        "its own styles, strangely composed, reconstructed": (own, Guise(), True),
        "its own styles, strangely composed, crisp": (own, Guise(), False),
    }
    ceilings = []
    for what, (people, guise, through) in looks.items():
        chance = torch.Generator().manual_seed(CEILING_SEED)
        each = torch.arange(len(people.classes)).repeat(max(1, job.ceiling_pictures // len(people.classes)))
        seen = compose(people.pixels[each], job.side, chance, guise)
        if through:
            seen = reconstruct(vqgan, seen)
        ceilings.append(ceiling(what, judge.ranks(seen, people.classes[each])))
    kept.write_text(json.dumps([vars(one) for one in ceilings], indent=1), encoding="utf-8")
    return tuple(ceilings), about
