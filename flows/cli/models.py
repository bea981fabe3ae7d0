"""`nightreel models`: the registry."""

from __future__ import annotations

from typing import Annotated

import cyclopts
from cyclopts import Parameter

from flows.cli import models_eval, models_training
from flows.cli.output import print_json, print_table
from renderers.registry import list_models

__all__ = ["app"]

app = cyclopts.App(
    name="models", help="The registry of models. Example: nightreel models list", help_format="plaintext"
)


@app.command(name="list")
def list_(*, json: Annotated[bool, Parameter(negative="", help="as JSON")] = False) -> int:
    """List the models that a manifest row can name. Example: nightreel models list --json"""
    entries = list_models()
    if json:
        print_json([entry.model_dump(mode="json") | {"digest": entry.digest} for entry in entries])
        return 0
    rows = [
        (
            entry.name,
            f"{entry.size_bytes / 1e6:.1f} MB" if entry.size_bytes else "unknown",
            f"{entry.defaults.get('width', 512)}x{entry.defaults.get('height', 512)}",
            entry.defaults.get("steps_first", 300),
            entry.licence,
            entry.summary,
        )
        for entry in entries
    ]
    print_table(("name", "size", "default", "steps", "licence", "what it is"), rows)
    return 0


app.command(models_eval.evaluate, name="eval")
app.command(models_training.sprites)
app.command(models_training.train)
