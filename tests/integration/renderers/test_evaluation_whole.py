"""The whole evaluation of a random model on squares and discs: the judge is fitted, pictures rendered, a report left.

And the judge by itself: it learns, and a fit that was stopped ends as one that was not.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from renderers.errors import ModelFilesBroken
from renderers.evaluation.evaluation import EvaluationSettings, Stage, evaluate
from renderers.evaluation.judge import Judge, JudgeSettings, fit_judge
from renderers.evaluation.judge_pictures import PLAIN_GUISE, Sitters, compose
from renderers.evaluation.prompts import load_prompts
from renderers.evaluation.report import write_report
from renderers.models import VQGAN
from renderers.registry import ModelEntry
from renderers.training.concepts import load_concepts
from renderers.training.run import TrainingProgress
from renderers.training.sprites import SIDE, STYLES
from tests.helpers.random_model import write_model

CONCEPTS = tuple(prompt.concept for prompt in load_prompts())  # the judge's classes

TINY = JudgeSettings(
    widths=(8, 16), blocks=(1, 1), steps_crisp=4, steps=4, batch=8, pool=16, renewed=2, checkpoint_every=2, log_every=1
)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def entry(tmp_path: Path) -> ModelEntry:
    (tmp_path / "model").mkdir()
    return write_model(tmp_path / "model")


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A sprite file with a square of a chance colour for each concept of the prompts, in each style."""
    labels = {c.name: c.emoji for c in load_concepts()}
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (len(CONCEPTS), 3), dtype=np.uint8)
    pixels = np.zeros((len(CONCEPTS), SIDE, SIDE, 4), np.uint8)
    pixels[:, 8:-8, 8:-8, 3] = 255
    pixels[..., :3] = colours[:, None, None]
    styles = [style for style in STYLES if style != "openclipart"]
    about = {
        "style": [style for style in styles for _ in CONCEPTS],
        "label": [labels[name] for _ in styles for name in CONCEPTS],
        "packages": [],
    }
    np.savez_compressed(
        tmp_path / "sprites.npz", pixels=np.concatenate([pixels] * len(styles)), about=np.array(json.dumps(about))
    )
    return tmp_path


@pytest.mark.minutes
def test_a_model_is_evaluated_from_sprites_to_report_and_a_second_time_for_nothing(
    entry: ModelEntry, library: Path, tmp_path: Path
) -> None:
    settings = EvaluationSettings(
        seeds=(0, 1), ablation_seeds=(1,), without_adversary=tmp_path / "model", with_adversary=tmp_path / "model",
        prompts=2, jobs=1, judge=TINY, metrics=False, ceiling_pictures=300,
    )  # fmt: skip
    stages: list[Stage] = []
    found, pictures = evaluate(entry, library, tmp_path / "work", settings, on_stage=stages.append)
    assert [(r.variant, r.pictures) for r in found.recognitions] == [
        ("the model", 4), ("no adversarial phase", 2), ("adversarial phase, equal steps", 2), ("pixels, no VQGAN", 2),
        ("the model, the ablations' seeds", 2),
    ]  # fmt: skip
    assert found.chance == (0.01, 0.05)
    assert len(found.ceilings) == 5
    assert found.ceilings[0].pictures == 300  # each concept in each of three styles
    assert all(1 <= result.rank <= 100 for r in found.recognitions for result in r.results)
    assert {"the model", "pixels, no VQGAN"} <= found.seconds_per_picture.keys() <= pictures.keys()
    assert max(stage.total for stage in stages) == 1 + 4 + 2 + 2 + 2

    written = write_report(tmp_path / "report", found, pictures, load_prompts()[:2])
    assert [path.suffix for path in written] == [".md", ".json", ".webp", ".webp", ".webp", ".webp"]
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "work").rglob("*.png")}
    # the ablation's perceptor is the model's own here, so its pictures are the model's
    assert len(kept) == 4 + 2
    again, _ = evaluate(entry, library, tmp_path / "work", settings)
    assert again.recognitions == found.recognitions
    assert again.ceilings == found.ceilings
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "work").rglob("*.png")} == kept


def test_another_perceptor_must_be_there(entry: ModelEntry, library: Path, tmp_path: Path) -> None:
    settings = EvaluationSettings(without_adversary=tmp_path / "nowhere", judge=TINY)
    with pytest.raises(ModelFilesBroken, match="holds no perceptor"):
        evaluate(entry, library, tmp_path / "work", settings)


def shapes() -> Sitters:
    """A disc and a cross, in dark blue: backgrounds are often white."""
    axis = torch.linspace(-1, 1, 32)
    disc = (axis[:, None] ** 2 + axis[None] ** 2 < 0.8).expand(4, 32, 32)
    cross = ((axis[:, None].abs() < 0.25) | (axis[None].abs() < 0.25)).expand(4, 32, 32)
    paint = torch.tensor([20, 20, 90, 255], dtype=torch.uint8).view(1, 4, 1, 1)
    return Sitters(torch.stack([disc, cross]).to(torch.uint8) * paint, torch.tensor([0, 1]))


def test_the_judge_learns_shapes_on_any_background(tmp_path: Path) -> None:
    people = shapes()
    settings = TINY.model_copy(update={"steps_crisp": 200, "batch": 32, "lr": 0.01, "average": 0.9})
    judge = fit_judge(tmp_path, people, None, 48, settings)
    each = torch.arange(2).repeat(50)
    seen = compose(people.pixels[each], 48, torch.Generator().manual_seed(1), PLAIN_GUISE)
    assert float((judge.ranks(seen, people.classes[each]) == 1).float().mean()) > 0.8


def test_a_fit_that_was_stopped_ends_as_one_that_was_not(entry: ModelEntry, tmp_path: Path) -> None:
    people = shapes()
    vqgan = VQGAN.load(entry.vqgan.config_path, entry.vqgan.weights_path)
    base = tmp_path / "base"
    fit_judge(base, people, None, 32, TINY)
    whole = fit_judge(tmp_path / "whole", people, vqgan, 32, TINY, start=base)

    def stop(progress: TrainingProgress) -> None:
        if progress.step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit_judge(tmp_path / "parts", people, vqgan, 32, TINY, start=base, on_progress=stop)
    with pytest.raises(ModelFilesBroken):
        Judge.load(tmp_path / "parts")
    parts = fit_judge(tmp_path / "parts", people, vqgan, 32, TINY, start=base)
    assert all(torch.equal(a, b) for a, b in zip(whole.state_dict().values(), parts.state_dict().values(), strict=True))
    assert not (tmp_path / "parts" / "checkpoint.pt").exists()
