"""`nightreel models fetch|publish|verify|add`: the files of models, brought, shared, checked, added to the registry."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn, TransferSpeedColumn

from flows.cli.errors import BAD_INPUT, DONE, ENVIRONMENT
from flows.cli.output import Words, print_json, print_table, problems, say, stderr, waiting
from infra.models.downloads import OnProgress
from infra.models.files import OnFile, fetch_model, verify_model
from infra.models.published import publish as publish_model
from infra.settings import load_settings
from infra.storage.storage import Storage
from manifests.schema.finish import UPSCALER_PATTERN
from manifests.schema.texts import plural, short
from renderers.errors import BadInput, ModelFilesBroken
from renderers.registry import Registry
from renderers.registry.upscalers import upscaler_digest
from renderers.user_paths import at_home

__all__ = ["add", "add_upscaler", "fetch", "file_bars", "publish", "verify"]

Json = Annotated[bool, Parameter(negative="", help="as JSON on stdout")]


def fetch(
    *names: str,
    discard: Annotated[
        bool, Parameter(negative="", help="remove a checkpoint once it is converted to safetensors")
    ] = False,
    json: Json = False,
) -> int:
    """Fetch models, check and convert them. Example: nightreel models fetch imagenet-f16-16384

    A download that broke off is resumed. Files that somebody put into the models folder are used as they are, if they
    are the right ones: so a machine without a network learns what to put where, and this command does the rest.

    Args:
        names: models of the registry (see `nightreel models list`).
    """
    registry = Registry(load_settings().models_folder)
    entries = [registry.entry(name) for name in dict.fromkeys(names)]
    if not entries:
        problems(["name the models to fetch; `nightreel models list` shows which there are"])
        return BAD_INPUT
    with file_bars(disable=json) as on_file:
        for entry in entries:
            fetch_model(entry, on_file=on_file, discard=discard)
    if json:
        print_json([{"name": entry.name, "folder": str(registry.folder), "digest": entry.digest} for entry in entries])
    else:
        say(f"ready in '{registry.folder}': {', '.join(entry.name for entry in entries)}")
    return DONE


@contextmanager
def file_bars(*, disable: bool) -> Iterator[OnFile]:
    """A bar per file, on stderr."""
    columns = (Words("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=stderr, disable=disable) as bars:

        def on_file(name: str) -> OnProgress:
            line = bars.add_task(name, total=None)

            def on_progress(done: int, total: int | None) -> None:
                bars.update(line, completed=done, total=total)

            return on_progress

        yield on_file


def publish(*names: str, json: Json = False) -> int:
    """Put models where a cluster's machines fetch them. Example: nightreel models publish imagenet-f16-16384 mine

    That is NIGHTREEL_MODELS_SOURCE, such as s3://bucket/models. Set it where the cluster's workers and runs start, too:
    each machine fetches what it needs from there, once, into NIGHTREEL_MODELS_FOLDER, and checks it.

    Args:
        names: models that are here, whole (see `nightreel models list`, `nightreel models fetch`).
    """
    settings = load_settings()
    if not names or settings.models_source is None:
        problems([
            "name the models to publish; `nightreel models list` shows which there are" if not names
            else "NIGHTREEL_MODELS_SOURCE is not set: name the place, such as s3://bucket/models"
        ])  # fmt: skip
        return BAD_INPUT
    registry, source = Registry(settings.models_folder), Storage(settings.models_source)
    entries = [registry.entry(name) for name in dict.fromkeys(names)]
    source.check()
    with waiting("publishing") as say_file:
        done = [publish_model(registry, entry, source, say_file) for entry in entries]
    if json:
        print_json([{"name": it.name, "digest": it.digest, "files": [vars(file) for file in it.files]} for it in done])
    else:
        for it in done:
            size = sum(file.size for file in it.files) / 1e6
            say(f"published '{it.name}' in '{source.root}': {plural(len(it.files), 'file')}, {size:,.1f} MB")
    return DONE


def verify(*names: str, json: Json = False) -> int:
    """Check the files of models against the registry. Example: nightreel models verify embedded

    Without names: of all models that are here. Exit code 3 if a file is damaged, or one of a named model is missing.

    Args:
        names: models of the registry.
    """
    broken: list[ModelFilesBroken] = []
    registry = Registry(load_settings().models_folder)
    entries = [registry.entry(name) for name in dict.fromkeys(names)] or registry.entries(broken.append)
    found = {entry.name: verify_model(entry) for entry in entries}
    if not names:  # one that was never fetched is no fault
        found = {
            name: checks for name, checks in found.items() if any(check.state != "missing" for check in checks[:2])
        }
    bad = [
        f"{name}: '{check.file}' is {check.state}" + (f": {check.detail}" if check.detail else "")
        for name, checks in found.items()
        for check in checks
        if check.state != "ok" and (check.needed or check.state == "damaged")
    ]
    if json:
        print_json({name: [vars(check) for check in checks] for name, checks in found.items()})
    else:
        rows = [(name, check.state, check.file) for name, checks in found.items() for check in checks]
        print_table(("model", "state", "file"), rows)
    problems([*bad, *map(str, broken)])
    return ENVIRONMENT if bad or broken else DONE


def add(
    name: str,
    *,
    config: Annotated[
        str | None, Parameter(help="taming's YAML; or the name of one that the package has, such as vqgan-f16-16384")
    ] = None,
    weights: Annotated[Path | None, Parameter(help="the checkpoint: a Lightning .ckpt, or safetensors")] = None,
    perceptor: Annotated[
        tuple[str, ...],
        Parameter(
            negative="",
            help="ARCHITECTURE:TAG or ARCHITECTURE:FILE as open_clip knows them, or a folder; several make an ensemble",
        ),
    ] = (),
    from_: Annotated[
        str | None,
        Parameter(name="--from", help="model that gives whatever is not given here: settings, perceptors, ..."),
    ] = None,
    depth: Annotated[
        str | None, Parameter(help="an installed depth loader, for rows with depth.shape model (infra/docs/camera.md)")
    ] = None,
    depth_files: Annotated[Path | None, Parameter(help="the folder of its files, which is copied")] = None,
    summary: Annotated[str | None, Parameter(help="a sentence for `nightreel models list`")] = None,
    licence: Annotated[str | None, Parameter(help="the terms of the weights, for `nightreel models list`")] = None,
    replace: Annotated[bool, Parameter(negative="", help="replace a model of that name")] = False,
    json: Json = False,
) -> int:
    """Add a model of your own. Example: nightreel models add maps --config maps.yaml --weights last.ckpt

    Two perceptors for a VQGAN that is here already:
    nightreel models add duo --from coco-f16-8192 --perceptor ViT-B-32-quickgelu:openai --perceptor RN50:path.pt

    The files are copied into the models folder, and a checkpoint is converted to safetensors without running it.

    Args:
        name: what a manifest's `model` will say.
    """
    from renderers.models.adding import add_model  # torch takes seconds to import

    registry = Registry(load_settings().models_folder)
    entry = add_model(
        registry, name, config=config, weights=weights, perceptors=perceptor, like=from_,
        depth=depth, depth_files=depth_files, summary=summary, licence=licence, replace=replace,
    )  # fmt: skip
    waiting = [check for check in verify_model(entry) if check.state == "missing"]
    if json:
        print_json(entry.model_dump(mode="json") | {"digest": entry.digest, "complete": not waiting})
        return DONE
    say(f"added '{name}' to '{registry.folder}'")
    if waiting:
        say(f"still to fetch: nightreel models fetch {name}")
    else:
        say(f'try it: nightreel preview "a red apple" --model {name} -o apple.png')
    return DONE


def add_upscaler(
    file: Path,
    *,
    name: Annotated[str | None, Parameter(help="what a manifest's finish.upscaler will say; the file's unless given")]
    = None,
    replace: Annotated[bool, Parameter(negative="", help="replace an upscaler of that name")] = False,
    json: Json = False,
) -> int:  # fmt: skip
    """Add a net that enlarges finished frames. Example: nightreel models add-upscaler RealESRGAN_x4plus.safetensors

    Rows use it by finish.upscaler and upscale. It is built by the package spandrel (pip install 'nightreel[upscale]'),
    which knows ESRGAN, Compact, SwinIR and others by their weights, and lies in the models folder as safetensors. No
    checkpoint is run to read it.

    Args:
        file: safetensors, or a checkpoint (.pth).
    """
    from renderers.models.upscaler import add_upscaler as put  # torch takes seconds to import

    registry, chosen = Registry(load_settings().models_folder), name or file.stem
    if not re.fullmatch(UPSCALER_PATTERN, chosen):
        raise BadInput(
            f"'{short(chosen)}' can't name an upscaler: give letters, digits, dots, dashes, at most 64 of them"
        )
    upscaler = put(registry, at_home(str(file)), chosen, replace=replace)
    if json:
        print_json({"name": chosen, "scale": upscaler.scale, "digest": upscaler_digest(registry, chosen)})
    else:
        say(f"added '{chosen}' to '{registry.folder}': it enlarges by {upscaler.scale}")
        say(f"in a row: finish: {{upscaler: {chosen}}}, upscale: {max(2, upscaler.scale)}")
    return DONE
