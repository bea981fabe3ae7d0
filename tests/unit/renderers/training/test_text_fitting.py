"""A text tower is fitted to a picture tower that stays: it learns, scenes are drawn once, a resume is exact."""

import pytest
import torch
from open_clip.model import CLIP

from manifests.schema import CutoutSettings
from renderers.errors import TrainingBroken
from renderers.models.perceptor.word_tokenizer import WordTokenizer, vocabulary_size
from renderers.training.concepts import Concept
from renderers.training.loop import train
from renderers.training.perceptor_training import PerceptorTraining, PerceptorTrainingSettings
from renderers.training.run import TrainingRun, read_checkpoint
from renderers.training.scenes import SceneComposer
from renderers.training.sprites import Sprites
from renderers.training.text_fitting import SEEN, TextFitting, TextFittingSettings
from renderers.training.word_vectors import kin_of
from renderers.word_table import WordTable
from tests.unit.renderers.training.test_perceptor import CONFIG

NAMES = ("ball", "box", "ring", "bar")
TABLE = WordTable(("a", *NAMES), ("a", *NAMES), (100,) * 5)
SMALL = {"batch": 16, "scenes": 64, "warm_up": 0, "cool_down": 0, "lr": 1e-2}


@pytest.fixture(scope="module")
def composer():
    pixels = torch.zeros(4, 96, 96, 4, dtype=torch.uint8)
    for i, colour in enumerate(([220, 30, 35, 255], [40, 90, 215, 255], [50, 160, 60, 255], [250, 215, 40, 255])):
        pixels[i, 8 + 6 * i : 88 - 6 * i, 8:88] = torch.tensor(colour, dtype=torch.uint8)
    concepts = tuple(Concept(name, (name,), name) for name in NAMES)
    return SceneComposer(Sprites(pixels.numpy(), ("noto",) * 4, NAMES, NAMES), concepts, side=32)


def fitting(composer, folder, **settings):
    torch.manual_seed(1)
    model = {
        **CONFIG["model_cfg"],
        "text_cfg": {**CONFIG["model_cfg"]["text_cfg"], "vocab_size": vocabulary_size(TABLE)},
    }
    clip = CLIP(model["embed_dim"], model["vision_cfg"], model["text_cfg"])
    learner = PerceptorTraining(
        clip, WordTokenizer(TABLE, 20), PerceptorTrainingSettings(names_every=2), composer, None,
        CutoutSettings(size_min=0.8), mean=0.5, std=0.5, kin=kin_of(TABLE),
    )  # fmt: skip
    return TextFitting(learner, TextFittingSettings(**{**SMALL, **settings}), folder)


def test_it_learns_and_the_picture_tower_and_the_vectors_stay(composer, tmp_path):
    fit = fitting(composer, tmp_path, steps=60)
    # those of a tower of chance are nearly alike; less their mean they differ
    fit.views = torch.nn.functional.normalize(fit.views - fit.views.mean(dim=0), dim=-1)
    before = {name: value.clone() for name, value in fit.learner.clip.state_dict().items()}
    losses = [float(fit.step(step)["loss"]) for step in range(60)]
    assert sum(losses[-10:]) < 0.9 * sum(losses[:10])
    after = fit.learner.clip.state_dict()
    moved = {name for name, value in before.items() if not torch.equal(value, after[name])}
    assert "text_projection" in moved
    assert not any(name.startswith("visual.") or name == "token_embedding.weight" for name in moved)


def test_scenes_are_drawn_once(composer, tmp_path):
    first = fitting(composer, tmp_path)
    kept = (tmp_path / SEEN).read_bytes()
    second = fitting(composer, tmp_path)
    assert torch.equal(first.views, second.views)
    assert first.captions == second.captions
    assert (tmp_path / SEEN).read_bytes() == kept
    with pytest.raises(TrainingBroken, match=r"seen\.pt' can't be read: it has 64 scenes; delete it"):
        fitting(composer, tmp_path, scenes=128)
    (tmp_path / SEEN).write_bytes(b"none")
    with pytest.raises(TrainingBroken, match="delete it, and the scenes are drawn again"):
        fitting(composer, tmp_path)


def test_resume_is_exact(composer, tmp_path):
    class Interrupted(Exception):
        pass

    def run(folder, stop_at=None):
        def on_progress(progress):
            if progress.step == stop_at:
                raise Interrupted

        fit = fitting(composer, folder, steps=7, checkpoint_every=3)
        train(fit, TrainingRun(folder, fit.settings), on_progress=on_progress)
        return read_checkpoint(folder)

    whole = run(tmp_path / "whole")
    with pytest.raises(Interrupted):
        run(tmp_path / "killed", stop_at=5)
    again = run(tmp_path / "killed")
    for name in ("clip", "averaged"):
        assert all(torch.equal(value, again[name][key]) for key, value in whole[name].items())
