"""The command line `nightreel`: one module per group of commands, errors and exit codes in `errors`."""

from __future__ import annotations

import signal
import sys
import traceback
from importlib.metadata import version

import cyclopts
from pydantic import ValidationError

from flows.cli import (
    deploy,
    doctor,
    finetune,
    importing,
    manifest,
    models,
    plan,
    preview,
    prune,
    remaster,
    render,
    rerun,
    status,
    up,
    watch,
)
from flows.cli.errors import BAD_INPUT, explain
from flows.cli.output import fit, problems
from infra.environment import exempt_loopback, widen_terminal
from infra.masked_logs import mask_logs

__all__ = ["app", "main", "run"]

app = cyclopts.App(
    name="nightreel",
    help="""Render text prompts into pictures and videos, in bulk, with CLIP and VQGAN.

    Example: nightreel preview "a red apple" -o apple.png

    Exit codes: 0 done, 1 some frames or videos are missing, 2 bad input, 3 cluster, storage or models not usable.
    Every command takes --debug for stack traces.""",
    version=version("nightreel"),
    help_format="plaintext",
)
app.command(preview.preview)
app.command(manifest.app)
app.command(importing.import_, name="import")
app.command(plan.plan)
app.command(render.render)
app.command(rerun.rerun)
app.command(remaster.remaster)
app.command(status.status)
app.command(watch.watch)
app.command(prune.prune)
app.command(up.up)
app.command(deploy.deploy)
app.command(models.app)
app.command(finetune.finetune)
app.command(doctor.doctor)


def main() -> None:
    """Entry point of the console script."""
    # as Ctrl-C: the actors stop, and the Prefect server that we started ends with us instead of staying behind
    signal.signal(signal.SIGTERM, _interrupt)
    exempt_loopback()
    mask_logs()
    sys.exit(run(sys.argv[1:]))


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _mistake(error: cyclopts.CycloptsError) -> str:
    """The words of `error`, with a type's own sentence in place of all that pydantic says about it."""
    text, cause = str(error), error.__cause__
    return text.replace(str(cause), _sentences(cause)) if isinstance(cause, ValidationError) else text


def _sentences(error: ValidationError) -> str:
    return "; ".join(it["msg"].removeprefix("Value error, ") for it in error.errors())


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code; errors go to stderr."""
    debug = "--debug" in arguments
    widen_terminal()
    arguments = [argument for argument in arguments if argument != "--debug"]
    try:
        command, bound, _ = app.parse_args(arguments, exit_on_error=False, print_error=False)
    except cyclopts.CycloptsError as error:
        words, _, _ = app.parse_commands(arguments)  # those that name the command
        problems([f"{' '.join(_mistake(error).split())} (see {' '.join(['nightreel', *words])} --help)"])
        return BAD_INPUT
    try:
        return int(command(*bound.args, **bound.kwargs) or 0)
    except KeyboardInterrupt:
        problems(["stopped; what was committed stays, and the next run goes on from there"])
        return 130
    except BrokenPipeError:
        return 0  # whoever read our output has had enough
    except Exception as error:
        if debug:
            print(fit("".join(traceback.format_exception(error))), file=sys.stderr, end="")
        return explain(error)
