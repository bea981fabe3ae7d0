"""`nightreel preview`: one prompt, in this process, without Prefect and without Ray."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import yaml
from cyclopts import Parameter
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from flows.api.rendering import Renderer, checked_row, prepare
from flows.cli.output import print_json, problems, say, stderr
from flows.job.row_warnings import prompt_warnings
from manifests.schema import ManifestRow
from renderers.errors import BadInput

if TYPE_CHECKING:
    from renderers.frame_rendering.video import VideoProgress

__all__ = ["preview"]

# The row's columns that make sense for one picture; their types, limits and texts come from the schema.
COLUMNS = ("seed", "model", "width", "height", "steps_first", "init", "init_image", "upscale")


def _parameter(keyword: str, annotation: Any, text: str, *, default: Any = None, **how: Any) -> inspect.Parameter:
    """A keyword-only option as cyclopts reads it."""
    annotated = Annotated[annotation, Parameter(help=text, **how)]
    return inspect.Parameter(keyword, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotated)


def _options() -> list[inspect.Parameter]:
    """One option per column, unset unless given, so that the model's own defaults apply."""
    options = []
    for name in COLUMNS:
        field = ManifestRow.model_fields[name]
        text = f"{field.description} (default: the model's)"
        options.append(_parameter(name, Optional[field.annotation], text))  # noqa: UP045 - a type known at run time only
    return options


def _preview(prompt: str, *, output: Path, set_: tuple[str, ...] = (), json: bool = False, **columns: Any) -> int:
    """Render one prompt into a PNG, in this process.

    Example: nightreel preview "a red apple | white:-0.5" -o apple.png --seed 3 --set cutouts.number=16
    """
    given: dict[str, Any] = {name: value for name, value in columns.items() if value is not None}
    for assignment in set_:
        _assign(given, assignment)
    prepared = prepare(checked_row({"video_id": "preview", "prompt": prompt, **given}))
    plan = prepared.plan
    if output.suffix.lower() != ".png":
        raise BadInput(f"output '{output}': a preview is a PNG; name it '{output.with_suffix('.png')}'")
    if not output.absolute().parent.is_dir():
        raise BadInput(f"output '{output}': there is no folder '{output.absolute().parent}'")
    problems(f"warning: {it}" for it in prompt_warnings(plan.row, plan.entry))

    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("steps  {task.fields[rate]}"),
        TimeRemainingColumn(), console=stderr, transient=False, disable=json,
    )  # fmt: skip
    with bar:
        line = bar.add_task(f"loading {plan.entry.name}", total=plan.row.steps_first, rate="")
        renderer = Renderer(plan.entry.name)
        bar.update(line, description="rendering")
        bar.reset(line)

        def on_step(step: VideoProgress) -> None:
            rate = f"loss {step.loss:.3f}  {step.step / step.seconds:.1f} steps/s"
            bar.update(line, completed=step.step, rate=rate)

        frame = next(renderer.frames(prepared, on_step=on_step))
    output.write_bytes(frame.to_png())
    steps = len(frame.losses)
    result = {
        "output": str(output), "digest": frame.digest, "seed": plan.row.seed, "steps": steps, "loss": frame.loss,
        "seconds": round(frame.seconds, 3),
    }  # fmt: skip
    if json:
        print_json(result)
    else:
        say(f"{output}: loss {frame.loss:.3f} after {steps} steps in {frame.seconds:.1f} s, seed {plan.row.seed}")
    return 0


def _assign(given: dict[str, Any], assignment: str) -> None:
    """Put `cutouts.number=16` into a nested row; values are YAML scalars."""
    path, equals, text = assignment.partition("=")
    if not equals:
        raise BadInput(f"--set '{assignment}': give column=value, such as cutouts.number=16")
    place = given
    *outer, last = path.strip().split(".")
    for key in outer:
        place = place.setdefault(key, {})
        if not isinstance(place, dict):
            raise BadInput(f"--set '{assignment}': '{key}' holds a value, not settings")
    try:
        place[last] = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise BadInput(f"--set '{assignment}': the value is not valid YAML; put quotes around a text") from error


def preview(prompt: str, **options: Any) -> int:
    return _preview(prompt, **options)


preview.__doc__ = _preview.__doc__
_prompt = Annotated[str, Parameter(help="what to draw: text:weight:stop | text:weight")]
_others = "any other column, as column=value, nested ones with dots"
preview.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # PEP 362's, which typeshed does not know
    [
        inspect.Parameter("prompt", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=_prompt),
        _parameter("output", Path, "the PNG to write", default=inspect.Parameter.empty, name=["--output", "-o"]),
        *_options(),
        _parameter("set_", tuple[str, ...], _others, default=(), name="--set", negative=""),
        _parameter("json", bool, "the result as JSON on stdout, no progress bar", default=False, negative=""),
    ]
)
