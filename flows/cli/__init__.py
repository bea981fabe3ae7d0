"""The command line `nightreel`: one module per group of commands, errors and exit codes in `errors`.

A command's module is imported when that command is called, and nothing of ours for `--help` and `--version`: each takes
a second or two of imports, which whoever asks for another one should not wait for
(tests/unit/flows/cli/test_imports.py says what a command may import).
"""

from __future__ import annotations

import signal
import sys
from importlib.metadata import version

import cyclopts

__all__ = ["COMMANDS", "app", "main", "run"]

BAD_INPUT = 2  # as `ExitCode.BAD_INPUT`

#: The commands, each with the place that it is imported from when it is called, and the line of `nightreel --help`,
#: which is the first of its own help (a test holds them together).
COMMANDS = {
    "preview": (
        "flows.cli.preview:preview",
        "Render one prompt, or a video of a manifest, in this process: into a PNG, or into a video (.mp4, .webm, .gif, "
        "or a .zip of PNGs), which has all frames, or those of --frames.",
    ),
    "manifest": (
        "flows.cli.manifest:app",
        "Author, check and look at manifests. Example: nightreel manifest build night.yaml -o night.parquet",
    ),
    "import": (
        "flows.cli.importing:import_",
        "Import another tool's settings: a row of YAML that `manifest build` reads.",
    ),
    "plan": (
        "flows.cli.plan:plan",
        "Say what a render would do, without doing it. Example: nightreel plan night.parquet --output s3://bucket/night",
    ),
    "render": (
        "flows.cli.render:render",
        "Render a manifest into videos. Example: nightreel render night.parquet --output s3://bucket/night",
    ),
    "rerun": (
        "flows.cli.rerun:rerun",
        "Render frames of one video again and publish it. Example: nightreel rerun out --video reef --frames 120-180",
    ),
    "remaster": (
        "flows.cli.remaster:remaster",
        "Make a video again from its stored frames. Example: nightreel remaster out --video reef --set codec=h265",
    ),
    "status": (
        "flows.cli.status:status",
        "Say which videos are done, missing frames, or failed, and why. Example: nightreel status s3://bucket/night",
    ),
    "watch": (
        "flows.cli.watch:watch",
        "Serve a live page of an output until Ctrl-C: what is drawn now, on which worker, when it ends, what failed.",
    ),
    "prune": (
        "flows.cli.prune:prune",
        "Say what nothing in an output needs any more, and delete it if asked to. Example: nightreel prune "
        "s3://bucket/night",
    ),
    "up": (
        "flows.cli.up:up",
        "Start Prefect's server with its UI, Ray and the deployments on this machine, and stay until Ctrl-C.",
    ),
    "deploy": (
        "flows.cli.deploy:deploy",
        "Put work pool, deployments and automations on the server of PREFECT_API_URL, and check that server.",
    ),
    "models": ("flows.cli.models:app", "The registry of models. Example: nightreel models list"),
    "finetune": (
        "flows.cli.finetune:finetune",
        "Fine-tune a model's VQGAN on your pictures. Example: nightreel finetune pictures/ --from embedded -o mine",
    ),
    "doctor": (
        "flows.cli.doctor:doctor",
        "Check this installation, and the storage, server and cluster that it uses. Example: nightreel doctor --repair",
    ),
}


def _application(*, summaries: bool) -> cyclopts.App:
    """All commands, none imported. With `summaries` their lines are known before they are, and in place of their whole
    help: for `nightreel --help` alone."""
    made = cyclopts.App(
        name="nightreel",
        help="""Render text prompts into pictures and videos, in bulk, with CLIP and VQGAN.

    Example: nightreel preview "a red apple" -o apple.png

    Exit codes: 0 done, 1 some frames or videos are missing, 2 bad input, 3 cluster, storage or models not usable.
    Every command takes --debug for stack traces.""",
        version=lambda: version("nightreel"),
        help_format="plaintext",
    )
    for name, (place, summary) in COMMANDS.items():
        made.command(place, name=name, help=summary if summaries else None)
    return made


app = _application(summaries=False)


def main() -> None:
    """Entry point of the console script."""
    # as Ctrl-C: the actors stop, and the Prefect server that we started ends with us instead of staying behind
    signal.signal(signal.SIGTERM, _interrupt)
    if not _is_overview(sys.argv[1:]):
        from infra.environment import exempt_loopback  # pydantic takes its part of a second
        from infra.masked_logs import mask_logs

        exempt_loopback()
        mask_logs()
    sys.exit(run(sys.argv[1:]))


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _is_overview(arguments: list[str]) -> bool:
    """Whether these ask for what there is at all, and for no command."""
    return all(argument in ("--help", "-h", "--version", "--debug") for argument in arguments)


def _mistake(error: cyclopts.CycloptsError) -> str:
    """The words of `error`, with a type's own sentence in place of all that pydantic says about it."""
    from pydantic import ValidationError

    text, cause = str(error), error.__cause__
    if not isinstance(cause, ValidationError):
        return text
    return text.replace(str(cause), "; ".join(it["msg"].removeprefix("Value error, ") for it in cause.errors()))


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code; errors go to stderr."""
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    try:
        if _is_overview(arguments):
            command, bound, _ = _application(summaries=True).parse_args(arguments, exit_on_error=False)
        else:
            from infra.environment import widen_terminal

            widen_terminal()
            command, bound, _ = app.parse_args(arguments, exit_on_error=False, print_error=False)
    except cyclopts.CycloptsError as error:
        from flows.cli.output import problems

        words, _, _ = app.parse_commands(arguments)  # those that name the command
        problems([f"{' '.join(_mistake(error).split())} (see {' '.join(['nightreel', *words])} --help)"])
        return BAD_INPUT
    try:
        return int(command(*bound.args, **bound.kwargs) or 0)
    except KeyboardInterrupt:
        from flows.cli.output import problems

        problems(["stopped; what was committed stays, and the next run goes on from there"])
        return 130
    except BrokenPipeError:
        return 0  # whoever read our output has had enough
    except Exception as error:
        from flows.cli.errors import explain

        if debug:
            import traceback

            from flows.cli.output import fit

            print(fit("".join(traceback.format_exception(error))), file=sys.stderr, end="")
        return explain(error)
