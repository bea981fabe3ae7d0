"""Embedded pairs: from a recipe (`recipes.yaml`) and sprites to trainings, and from trainings to files. Nothing here is
general; nothing else, but for the recipes, is particular to them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from open_clip.model import CLIP
from open_clip.tokenizer import SimpleTokenizer
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from manifests.schema import CutoutSettings
from renderers.errors import ModelFilesBroken, TrainingBroken
from renderers.models import load_models
from renderers.models.vqgan.vqgan import VQGAN
from renderers.registry import Registry
from renderers.registry.entry import WEIGHTS
from renderers.training import vqgan_training
from renderers.training.concepts import Concept, load_concepts
from renderers.training.export import write_perceptor, write_vqgan
from renderers.training.loop import train
from renderers.training.perceptor_training import PerceptorTraining, PerceptorTrainingSettings
from renderers.training.perceptual import PerceptualDistance
from renderers.training.pretrained import ARCHITECTURE, MEAN, STD, efficientnet_lite0
from renderers.training.recipes import EMBEDDED, Recipe, recipe
from renderers.training.run import TrainingProgress, TrainingRun, read_checkpoint
from renderers.training.scenes import SceneComposer
from renderers.training.sprites import Sprites, load_sprites
from renderers.training.vocabulary import named_sprites
from renderers.training.vqgan_training import VQGANTraining, begin_at_zero
from renderers.training.workers import rank
from renderers.training.world import WorldComposer

__all__ = [
    "PERCEPTOR_CONFIG",
    "export_pair",
    "train_perceptor",
    "train_vqgan",
]

TRAINING_STYLES = ("noto", "fluent", "twemoji", "openclipart")
HELD_OUT_STYLE = "openmoji"
MERGES = WEIGHTS / "embedded" / "bpe_merges.txt.gz"

# The renderer's cutouts for this pair, which its perceptor is trained through.
CUTOUTS = CutoutSettings(
    size_min=0.65, size_max=1.1, degrees=15, translate=0, shear=0, affine_probability=1, perspective_probability=0,
    brightness=0.1, contrast=0.2, saturation=0.1, hue=0, jitter_probability=1, erase_probability=0, noise=0.1,
)  # fmt: skip

PERCEPTOR_CONFIG: dict[str, Any] = {
    "model_cfg": {
        "embed_dim": 192,
        "vision_cfg": {
            "timm_model_name": ARCHITECTURE,
            "timm_model_pretrained": False,
            "timm_pool": "avg",
            "timm_proj": "linear",
            "timm_proj_bias": True,
            "image_size": 80,
        },
        "text_cfg": {"context_length": 20, "vocab_size": 3515, "width": 128, "heads": 4, "layers": 3},
    },
    "preprocess_cfg": {
        "size": 80,
        "mode": "RGB",
        "mean": [MEAN] * 3,
        "std": [STD] * 3,
        "interpolation": "bilinear",
        "resize_mode": "squash",
    },
}


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


def embedded_perceptor(scenes: SceneComposer, seed: int, start: Path | None = None) -> Any:
    """The embedded perceptor at its beginning: a pretrained trunk, its features whitened into a random projection; or
    the perceptor in folder `start`, an exported one of the same widths.

    Raises:
        ModelFilesBroken: the weights in `start` can't be read or are of another shape.
    """
    config = PERCEPTOR_CONFIG["model_cfg"]
    torch.manual_seed(seed)
    clip = embedded_perceptor_shell()
    if start is not None:
        return _started(clip, start / "open_clip_model.safetensors")
    trunk = clip.visual.trunk
    kept = efficientnet_lite0().state_dict()
    trunk.load_state_dict({key: kept[key] for key in trunk.state_dict()})
    pictures = scenes.compose(256, seed, 0, "whitening").pictures
    with torch.no_grad():
        pictures = F.interpolate(pictures, size=config["vision_cfg"]["image_size"], mode="bilinear")
        features = trunk((pictures - MEAN) / STD)
        projection = clip.visual.head.proj
        # without this the mean of the features, which says nothing, drowns what tells pictures apart.
        projection.weight /= features.std(dim=0) + 1e-3
        projection.bias.copy_(-(projection.weight @ features.mean(dim=0)))
    return clip


def _started(clip: Any, weights: Path) -> Any:
    """`clip` with the weights of another, which may read fewer tokens."""
    try:
        theirs = {key: value.float() for key, value in load_file(weights).items()}
        positions = theirs["positional_embedding"]
        more = len(clip.positional_embedding) - len(positions)
        theirs["positional_embedding"] = torch.cat([positions, positions[-1:].expand(more, -1)])
        clip.load_state_dict(theirs)
    except (OSError, SafetensorError, KeyError, RuntimeError) as error:
        raise ModelFilesBroken(f"no training can start from the perceptor '{weights}': {error}") from error
    return clip


def tokenizer() -> SimpleTokenizer:
    """The embedded perceptor's: the first 3,000 byte-pair merges of OpenAI's."""
    text = PERCEPTOR_CONFIG["model_cfg"]["text_cfg"]
    return SimpleTokenizer(bpe_path=str(MERGES), context_length=text["context_length"])


def embedded_perceptor_training(
    sprites: Path,
    made_by: Recipe,
    vqgan: VQGAN,
    settings: PerceptorTrainingSettings,
    device: str,
    start: Path | None = None,
) -> PerceptorTraining:
    """The embedded perceptor's training beside a VQGAN of the same recipe, at its beginning."""
    scenes = training_scenes(sprites, made_by, only_named=True)
    clip = embedded_perceptor(scenes, settings.seed, start)
    vqgan = vqgan.eval().requires_grad_(False)
    for module in (clip, vqgan):
        module.to(device).to(memory_format=torch.channels_last)
    return PerceptorTraining(clip, tokenizer(), settings, scenes, vqgan, CUTOUTS, mean=MEAN, std=STD)


def retrieval(training: PerceptorTraining, sprites: Path, made_by: Recipe, style: str, n: int = 240) -> float:
    """Share of `n` single things of a style for which the averaged perceptor puts the right name first."""
    composer = SceneComposer(*named(sprites, made_by, style), side=made_by.side)
    scenes = composer.compose(n, 0, 0, "retrieval", kind="one")
    clip = embedded_perceptor_shell()
    clip.load_state_dict({key: value.cpu() for key, value in training.averaged.items()})
    with torch.no_grad():
        words = F.normalize(clip.encode_text(tokenizer()([f"a {name}" for name in composer.names])), dim=-1)
        pictures = F.interpolate(scenes.pictures, size=training.side, mode="bilinear")
        views = F.normalize(clip.encode_image((pictures - MEAN) / STD), dim=-1)
        return float(((views @ words.T).argmax(dim=1) == scenes.concepts).float().mean())


def embedded_perceptor_shell() -> Any:
    """The embedded perceptor with weights of chance, in eval mode."""
    config = PERCEPTOR_CONFIG["model_cfg"]
    return CLIP(config["embed_dim"], config["vision_cfg"], config["text_cfg"]).eval()


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
    on_progress: Callable[[TrainingProgress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> None:
    """Train a perceptor in `folder` beside the VQGAN of the recipe called `by` whose training is in folder `vqgan`, or
    go on with it.

    `clean` leaves the adversarial phase out: an ablation. A training that begins takes the weights of the perceptor in
    folder `start`, if given.

    Raises:
        BadInput: there is no such recipe.
        ModelFilesBroken: the weights in `start` can't be read or are of another shape.
        TrainingBroken, Stopped: as `renderers.training.loop.train`.
    """
    changes = {"steps": steps} if steps else {}
    settings = PerceptorTrainingSettings(**changes, **({"adversarial_from": 10**9} if clean else {}))
    made_by = recipe(by)
    training = embedded_perceptor_training(sprites, made_by, trained_vqgan(vqgan, made_by), settings, device, start)

    def measure() -> dict[str, float]:
        return {style: retrieval(training, sprites, made_by, style) for style in (HELD_OUT_STYLE, TRAINING_STYLES[0])}

    run = TrainingRun(folder, settings, writes=rank() == 0)
    train(training, run, measure=measure, on_progress=on_progress, should_stop=should_stop)


def export_pair(vqgan: Path, perceptor: Path, target: Path, *, by: str = EMBEDDED) -> dict[str, str]:
    """Write the pair of two trainings by the recipe called `by` as the registry wants it; gives the SHA-256 of both
    weights.

    Raises:
        BadInput: there is no such recipe.
        TrainingBroken: a folder has no checkpoint that can be read, or the VQGAN is of another recipe.
    """
    made_by = recipe(by)
    of_vqgan = write_vqgan(made_by.vqgan, trained_vqgan(vqgan, made_by).state_dict(), target, half=True)
    of_perceptor = write_perceptor(PERCEPTOR_CONFIG, read_checkpoint(perceptor)["averaged"], target, half=True)
    if target.resolve() != MERGES.parent.resolve():
        shutil.copyfile(MERGES, target / MERGES.name)
    return {"vqgan.safetensors": of_vqgan, "open_clip_model.safetensors": of_perceptor}
