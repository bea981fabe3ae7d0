"""`nightreel models`: the registry."""

from __future__ import annotations

from typing import Annotated

import cyclopts
from cyclopts import Parameter

from flows.cli import models_eval, models_files, models_training
from flows.cli.output import print_json, print_table, problems
from infra.settings import load_settings
from renderers.errors import ModelFilesBroken
from renderers.registry import ModelEntry, Registry

__all__ = ["app"]

app = cyclopts.App(
    name="models",
    help="""The registry of models. Example: nightreel models list

    Fetched models and models of your own are in the folder that NIGHTREEL_MODELS_FOLDER names.""",
    help_format="plaintext",
)


@app.command(name="list")
def list_(*, json: Annotated[bool, Parameter(negative="", help="as JSON")] = False) -> int:
    """List the models that a manifest row can name. Example: nightreel models list --json"""
    broken: list[ModelFilesBroken] = []
    entries = Registry(load_settings().models_folder).entries(broken.append)
    problems(map(str, broken))
    if json:
        print_json([_described(entry) for entry in entries])
        return 0
    rows = [
        (
            entry.name,
            "yes" if _here(entry) else "to fetch",
            _size(entry),
            f"{entry.defaults.get('width', 512)}x{entry.defaults.get('height', 512)}",
            entry.defaults.get("steps_first", 300),
            entry.licence,
            entry.summary,
        )
        for entry in entries
    ]
    print_table(("name", "here", "size", "default", "steps", "licence", "what it is"), rows)
    return 0


def _here(entry: ModelEntry) -> bool:
    """Whether its VQGAN is; perceptors of open_clip's may still be missing, which is dear to find out."""
    return entry.vqgan.weights_path.is_file()


def _size(entry: ModelEntry) -> str:
    source = entry.vqgan.source
    size = entry.size_bytes or (source.checkpoint.size_bytes if source else None)
    return f"{size / 1e6:.1f} MB" if size else "not stated"


def _described(entry: ModelEntry) -> dict[str, object]:
    return entry.model_dump(mode="json") | {"digest": entry.digest, "here": _here(entry)}


app.command(models_files.fetch)
app.command(models_files.publish)
app.command(models_files.verify)
app.command(models_files.add)
app.command(models_files.add_upscaler)
app.command(models_eval.evaluate, name="eval")
app.command(models_training.sprites)
app.command(models_training.train)
