"""`nightreel finetune`: a registry's model made better at pictures of one's own."""

from __future__ import annotations

import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from pydantic import Field
from rich.progress import BarColumn, MofNCompleteColumn, Progress

from flows.cli.errors import DONE
from flows.cli.options import with_help
from flows.cli.output import Words, duration, fit, print_json, problems, say, stderr
from flows.job.finetuning import begin, check, figures, finetune_job, handing_over, publish, published
from flows.local.own_server import prefect_server
from flows.orchestration.forms import fields as form
from flows.report.wording import first_of
from infra.environment import prepare_prefect
from infra.settings import load_settings
from renderers.registry import Registry
from renderers.training.finetune_job import FinetuneJob, check_job, finished

if TYPE_CHECKING:
    from infra.ray.finetuning import RayTraining

__all__ = ["finetune"]

STOPPED = 130
STARTING = "starting Prefect and Ray"


@with_help
def finetune(
    *images: Annotated[str, Field(description=form.IMAGES)],
    output: Annotated[form.ModelFolder, Parameter(name=["--output", "-o"])],
    from_: Annotated[form.BaseName, Parameter(name="--from")] = "embedded",
    name: form.ModelName = "",
    steps: form.Steps = None,
    batch: form.Batch = None,
    lr: form.LearningRate = None,
    side: form.Side = None,
    seed: form.CropSeed = None,
    mirror: form.Mirror = None,
    calm: form.Calm = None,
    workers: form.Workers = None,
    replace: Annotated[form.ReplaceModel, Parameter(negative="")] = False,
    json: Annotated[bool, Parameter(negative="", help="the result as JSON on stdout, no progress bar")] = False,
) -> int:
    """Fine-tune a model's VQGAN on your pictures. Example: nightreel finetune pictures/ --from embedded -o mine

    Some of the pictures are held out, to measure the gain on. A training that was stopped or killed goes on when the
    same command is given again. At the end the model is registered: a manifest's row names it in `model`.
    """
    settings = load_settings()
    registry = Registry(settings.models_folder)
    job = finetune_job(
        images,
        output,
        base=from_,
        name=name,
        steps=steps,
        batch=batch,
        lr=lr,
        side=side,
        seed=seed,
        mirror=mirror,
        calm=calm,
    )
    done = finished(job)
    if done is not None and published(job, registry) is not None:
        return _conclude(job, json, note="nothing to do: ")
    check(job, registry, source=settings.models_source, replace=replace)
    if done is not None:  # killed between the last step and the registry
        publish(job, registry, replace=replace)
        return _conclude(job, json)
    _, files = check_job(job, registry)
    problems(first_of(f"left out: '{path}' can't be read ({why})" for path, why in files.broken))
    training = begin(job, settings, workers=workers)  # comes up while Prefect does
    try:
        state = _run_flow(job, training, workers, replace, quiet_progress=json)
    except KeyboardInterrupt:
        training.stop()
        last = training.progress()
        where = f" before step {last['step'] + 1} of {last['steps']}" if last else ""
        problems([f"stopped{where}; the same command goes on from the last checkpoint in '{output}'"])
        return STOPPED
    finally:
        training.close()
    if state.is_failed() or state.is_crashed():
        error = state.result(raise_on_failure=False)
        raise error if isinstance(error, BaseException) else RuntimeError(str(state.message))
    return _conclude(job, json)


def _run_flow(
    job: FinetuneJob, training: RayTraining, workers: int | None, replace: bool, *, quiet_progress: bool
) -> Any:
    prepare_prefect(quiet=True)
    with _watching(training, disable=quiet_progress):
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        with prefect_server("flows.finetune"):
            from flows.finetune import finetune as finetune_flow  # Prefect takes seconds to import

            with handing_over(training):
                return finetune_flow(
                    [str(place) for place in job.images], str(job.folder), job.base, job.name, job.steps, job.batch,
                    job.lr, job.side, job.seed, job.mirror, job.calm, workers, replace, return_state=True,
                )  # fmt: skip


def _conclude(job: FinetuneJob, json: bool, *, note: str = "") -> int:
    report = finished(job)
    assert report is not None
    if json:
        print_json({**report, "model": report["name"], "folder": str(job.folder), "trained": not note})
        return DONE
    gain = report["psnr_after"] - report["psnr_before"]
    say(
        f"{note}'{report['name']}' is '{report['base']}' fine-tuned in {report['steps']} steps, "
        f"{duration(report['seconds'])}: PSNR of {len(report['held_out_pictures'])} held-out pictures "
        f"{report['psnr_before']:.2f} dB before, {report['psnr_after']:.2f} dB after ({gain:+.2f})"
    )
    if report["settings"].get("calm") and "redrawn_after" in report:
        before, after = (report[f"redrawn_{when}"]["moved"] for when in ("before", "after"))
        say(
            f"a moved picture of its own, encoded and drawn again, changes by {after:.1f} levels of 255, "
            f"{before:.1f} before"
        )
    if gain <= 0:
        problems(["no gain on held-out pictures: try more --steps, a smaller --lr, or more pictures"])
    say(f"before and after: {job.folder / 'before-after.png'}")
    say(f'try it: nightreel preview "a red apple" --model {report["name"]} -o apple.png')
    return DONE


@contextmanager
def _watching(training: RayTraining, *, disable: bool) -> Iterator[None]:
    """A bar with loss and time left, until the block ends. On a pipe: one line every half minute."""
    if disable:
        yield
        return
    over = threading.Event()
    bar = Progress(
        Words("{task.description}"), BarColumn(), MofNCompleteColumn(), Words("{task.fields[detail]}"),
        console=stderr, disable=not stderr.is_terminal,
    )  # fmt: skip
    line = bar.add_task(STARTING, total=None, detail="")

    def show() -> None:
        began, said = time.monotonic(), time.monotonic()
        while not over.wait(0.5):
            now = training.progress()
            if now is None:
                bar.update(line, description=training.waiting or STARTING)
            else:
                step, steps = now["step"], now["steps"]
                bar.update(line, description="fine-tuning", total=steps, completed=step, detail=_detail(now))
            if not stderr.is_terminal and time.monotonic() - said >= 30:
                said = time.monotonic()
                where = f"step {now['step']}/{now['steps']}  {_detail(now)}" if now else training.waiting or STARTING
                print(f"{duration(said - began)}: {fit(where)}", file=sys.stderr, flush=True)

    thread = threading.Thread(target=show, name="progress", daemon=True)
    with bar:
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(timeout=3)


def _detail(now: dict[str, Any]) -> str:
    return "  ".join([*figures(now), f"{duration(now['seconds_left'])} left"])
