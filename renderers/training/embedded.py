"""The recipe of the embedded pair: which shapes, which data, which settings. Nothing here is general; nothing else is
particular to it.

    python -m renderers.training.embedded vqgan SPRITES FOLDER [--steps N] [--device cuda]
    python -m renderers.training.embedded perceptor SPRITES FOLDER --vqgan VQGAN_FOLDER [--steps N] [--device cuda]

or, with progress bars, `nightreel models train vqgan|perceptor`. Both go on where a kill left them.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from renderers.models.vqgan import VQGAN, DDConfig, VQGANConfig
from renderers.training.concepts import load_concepts
from renderers.training.perceptual import PerceptualDistance
from renderers.training.pretrained import efficientnet_lite0
from renderers.training.run import TrainingProgress, TrainingRun
from renderers.training.scenes import SceneComposer
from renderers.training.sprites import load_sprites
from renderers.training.vqgan_training import VQGANTraining, VQGANTrainingSettings, begin_at_zero, train_vqgan

__all__ = ["HELD_OUT_STYLE", "TRAINING_STYLES", "VQGAN_CONFIG", "embedded_vqgan_training", "held_out_pictures"]

SIDE = 64
TRAINING_STYLES = ("noto", "fluent", "twemoji", "openclipart")
HELD_OUT_STYLE = "openmoji"

VQGAN_CONFIG = VQGANConfig(
    embed_dim=8,
    n_embed=2048,
    ddconfig=DDConfig(z_channels=64, resolution=SIDE, ch=16, ch_mult=(1, 2, 4, 4), num_res_blocks=1, norm_groups=1),
)


class ScenePictures:
    """Scenes as a VQGAN's training pictures: half of them from any sprite, clip art included."""

    def __init__(self, composer: SceneComposer) -> None:
        self.composer = composer

    def batch(self, n: int, seed: int, step: int, worker: int) -> Tensor:
        """`n` pictures `(n, 3, side, side)`."""
        anything = self.composer.compose(n // 2, seed, step, f"anything {worker}", any_sprite=True).pictures
        return torch.cat([anything, self.composer.compose(n - n // 2, seed, step, f"concepts {worker}").pictures])


def held_out_pictures(sprites: Path, n: int) -> Tensor:
    """`n` scenes `(n, 3, 64, 64)` of the style that no training sees."""
    held_out = SceneComposer(load_sprites(sprites).of_styles(HELD_OUT_STYLE), load_concepts(), side=SIDE)
    return held_out.compose(n, 0, 0, "held out", kind="one").pictures


def embedded_vqgan_training(sprites: Path, settings: VQGANTrainingSettings, device: str) -> VQGANTraining:
    """The embedded VQGAN's training, at its beginning."""
    composer = SceneComposer(load_sprites(sprites).of_styles(*TRAINING_STYLES), load_concepts(), side=SIDE)
    torch.manual_seed(settings.seed)
    model = VQGAN(VQGAN_CONFIG)
    begin_at_zero(model)
    distance = PerceptualDistance(efficientnet_lite0())
    for module in (model, distance):
        module.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return VQGANTraining(model, settings, ScenePictures(composer), distance)


def _told(every: int = 50) -> Callable[[TrainingProgress], None]:
    began = time.monotonic()

    def tell(progress: TrainingProgress) -> None:
        if progress.step % every == 0 or progress.step == progress.steps:
            numbers = "  ".join(f"{name} {value:.4g}" for name, value in progress.metrics.items())
            print(f"{progress.step}/{progress.steps}  {time.monotonic() - began:.0f} s  {numbers}", flush=True)

    return tell


def main() -> None:
    """Train from a shell, where only torch is."""
    parser = argparse.ArgumentParser(description="Train the embedded pair (see the module's docstring).")
    parser.add_argument("what", choices=["vqgan", "perceptor"])
    parser.add_argument("sprites", type=Path, help="folder of `nightreel models sprites`")
    parser.add_argument("folder", type=Path, help="where checkpoints and results go")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    changes = {"steps": arguments.steps} if arguments.steps else {}
    if arguments.what == "vqgan":
        settings = VQGANTrainingSettings(batch=12, **changes)
        training = embedded_vqgan_training(arguments.sprites, settings, arguments.device)
        run = TrainingRun(arguments.folder, settings)
        train_vqgan(training, run, held_out=held_out_pictures(arguments.sprites, 100), on_progress=_told())


if __name__ == "__main__":
    main()
