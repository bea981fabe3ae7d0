"""The evaluation of a model, from sprites to results. Everything that takes long is kept in a work folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from renderers.evaluation.judge import Judge, JudgeSettings, fit_judge, judge_key, judge_styles, sitters
from renderers.evaluation.judge_pictures import PLAIN_GUISE, Guise, compose, reconstruct
from renderers.evaluation.metrics import measure_pair
from renderers.evaluation.prompts import EvaluationPrompt, load_prompts
from renderers.evaluation.recognition import RenderProgress, Variant, read_pictures, render_pictures, with_perceptor
from renderers.evaluation.results import Ceiling, Evaluation, Recognition, ceiling, judged, recognition
from renderers.models import VQGAN, load_models
from renderers.registry import ModelEntry
from renderers.training.run import TrainingProgress
from renderers.training.sprites import Sprites, load_sprites

__all__ = ["EvaluationSettings", "Stage", "evaluate"]

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
    pixels: bool = True
    """whether to render without the VQGAN as well"""
    prompts: int | None = None
    """only the first so many prompts (for a try-out; the judge still chooses among all)"""
    jobs: int = 1
    metrics: bool = True
    judge: JudgeSettings = field(default_factory=JudgeSettings)
    judge_start: Path | None = None
    """folder of a judge fitted on another VQGAN, to go on from"""


@dataclass(frozen=True)
class Stage:
    """What is being done, and how far it is: `done` of `total` (0: unknown), with a word on it."""

    name: str
    done: int = 0
    total: int = 0
    told: str = ""


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
    tell(Stage("loading"))
    sprites = load_sprites(sprites_folder)
    models = load_models(entry, device="cpu", threads=1)
    side = int(entry.defaults.get("width", 256))
    everything = load_prompts()
    prompts = everything[: settings.prompts]
    judge, about, ceilings = _judge(entry, models.vqgan, side, sprites, everything, work, settings, tell)

    metrics = None
    if settings.metrics:
        metrics = measure_pair(models, sprites, on_progress=lambda what: tell(Stage("measuring", told=what)))

    variants = [(Variant("the model", entry), settings.seeds)]
    if settings.without_adversary is not None:
        other = with_perceptor(entry, settings.without_adversary)
        variants.append((Variant("no adversarial phase", other), settings.ablation_seeds))
    if settings.pixels:
        variants.append((Variant("pixels, no VQGAN", entry, without_vqgan=True), settings.ablation_seeds))
    recognitions: list[Recognition] = []
    pictures: dict[str, dict[tuple[int, int], Path]] = {}
    seconds: dict[str, float] = {}
    for variant, seeds in variants:
        took: list[float] = []

        def on_render(progress: RenderProgress, took: list[float] = took) -> None:
            if progress.seconds:
                took.append(progress.seconds)
            tell(Stage(f"rendering: {progress.variant}", progress.done, progress.total))

        paths = render_pictures(variant, prompts, seeds, work / "renders", jobs=settings.jobs, on_progress=on_render)
        tell(Stage(f"judging: {variant.name}"))
        seen = read_pictures(list(paths.values()))
        classes = torch.tensor([number for number, _ in paths])
        results = judged(list(paths), seen, judge.ranks(seen, classes), prompts)
        recognitions.append(recognition(variant.name, results))
        pictures[variant.name] = paths
        if took:
            seconds[variant.name] = sum(took) / len(took)
    if len(recognitions) > 1 and set(settings.ablation_seeds) < set(settings.seeds):
        own = [r for r in recognitions[0].results if r.seed in settings.ablation_seeds]
        recognitions.append(recognition("the model, the ablations' seeds", own))
    chance = (1 / len(everything), 5 / len(everything))
    return Evaluation(
        entry.name, entry.digest, chance, ceilings, about, tuple(recognitions), metrics, seconds
    ), pictures


def _judge(
    entry: ModelEntry,
    vqgan: VQGAN,
    side: int,
    sprites: Sprites,
    prompts: Sequence[EvaluationPrompt],
    work: Path,
    settings: EvaluationSettings,
    tell: Callable[[Stage], None],
) -> tuple[Judge, dict[str, object], tuple[Ceiling, ...]]:
    """The judge of this VQGAN's pictures, what there is to say of it, and what it names of real sprites."""
    concepts = tuple(prompt.concept for prompt in prompts)
    own = sitters(sprites, concepts, *judge_styles())
    key = judge_key(str(entry.vqgan.sha256), own, side, settings.judge)
    folder = work / "judges" / key

    def on_fit(progress: TrainingProgress) -> None:
        told = ", ".join(f"{name} {value:.2f}" for name, value in progress.metrics.items())
        tell(Stage("fitting the judge", progress.step, progress.steps, told))

    judge = fit_judge(folder, own, vqgan, side, settings.judge, start=settings.judge_start, on_progress=on_fit)
    about = json.loads((folder / "judge.json").read_text(encoding="utf-8"))
    about |= {"styles": list(judge_styles()), "key": key, "started from": str(settings.judge_start or "nothing")}
    kept = folder / "ceilings.json"
    if kept.exists():
        return judge, about, tuple(Ceiling(**one) for one in json.loads(kept.read_text(encoding="utf-8")))
    tell(Stage("measuring the judge's ceiling"))
    unseen = sitters(sprites, concepts, *UNSEEN)
    looks = {
        "styles it never saw, reconstructed": (unseen, PLAIN_GUISE, True),
        "styles it never saw, crisp": (unseen, PLAIN_GUISE, False),
        "its own styles, plainly composed, reconstructed": (own, PLAIN_GUISE, True),
        "its own styles, composed as in training, reconstructed": (own, Guise(), True),
        "its own styles, composed as in training, crisp": (own, Guise(), False),
    }
    ceilings = []
    for what, (people, guise, through) in looks.items():
        chance = torch.Generator().manual_seed(CEILING_SEED)
        each = torch.arange(len(people.classes)).repeat(max(1, 1200 // len(people.classes)))
        seen = compose(people.pixels[each], side, chance, guise)
        if through:
            seen = reconstruct(vqgan, seen)
        ceilings.append(ceiling(what, judge.ranks(seen, people.classes[each])))
    kept.write_text(json.dumps([vars(one) for one in ceilings], indent=1), encoding="utf-8")
    return judge, about, tuple(ceilings)
