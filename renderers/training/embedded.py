"""Embedded pairs: from a recipe (`recipes.yaml`) and sprites to trainings, and from trainings to files. Nothing here is
general; nothing else, but for the recipes, is particular to them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from manifests.schema import CutoutSettings
from renderers.errors import BadInput, ModelFilesBroken, TrainingBroken
from renderers.models import load_models
from renderers.models.vqgan.vqgan import VQGAN
from renderers.registry import Registry
from renderers.training import vqgan_training
from renderers.training.concepts import Concept, load_concepts
from renderers.training.embedded_perceptor import (
    MERGES,
    Words,
    begun_perceptor,
    perceptor_config,
    perceptor_shell,
    tokenizer,
)
from renderers.training.export import write_perceptor, write_vqgan
from renderers.training.loop import train
from renderers.training.perceptor_training import PerceptorTraining, PerceptorTrainingSettings
from renderers.training.perceptual import PerceptualDistance
from renderers.training.pretrained import MEAN, STD, efficientnet_lite0
from renderers.training.recipes import EMBEDDED, Recipe, recipe
from renderers.training.run import TrainingProgress, TrainingRun, read_checkpoint
from renderers.training.scenes import SceneComposer
from renderers.training.sentence_model import SentenceModel
from renderers.training.sprites import Sprites, load_sprites
from renderers.training.text_fitting import TextFitting, TextFittingSettings
from renderers.training.vocabulary import named_sprites
from renderers.training.vqgan_training import VQGANTraining, begin_at_zero
from renderers.training.word_vectors import (
    TABLE,
    english_words,
    kin_of,
    make_word_vectors,
    taught_of_objects,
    taught_words,
)
from renderers.training.workers import rank
from renderers.training.world import WorldComposer
from renderers.word_table import WordTable

__all__ = [
    "export_pair",
    "fit_text",
    "make_words",
    "train_perceptor",
    "train_vqgan",
]

TRAINING_STYLES = ("noto", "fluent", "twemoji", "openclipart")
HELD_OUT_STYLE = "openmoji"

# The renderer's cutouts for this pair, which its perceptor is trained through.
CUTOUTS = CutoutSettings(
    size_min=0.65, size_max=1.1, degrees=15, translate=0, shear=0, affine_probability=1, perspective_probability=0,
    brightness=0.1, contrast=0.2, saturation=0.1, hue=0, jitter_probability=1, erase_probability=0, noise=0.1,
)  # fmt: skip


def named(folder: Path, made_by: Recipe, *styles: str) -> tuple[Sprites, tuple[Concept, ...]]:
    """The sprites in `folder` of `styles`, called as the recipe calls them, and all concepts that it knows."""
    sprites, concepts = load_sprites(folder), load_concepts()
    if made_by.scenes == "world":
        sprites, concepts = named_sprites(sprites.of_styles(*TRAINING_STYLES, *styles))
    return sprites.of_styles(*styles), concepts


def training_scenes(folder: Path, made_by: Recipe, *, only_named: bool = False) -> SceneComposer:
    """What composes a recipe's scenes from the sprites in `folder`; `only_named`: without those that have no name."""
    sprites, concepts = named(folder, made_by, *TRAINING_STYLES)
    kind = WorldComposer if made_by.scenes == "world" else SceneComposer
    return kind(sprites.with_concepts() if only_named else sprites, concepts, side=made_by.side)


class ScenePictures:
    """Scenes as a VQGAN's training pictures: half of them from any sprite, clip art included."""

    def __init__(self, composer: SceneComposer) -> None:
        self.composer = composer

    def batch(self, n: int, seed: int, step: int, worker: int) -> Tensor:
        """`n` pictures `(n, 3, side, side)`."""
        anything = self.composer.compose(n // 2, seed, step, f"anything {worker}", any_sprite=True).pictures
        return torch.cat([anything, self.composer.compose(n - n // 2, seed, step, f"concepts {worker}").pictures])


def held_out_pictures(sprites: Path, n: int, side: int) -> Tensor:
    """`n` scenes `(n, 3, side, side)` of the style that no training sees."""
    held_out = SceneComposer(load_sprites(sprites).of_styles(HELD_OUT_STYLE), load_concepts(), side=side)
    return held_out.compose(n, 0, 0, "held out", kind="one").pictures


def embedded_vqgan_training(sprites: Path, made_by: Recipe, device: str) -> VQGANTraining:
    """A VQGAN's training by a recipe, at its beginning.

    Raises:
        ModelFilesBroken: the recipe starts from a model that can't be read or is of another shape.
    """
    scenes = training_scenes(sprites, made_by)
    torch.manual_seed(made_by.training.seed)
    model = VQGAN(made_by.vqgan)
    begin_at_zero(model)
    if made_by.start:
        _start_from(model, made_by)
    distance = PerceptualDistance(efficientnet_lite0())
    for module in (model, distance):
        module.to(device).to(memory_format=torch.channels_last)
    return VQGANTraining(model, made_by.training, ScenePictures(scenes), distance)


def _start_from(model: VQGAN, made_by: Recipe) -> None:
    """Give `model` the weights of the VQGAN that the recipe starts from."""
    theirs = load_models(Registry().entry(made_by.start), device="cpu", threads=1, precision="float32").vqgan
    try:
        model.load_state_dict(theirs.state_dict())
    except RuntimeError as error:
        raise ModelFilesBroken(
            f"the recipe '{made_by.name}' can't start from '{made_by.start}', a network of another shape: {error}"
        ) from error


def embedded_perceptor_training(
    sprites: Path,
    made_by: Recipe,
    vqgan: VQGAN,
    settings: PerceptorTrainingSettings,
    device: str,
    start: Path | None = None,
    words: Words | None = None,
) -> PerceptorTraining:
    """The embedded perceptor's training beside a VQGAN of the same recipe, at its beginning."""
    scenes = training_scenes(sprites, made_by, only_named=True)
    clip = begun_perceptor(made_by.perceptor, scenes, settings.seed, words, start)
    kin = kin_of(words.table) if words else None
    vqgan = vqgan.eval().requires_grad_(False)
    for module in (clip, vqgan):
        module.to(device).to(memory_format=torch.channels_last)
    reader = tokenizer(made_by.perceptor, words)
    return PerceptorTraining(clip, reader, settings, scenes, vqgan, CUTOUTS, mean=MEAN, std=STD, kin=kin)


def retrieval(
    training: PerceptorTraining, sprites: Path, made_by: Recipe, style: str, n: int = 240, words: Words | None = None
) -> float:
    """Share of `n` single things of a style for which the averaged perceptor puts the right name first."""
    composer = SceneComposer(*named(sprites, made_by, style), side=made_by.side)
    scenes = composer.compose(n, 0, 0, "retrieval", kind="one")
    clip = perceptor_shell(made_by.perceptor, words)
    clip.load_state_dict({key: value.cpu() for key, value in training.averaged.items()})
    with torch.no_grad():
        read = training.tokenizer([f"a {name}" for name in composer.names])
        texts = F.normalize(torch.cat([clip.encode_text(part) for part in read.split(256)]), dim=-1)
        pictures = F.interpolate(scenes.pictures, size=training.side, mode="bilinear")
        views = F.normalize(clip.encode_image((pictures - MEAN) / STD), dim=-1)
        return float(((views @ texts.T).argmax(dim=1) == scenes.concepts).float().mean())


def trained_vqgan(folder: Path, made_by: Recipe) -> VQGAN:
    """The averaged VQGAN of a training's folder, finished or not.

    Raises:
        TrainingBroken: there is no checkpoint in it that can be read, or it is of another recipe.
    """
    model = VQGAN(made_by.vqgan)
    try:
        model.load_state_dict(read_checkpoint(folder)["averaged"])
    except RuntimeError as error:
        raise TrainingBroken(f"the VQGAN in '{folder}' is not of the recipe '{made_by.name}': {error}") from error
    return model.eval().requires_grad_(False)


def train_vqgan(
    sprites: Path,
    folder: Path,
    *,
    by: str = EMBEDDED,
    steps: int | None = None,
    device: str = "cpu",
    on_progress: Callable[[TrainingProgress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> None:
    """Train the VQGAN of the recipe called `by` in `folder`, or go on with it.

    Raises:
        BadInput: there is no such recipe.
        TrainingBroken, Stopped: as `renderers.training.loop.train`.
    """
    made_by = recipe(by)
    if steps:
        made_by = made_by.model_copy(update={"training": made_by.training.model_copy(update={"steps": steps})})
    vqgan_training.train_vqgan(
        embedded_vqgan_training(sprites, made_by, device),
        TrainingRun(folder, made_by.training, writes=rank() == 0),
        held_out=held_out_pictures(sprites, 100, made_by.side),
        on_progress=on_progress,
        should_stop=should_stop,
    )


def train_perceptor(
    sprites: Path,
    folder: Path,
    *,
    vqgan: Path,
    by: str = EMBEDDED,
    steps: int | None = None,
    device: str = "cpu",
    clean: bool = False,
    start: Path | None = None,
    words: Path | None = None,
    on_progress: Callable[[TrainingProgress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> None:
    """Train a perceptor in `folder` beside the VQGAN of the recipe called `by` whose training is in folder `vqgan`, or
    go on with it.

    `clean` leaves the adversarial phase out: an ablation. A training that begins takes the weights of the perceptor in
    folder `start`, if given. `words` is the folder of `make_words`, for a recipe whose perceptor reads whole words.

    Raises:
        BadInput: there is no such recipe, or it needs `words`.
        ModelFilesBroken: the weights in `start` can't be read or are of another shape.
        TrainingBroken, Stopped: as `renderers.training.loop.train`.
    """
    made_by = recipe(by)
    changes = ({"steps": steps} if steps else {}) | ({"adversarial_from": 10**9} if clean else {})
    settings = made_by.perceptor_training.model_copy(update=changes)
    read = Words.of(words, made_by)
    beside = trained_vqgan(vqgan, made_by)
    training = embedded_perceptor_training(sprites, made_by, beside, settings, device, start, read)
    shown = {style: (sprites, made_by, style) for style in (HELD_OUT_STYLE, TRAINING_STYLES[0])}

    def measure() -> dict[str, float]:
        return {style: retrieval(training, *what, words=read) for style, what in shown.items()}

    run = TrainingRun(folder, settings, writes=rank() == 0)
    train(training, run, measure=measure, on_progress=on_progress, should_stop=should_stop)


def fit_text(
    sprites: Path,
    folder: Path,
    *,
    vqgan: Path,
    start: Path,
    by: str = EMBEDDED,
    words: Path | None = None,
    settings: TextFittingSettings | None = None,
    on_progress: Callable[[TrainingProgress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> None:
    """Fit a text tower that reads whole words to the picture tower of the perceptor in folder `start`, in `folder`, or
    go on with it; then write both there, as `train_perceptor` can begin with them.

    Raises:
        BadInput: there is no such recipe, its perceptor reads parts of words, or it needs `words`.
        ModelFilesBroken: the weights in `start` can't be read or are of another shape.
        TrainingBroken, Stopped: as `renderers.training.loop.train`.
    """
    made_by = recipe(by)
    read = Words.of(words, made_by)
    if read is None:
        raise BadInput(
            f"the perceptor of recipe '{by}' reads parts of words: its text tower is taught with its pictures"
        )
    whole = settings or TextFittingSettings()
    both = made_by.perceptor_training
    learner = embedded_perceptor_training(sprites, made_by, trained_vqgan(vqgan, made_by), both, "cpu", start, read)
    fitting = TextFitting(learner, whole, folder)
    train(fitting, TrainingRun(folder, whole), on_progress=on_progress, should_stop=should_stop)
    write_perceptor(perceptor_config(made_by.perceptor, read), fitting.averaged, folder)


def make_words(sprites: Path, folder: Path, *, model: Path, scowl: Path, by: str = EMBEDDED) -> WordTable:
    """Write the table of words of the recipe called `by`, and their vectors, into `folder`; gives the
    table. A perceptor that reads whole words has both; of any other the table says which words it knows.

    `model` is the folder of a sentence model (`SentenceModel`), `scowl` that of SCOWL's lists.

    Raises:
        BadInput: there is no such recipe.
        SourceMissing: there are no sprites.
        TrainingBroken: the sentence model or the lists can't be read.
    """
    made_by = recipe(by)
    _, concepts = named(sprites, made_by, *TRAINING_STYLES)
    taught = taught_words(concepts) if made_by.scenes == "world" else taught_of_objects(concepts)
    return make_word_vectors(english_words(scowl, taught), taught, SentenceModel(model), folder)


def export_pair(
    vqgan: Path, perceptor: Path, target: Path, *, by: str = EMBEDDED, words: Path | None = None
) -> dict[str, str]:
    """Write the pair of two trainings by the recipe called `by` as the registry wants it; gives the SHA-256 of both
    weights.

    Raises:
        BadInput: there is no such recipe, or it needs `words`.
        TrainingBroken: a folder has no checkpoint that can be read, or the VQGAN is of another recipe.
    """
    made_by = recipe(by)
    read = Words.of(words, made_by)
    of_vqgan = write_vqgan(made_by.vqgan, trained_vqgan(vqgan, made_by).state_dict(), target, half=True)
    config = perceptor_config(made_by.perceptor, read)
    of_perceptor = write_perceptor(config, read_checkpoint(perceptor)["averaged"], target, half=True)
    beside = words / TABLE if read and words else MERGES
    if target.resolve() != beside.parent.resolve():
        shutil.copyfile(beside, target / beside.name)
    return {"vqgan.safetensors": of_vqgan, "open_clip_model.safetensors": of_perceptor}
