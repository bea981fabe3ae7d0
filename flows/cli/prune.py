"""`nightreel prune`: what an output holds and nothing needs any more."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number
from rich.progress import Progress

from flows.cli.errors import BAD_INPUT, DONE
from flows.cli.options import with_help
from flows.cli.output import print_json, print_table, problems, say, stderr, waiting
from flows.job.output_videos import holds_output, not_an_output
from flows.orchestration.forms.fields import RenderedOutput
from flows.report.wording import first_of
from flows.retention.pruning import Found, look, remove
from flows.retention.superfluous import KINDS, Kind
from infra.settings import load_settings
from infra.storage.storage import Storage
from manifests.schema.texts import plural
from renderers.registry import Registry

__all__ = ["prune"]

MEANING = {
    "failures": "attempts that failed, of frames that are there or are not wanted any more",
    "plans": "plans that another has followed",
    "segments": "encoded ranges of published videos, made of the frames again where a re-run needs them",
    "frames": "frames of plans that another has followed",
    "source": "frames of films that no plan is drawn over any more",
    "pictures": "copies of pictures that no plan names any more",
    "runs": "what earlier runs of a manifest have left of themselves",
}


@with_help
def prune(
    output: RenderedOutput,
    *,
    days: Annotated[int, Parameter(validator=Number(gte=0, lte=36_500), help="what was put since stays")] = 30,
    only: Annotated[
        tuple[Kind, ...],
        Parameter(negative="", show_default=False, help="these kinds and no others: --only segments --only failures"),
    ] = (),
    delete: Annotated[bool, Parameter(negative="", help="delete it; without this nothing is changed")] = False,
    json: Annotated[bool, Parameter(negative="", help="as JSON on stdout")] = False,
) -> int:
    """Say what nothing in an output needs any more, and delete it if asked to. Example: nightreel prune s3://bucket/night

    Published videos, their frames, provenance, latest plans and all decisions
    of re-runs stay, whatever their age. So does everything of a video at which
    a run is at work or whose plan can't be read, and what is not nightreel's.

    `status` says afterwards what it said before. A re-run encodes again the
    ranges whose segments have gone; going back to a row's earlier settings, or
    taking a re-run back, renders again the frames that have gone.
    """
    storage = Storage(output)
    with waiting("looking"):
        found = look(
            storage,
            Registry(load_settings().models_folder),
            datetime.now(UTC) - timedelta(days=days),
            kinds=only or KINDS,
        )
    if not found.superfluous and not found.passed_over and not holds_output(storage):
        problems([not_an_output(storage)])
        return BAD_INPUT
    if delete:
        with Progress(console=stderr, transient=True) as bar:
            task = bar.add_task("deleting", total=len(found.superfluous))
            remove(storage, found.superfluous, lambda _: bar.advance(task))
    if json:
        print_json(_document(output, found, deleted=delete))
        return DONE
    problems(first_of(f"{name} was passed over: {reason}" for name, reason in found.passed_over))
    rows = [(kind, f"{count:,}", f"{size:,}", MEANING[kind]) for kind, count, size in _counts(found) if count]
    if rows:
        print_table(("kind", "objects", "bytes", "what they are"), rows)
    total = plural(len(found.superfluous), "object")
    size = sum(it.bytes for it in found.superfluous)
    if delete:
        say(f"{total} deleted, {size:,} bytes")
    elif found.superfluous:
        say(f"{total} could be deleted, {size:,} bytes: give --delete to do it")
    else:
        say(f"nothing that was put more than {plural(days, 'day')} ago can be deleted")
    return DONE


def _counts(found: Found) -> list[tuple[Kind, int, int]]:
    sizes = {kind: [it.bytes for it in found.superfluous if it.kind == kind] for kind in KINDS}
    return [(kind, len(each), sum(each)) for kind, each in sizes.items()]


def _document(output: str, found: Found, *, deleted: bool) -> dict[str, object]:
    return {
        "output": output,
        "deleted": deleted,
        "kinds": {kind: {"objects": count, "bytes": size} for kind, count, size in _counts(found)},
        "keys": [it.key for it in found.superfluous],
        "passed_over": [{"name": name, "reason": reason} for name, reason in found.passed_over],
    }
