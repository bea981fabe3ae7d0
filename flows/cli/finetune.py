"""`nightreel finetune`: a registry's model made better at pictures of one's own."""

from __future__ import annotations

import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from flows.cli.errors import DONE
from flows.cli.output import duration, print_json, problems, stderr
from flows.job.finetuning import begin, check, finetune_job, handing_over, publish, published
from flows.local.own_server import prefect_server
from infra.settings import load_settings, prepare_prefect
from renderers.training.finetune_job import FinetuneJob, check_job, finished

if TYPE_CHECKING:
    from infra.ray.training import RayTraining

__all__ = ["finetune"]

STOPPED = 130


def finetune(
    *images: Path,
    output: Annotated[Path, Parameter(name=["--output", "-o"], help="folder for the model and its training")],
    from_: Annotated[str, Parameter(name="--from", help="model of the registry to start from")] = "embedded",
    name: Annotated[str, Parameter(help="what the model is called (default: as the folder)")] = "",
    steps: Annotated[int | None, Parameter(validator=Number(gte=1), help="steps of training (default: 500)")] = None,
    batch: Annotated[
        int | None, Parameter(validator=Number(gte=1), help="pictures per step and worker (default: 4)")
    ] = None,
    lr: Annotated[
        float | None, Parameter(validator=Number(gt=0), help="learning rate (default: by the model's width)")
    ] = None,
    side: Annotated[
        int | None,
        Parameter(validator=Number(gte=8), help="pixels of a training picture, each way (default: the model's)"),
    ] = None,
    seed: Annotated[
        int | None, Parameter(validator=Number(gte=0), help="decides which crops are seen when (default: 0)")
    ] = None,
    mirror: Annotated[bool | None, Parameter(help="mirror pictures now and then (default: yes)")] = None,
    workers: Annotated[
        int | None, Parameter(validator=Number(gte=1), help="workers that train together (default: one per GPU)")
    ] = None,
    replace: Annotated[
        bool, Parameter(negative="", help="take the name even if another model of yours has it")
    ] = False,
    json: Annotated[bool, Parameter(negative="", help="the result as JSON on stdout, no progress bar")] = False,
) -> int:
    """Fine-tune a model's VQGAN on your pictures. Example: nightreel finetune pictures/ --from embedded -o mine

    Some of the pictures are held out, to measure the gain on. A training that was stopped or killed goes on when the
    same command is given again. At the end the model is registered: a manifest's row names it in `model`.

    Args:
        images: folders with pictures (searched to the bottom), or pictures: PNG, JPEG, WebP, GIF.
    """
    settings = load_settings()
    job = finetune_job(
        images, output, base=from_, name=name, steps=steps, batch=batch, lr=lr, side=side, seed=seed, mirror=mirror
    )
    done = finished(job)
    if done is not None and published(job) is not None:
        return _conclude(job, json, note="nothing to do: ")
    check(job, replace=replace)
    if done is not None:  # killed between the last step and the registry
        publish(job, replace=replace)
        return _conclude(job, json)
    _, files = check_job(job)
    problems(f"left out: '{path}' can't be read ({why})" for path, why in files.broken)
    training = begin(job, settings, workers=workers)  # comes up while Prefect does
    try:
        state = _run_flow(job, training, workers, replace, quiet_progress=json)
    except KeyboardInterrupt:
        training.stop()
        told = training.progress()
        where = f" before step {told['step'] + 1} of {told['steps']}" if told else ""
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
                    job.lr, job.side, job.seed, job.mirror, workers, replace, return_state=True,
                )  # fmt: skip


def _conclude(job: FinetuneJob, json: bool, *, note: str = "") -> int:
    report = finished(job)
    assert report is not None
    if json:
        print_json({**report, "model": report["name"], "folder": str(job.folder), "trained": not note})
        return DONE
    gain = report["psnr_after"] - report["psnr_before"]
    print(
        f"{note}'{report['name']}' is '{report['base']}' fine-tuned in {report['steps']} steps, "
        f"{duration(report['seconds'])}: PSNR of {len(report['held_out_pictures'])} held-out pictures "
        f"{report['psnr_before']:.2f} dB before, {report['psnr_after']:.2f} dB after ({gain:+.2f})"
    )
    if gain <= 0:
        problems(["no gain on held-out pictures: try more --steps, a smaller --lr, or more pictures"])
    print(f"before and after: {job.folder / 'before-after.png'}")
    print(f'try it: nightreel preview "a red apple" --model {report["name"]} -o apple.png')
    return DONE


@contextmanager
def _watching(training: RayTraining, *, disable: bool) -> Iterator[None]:
    """A bar with loss and time left, until the block ends. On a pipe: one line every half minute."""
    if disable:
        yield
        return
    over = threading.Event()
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[told]}"),
        console=stderr, disable=not stderr.is_terminal,
    )  # fmt: skip
    line = bar.add_task("starting Prefect and Ray", total=None, told="")

    def show() -> None:
        began, said = time.monotonic(), time.monotonic()
        while not over.wait(0.5):
            now = training.progress()
            if now is not None:
                bar.update(line, description="fine-tuning", total=now["steps"], completed=now["step"], told=_told(now))
            if not stderr.is_terminal and time.monotonic() - said >= 30:
                said = time.monotonic()
                where = f"step {now['step']}/{now['steps']}  {_told(now)}" if now else "starting Prefect and Ray"
                print(f"{duration(said - began)}: {where}", file=sys.stderr, flush=True)

    thread = threading.Thread(target=show, name="progress", daemon=True)
    with bar:
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(timeout=3)


def _told(now: dict[str, Any]) -> str:
    parts = [f"loss {now['loss']:.4f}"] if now.get("loss") is not None else []
    parts += [f"PSNR {now['psnr']:.2f} dB"] if now.get("psnr") is not None else []
    return "  ".join([*parts, f"{duration(now['seconds_left'])} left"])
