"""`nightreel models sprites`: the pictures that the embedded models are made from."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import platformdirs
from cyclopts import Parameter
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from flows.cli.output import print_json, print_table, stderr

__all__ = ["sprites", "sprites_folder"]


def sprites_folder() -> Path:
    """Where sprites are kept unless a command is told otherwise."""
    return platformdirs.user_cache_path("nightreel") / "sprites"


def sprites(
    *,
    folder: Annotated[Path | None, Parameter(help="where to keep them (default: the user's cache folder)")] = None,
    json: Annotated[bool, Parameter(negative="", help="the result as JSON on stdout, no progress")] = False,
) -> int:
    """Fetch openly licensed emoji and clip art (npm, Debian) and draw them, for training and evaluation.

    Example: nightreel models sprites --folder sprites
    """
    from renderers.training.sprites import STYLES, SpriteProgress, make_sprites

    target = folder or sprites_folder()
    bar = Progress(
        SpinnerColumn(), TextColumn("{task.description}"), TextColumn("{task.fields[told]}"), TimeElapsedColumn(),
        console=stderr, disable=json,
    )  # fmt: skip
    with bar:
        line = bar.add_task("fetching packages", total=None, told="")

        def on_progress(progress: SpriteProgress) -> None:
            bar.update(
                line,
                description=f"drawing {progress.style}",
                told=f"{progress.drawn} drawn, {progress.skipped} skipped",
            )

        made = make_sprites(target, on_progress=on_progress)
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
    print(f"{target}: {len(made)} sprites of {len({name for name in made.concept if name})} concepts")
    return 0
