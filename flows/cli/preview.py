"""`nightreel preview`: a prompt, or a video of a manifest, in this process, without Prefect and without Ray."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Annotated, Any, Optional

from cyclopts import Parameter
from cyclopts.validators import Number

from flows.cli.errors import DONE
from flows.cli.previewing import Wanted, watched, write_preview
from manifests.schema import ManifestRow
from renderers.errors import BadInput

__all__ = ["preview"]

# The row's columns that make sense for one picture; their types, limits and texts come from the schema.
COLUMNS = ("seed", "model", "preset", "width", "height", "steps_first", "init", "init_image", "size_from", "upscale")

Share = Annotated[float, Parameter(validator=Number(gt=0, lte=1))]


def _parameter(keyword: str, annotation: Any, text: str, *, default: Any = None, **how: Any) -> inspect.Parameter:
    """A keyword-only option as cyclopts reads it."""
    annotated = Annotated[annotation, Parameter(help=text, **how)]
    return inspect.Parameter(keyword, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotated)


def _options() -> list[inspect.Parameter]:
    """One option per column, unset unless given, so that the model's own defaults apply."""
    options = []
    for name in COLUMNS:
        field = ManifestRow.model_fields[name]
        text = f"{field.description} (default: the model's, or the manifest's)"
        options.append(_parameter(name, Optional[field.annotation], text))  # noqa: UP045 - a type known at run time only
    return options


def _preview(
    prompt: str,
    *,
    output: Path,
    video: str | None = None,
    frames: str | None = None,
    scale: float = 1.0,
    steps: float = 1.0,
    motion: bool = False,
    watch: bool = False,
    set_: tuple[str, ...] = (),
    json: bool = False,
    **columns: Any,
) -> int:
    """Render one prompt, or a video of a manifest, in this process: into a PNG, or into a video (.mp4, .webm, .gif, or
    a .zip of PNGs), which has all frames, or those of --frames.

    Example: nightreel preview "a red apple | white:-0.5" -o apple.png --seed 3 --set cutouts.number=16
    Example: nightreel preview night.yaml --video reef -o reef.mp4 --frames 40-64 --scale 0.5 --steps 0.5
    Example: nightreel preview night.yaml --video reef -o moves.mp4 --motion --watch

    What is tried out begins with the first of its frames, and its frames follow each other as a chain: those of a
    render differ where more came before.

    With --motion no model is loaded: a test card, or the row's init_image, moves as the camera does, with the scenes,
    the prompts' weights and a strip for each setting that changes in time below it. It takes seconds.
    """
    given: dict[str, Any] = {name: value for name, value in columns.items() if value is not None}
    wanted = Wanted(prompt, output, given, set_, video, frames, scale, steps, motion=motion, json=json)
    if not watch:
        write_preview(wanted)
        return DONE
    if not wanted.is_manifest or "://" in prompt:
        raise BadInput("--watch looks at a file of this machine: give a manifest, such as night.yaml")
    watched(wanted)
    return DONE


def preview(prompt: str, **options: Any) -> int:
    return _preview(prompt, **options)


preview.__doc__ = _preview.__doc__
_prompt = Annotated[
    str,
    Parameter(help="what to draw: text:weight:stop | text:weight; or a manifest (.yaml, .csv, .jsonl, .parquet)"),
]
_others = "any other column, as column=value, nested ones with dots"
preview.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # PEP 362's, which typeshed does not know
    [
        inspect.Parameter("prompt", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=_prompt),
        _parameter("output", Path, "the file to write", default=inspect.Parameter.empty, name=["--output", "-o"]),
        _parameter("video", Optional[str], "which video of the manifest, by its video_id"),  # noqa: UP045
        _parameter("frames", Optional[str], "one range of its frames, such as 40-64, counted from 0"),  # noqa: UP045
        _parameter("scale", Share, "the share of width and height that is rendered", default=1.0),
        _parameter("steps", Share, "the share of the steps that is taken", default=1.0),
        _parameter("motion", bool, "camera, scenes and schedules alone, without a model", default=False, negative=""),
        _parameter("watch", bool, "again whenever the manifest's file changes", default=False, negative=""),
        *_options(),
        _parameter("set_", tuple[str, ...], _others, default=(), name="--set", negative=""),
        _parameter("json", bool, "the result as JSON on stdout, no progress bar", default=False, negative=""),
    ]
)
