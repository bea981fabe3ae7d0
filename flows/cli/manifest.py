"""`nightreel manifest`: author, check, look at manifests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import cyclopts
from cyclopts import Parameter
from cyclopts.validators import Number

from flows.cli.errors import BAD_INPUT, DONE, INCOMPLETE
from flows.cli.options import with_help
from flows.cli.output import print_json, print_table, problems, say
from flows.job.row_warnings import RowWarnings
from flows.orchestration.forms.fields import Manifest
from flows.report.wording import plural
from infra.settings import load_settings
from infra.storage.storage import Storage, is_key, manifest_files, read_uri
from manifests.building import build, kind_of, write_parquet
from manifests.masking import address_without_secrets
from manifests.problems import Listed
from manifests.reading import count_rows, read_rows
from manifests.results import GoodRow, RowResult
from manifests.schema import ManifestRow, format_prompts, with_addresses
from manifests.schema.texts import short
from renderers.errors import BadInput
from renderers.frame_plan.resolution import resolve
from renderers.registry import Registry

__all__ = ["app"]

Json = Annotated[bool, Parameter(negative="", help="as JSON on stdout")]
Strict = Annotated[bool, Parameter(negative="", help="do nothing if any row is bad")]

app = cyclopts.App(
    name="manifest",
    help="Author, check and look at manifests. Example: nightreel manifest build night.yaml -o night.parquet",
    help_format="plaintext",
)


@app.command(name="build")
def build_(
    source: str,
    *,
    output: Annotated[str, Parameter(name=["--output", "-o"], help="the Parquet file to write; a path or a URI")],
    strict: Strict = False,
    json: Json = False,
) -> int:
    """Build a Parquet manifest from CSV, YAML or JSONL. Example: nightreel manifest build night.yaml -o night.parquet

    Args:
        source: the file to read; its ending says what it is (.csv, .yaml, .yml, .jsonl).
    """
    import io

    folder, slash, name = output.rpartition("/")
    if not name or folder.endswith(":/"):
        raise BadInput(f"output '{output}' names no file: give one, such as '{output.rstrip('/')}/night.parquet'")
    if not is_key(name):
        raise BadInput(f"output '{short(output)}' can't be the name of a file: give one without control characters")
    if output == source:
        raise BadInput(f"output '{output}' is the source itself: name another file, such as one that ends in .parquet")
    settings = load_settings()
    results = build(io.BytesIO(read_uri(source, settings.reading())), kind_of(source), source)
    target, warnings = io.BytesIO(), RowWarnings(Registry(settings.models_folder))
    result = write_parquet(_looked_at(results, warnings), target)
    problems(result.problems.lines())
    problems(warnings.found.lines())
    written = result.rows > 0 and not (strict and result.problems)
    if written:
        Storage(folder or slash or ".").put(name, target.getvalue(), existing="replace")
    if json:
        print_json(
            {
                "output": output if written else None,
                "rows": result.rows,
                "problems": [p.to_dict() for p in result.problems],
                "problem_kinds": result.problems.kinds,
                "warnings": warnings.found.first,
                "warning_kinds": warnings.found.kinds,
            }
        )
    elif written:
        bad = f", {plural(result.problems.total, 'problem')}" if result.problems else ""
        say(f"{output}: {plural(result.rows, 'row')}{bad}")
    if not written:
        problems(
            [f"nothing written: {'no good row' if not result.rows else 'not all rows are good, and --strict is given'}"]
        )
        return BAD_INPUT
    return INCOMPLETE if result.problems else DONE


@app.command
@with_help
def validate(manifest: Manifest, *, json: Json = False) -> int:
    """Check every row of a manifest. Example: nightreel manifest validate s3://bucket/night/

    The first hundred problems are printed whole, and all of them counted by kind. What is good and may still surprise
    is a warning: ids that some stores can't hold beside each other, prompts that are longer than their model reads, or
    have signs of another tool's spelling. `build`, `plan` and `render` print the same warnings, on stderr.
    """
    good, listed, settings = 0, Listed(), load_settings()
    warnings = RowWarnings(Registry(settings.models_folder))
    for result in read_rows(manifest_files(manifest, settings.reading())):
        if isinstance(result, GoodRow):
            good += 1
            warnings.look(result)
        elif listed.add(result) and not json:
            problems([str(result)])
    found = listed.problems
    if json:
        print_json(
            {
                "rows": good + found.rows, "good": good, "bad": found.rows,
                "problems": [problem.to_dict() for problem in found], "problem_kinds": found.kinds,
                "warnings": warnings.found.first, "warning_kinds": warnings.found.kinds,
            }
        )  # fmt: skip
    else:
        problems([found.counts] if found.unlisted else [])
        say(f"{address_without_secrets(manifest)}: {good} good rows, {found.rows} bad")
    problems(warnings.found.lines())
    return BAD_INPUT if found else DONE


def _looked_at(results: Iterable[RowResult], warnings: RowWarnings) -> Iterator[RowResult]:
    """`results` as they are, the good rows of which `warnings` looks at."""
    for result in results:
        if isinstance(result, GoodRow):
            warnings.look(result)
        yield result


@app.command
@with_help
def show(
    manifest: Manifest,
    *,
    rows: Annotated[int, Parameter(validator=Number(gte=1), help="how many rows to show")] = 20,
    json: Json = False,
) -> int:
    """Look at a manifest: its first rows with all settings resolved. Example: nightreel manifest show night.parquet"""
    files = manifest_files(manifest, load_settings().reading())
    shown: list[ManifestRow] = []
    listed = Listed()
    for result in read_rows(files):
        if len(shown) == rows:
            break
        if isinstance(result, GoodRow):
            shown.append(result.row)
        elif listed.add(result):
            problems([str(result)])
    problems([listed.problems.counts] if listed.problems.unlisted else [])
    if json:
        rows_shown = (with_addresses(row, address_without_secrets) for row in shown)
        print_json([row.model_dump(mode="json", exclude_unset=True) for row in rows_shown])
        return DONE
    registry, table = Registry(load_settings().models_folder), []
    for row in shown:
        resolved = resolve(row, registry.entry(row.model))
        table.append(
            (
                row.video_id,
                resolved.frames,
                f"{resolved.width}x{resolved.height}",
                resolved.model,
                f"{resolved.steps_first}/{resolved.steps}",
                resolved.seed,
                resolved.format,
                format_prompts(resolved.scenes),
            )
        )
    print_table(("video", "frames", "size", "model", "steps", "seed", "format", "prompt"), table)
    total = count_rows(files)
    say(f"{len(shown)} of {plural(total, 'row')} of {Path(address_without_secrets(manifest)).name}")
    return DONE
