"""`nightreel models eval`: how good a model is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import platformdirs
from cyclopts import Parameter
from cyclopts.validators import Number
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn, TimeRemainingColumn

from flows.cli.models_training import sprites_folder
from flows.cli.output import Words, print_json, print_table, say, stderr
from infra.settings import load_settings
from renderers.errors import BadInput
from renderers.registry import Registry

__all__ = ["evaluate"]

MOST_SEEDS = 1000


def _numbers(text: str, option: str) -> tuple[int, ...]:
    try:
        numbers = tuple(dict.fromkeys(int(part) for part in text.split(",")))
    except ValueError as error:
        raise BadInput(f"--{option} '{text}': give whole numbers with commas, such as 0,1,2") from error
    if not all(0 <= number < 2**63 for number in numbers) or len(numbers) > MOST_SEEDS:
        raise BadInput(f"--{option} '{text}': give at most {MOST_SEEDS} seeds from 0 to {2**63 - 1}")
    return numbers


def evaluate(
    model: Annotated[str, Parameter(help="a name of the registry")],
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"], help="folder for the report and the contact sheets")],
    sprites: Annotated[Path | None, Parameter(help="what `nightreel models sprites` made (default: its own)")] = None,
    work: Annotated[Path | None, Parameter(help="folder for pictures and judges (default: the user's cache)")] = None,
    seeds: Annotated[str, Parameter(help="seeds of the model's pictures")] = "0,1,2",
    ablation_seeds: Annotated[str, Parameter(help="seeds of the ablations' pictures")] = "0",
    without_adversary: Annotated[
        Path | None, Parameter(help="folder of a perceptor trained without the adversarial phase: the other ablation")
    ] = None,
    with_adversary: Annotated[
        Path | None, Parameter(help="folder of one trained for as many steps with it, to compare that one with")
    ] = None,
    pixels: Annotated[bool, Parameter(help="whether to render without the VQGAN, too")] = True,
    metrics: Annotated[bool, Parameter(help="whether to measure reconstruction and retrieval, too")] = True,
    which: Annotated[
        Literal["common", "drawn"],
        Parameter(name="--list", help="100 prompts that were chosen, or 100 that were drawn by chance"),
    ] = "common",
    prompts: Annotated[int | None, Parameter(help="only the first so many prompts, to try it out")] = None,
    jobs: Annotated[int, Parameter(name=["--jobs", "-j"], help="processes, one thread each")] = 1,
    judge_steps: Annotated[
        int | None, Parameter(validator=Number(gte=1), help="steps of each stage of the judge's fit, to try it out")
    ] = None,
    json: Annotated[bool, Parameter(negative="", help="the result as JSON on stdout, no progress bar")] = False,
) -> int:
    """Measure a model: pictures of 100 prompts by an independent judge, retrieval, PSNR. Goes on where it was stopped.

    Example: nightreel models eval embedded -o report --jobs 2
    """
    if prompts is not None and prompts < 1:
        raise BadInput(f"--prompts {prompts}: give 1 or more")
    if not 1 <= jobs <= 256:
        raise BadInput(f"--jobs {jobs}: give 1 to 256")
    if output.exists() and not output.is_dir():  # said now, and not after an hour
        raise BadInput(f"output '{output}' is no folder: name one, or a new one")
    chosen, chosen_ablation = _numbers(seeds, "seeds"), _numbers(ablation_seeds, "ablation-seeds")
    entry = Registry(load_settings().models_folder).entry(model)
    bar = Progress(
        Words("{task.description}"), BarColumn(), MofNCompleteColumn(), Words("{task.fields[detail]}"),
        TimeElapsedColumn(), TimeRemainingColumn(), console=stderr, disable=json,
    )  # fmt: skip
    with bar:
        line = bar.add_task("loading", total=None, detail="")
        # torch takes seconds to import: after the checks, so that a mistake is reported at once
        from renderers.evaluation import evaluation
        from renderers.evaluation.judge import JudgeSettings
        from renderers.evaluation.prompts import load_prompts
        from renderers.evaluation.report import recognition_table, summary, write_report

        name = ""

        def on_stage(stage: evaluation.Stage) -> None:
            nonlocal name
            if stage.name != name:
                name = stage.name
                bar.reset(line, description=name, total=stage.total or None)
            bar.update(line, completed=stage.done, total=stage.total or None, detail=stage.detail)

        settings = evaluation.EvaluationSettings(
            seeds=chosen,
            ablation_seeds=chosen_ablation,
            without_adversary=without_adversary,
            with_adversary=with_adversary,
            pixels=pixels,
            which=which,
            prompts=prompts,
            jobs=jobs,
            metrics=metrics,
            judge=JudgeSettings() if judge_steps is None else JudgeSettings(steps_crisp=judge_steps, steps=judge_steps),
        )
        folder = work or platformdirs.user_cache_path("nightreel") / "evaluation"
        found, pictures = evaluation.evaluate(entry, sprites or sprites_folder(), folder, settings, on_stage=on_stage)
        written = write_report(output, found, pictures, load_prompts(which)[:prompts])
    if json:
        print_json({"report": str(written[0]), **summary(found)})
        return 0
    print_table(*recognition_table(found))
    say(f"{written[0]}: the report; {len(written) - 2} contact sheets beside it")
    return 0
