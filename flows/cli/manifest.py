"""`nightreel manifest`: author, check, look at manifests."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, TypeAlias

import cyclopts
from cyclopts import Parameter
from cyclopts.validators import Number

from flows.cli.curves import curve, sampled
from flows.cli.errors import BAD_INPUT, DONE, INCOMPLETE
from flows.cli.estimate import Estimate
from flows.cli.options import with_help
from flows.cli.output import duration, print_json, print_table, problems, say
from flows.cli.presets import presets as presets_command
from flows.job.lengths import with_lengths
from flows.job.preset_files import PresetFiles
from flows.job.row_warnings import RowWarnings
from flows.job.sounds import MOST_VALUES, Sounds
from flows.orchestration.forms.fields import Manifest
from infra.settings import load_settings
from infra.storage.storage import (
    FilesBeside,
    SourceReader,
    Storage,
    StorageUnavailable,
    absolute_uri,
    folder_of_manifest,
    input_address,
    is_key,
    manifest_files,
    read_uri,
)
from manifests.building import build, kind_of, write_parquet
from manifests.masking import address_without_secrets
from manifests.problems import Listed
from manifests.reading import count_rows, read_rows
from manifests.results import GoodRow, RowResult
from manifests.schema import Keyframes, ManifestRow, schedules, with_addresses
from manifests.schema.audio import all_signals
from manifests.schema.texts import plural, short
from renderers.errors import BadInput
from renderers.frame_plan.resolution import resolve
from renderers.registry import Registry

__all__ = ["app"]

Json = Annotated[bool, Parameter(negative="", help="as JSON on stdout")]
Strict = Annotated[bool, Parameter(negative="", help="do nothing if any row is bad")]

_SHOWN_ROWS = 10  # the first and the last ones, of a dry run

# Of a column: its name, its text, the lowest and the highest value of each part of the video.
Curve: TypeAlias = tuple[str, str, list[tuple[float, float] | None]]

app = cyclopts.App(
    name="manifest",
    help="Author, check and look at manifests. Example: nightreel manifest build night.yaml -o night.parquet",
    help_format="plaintext",
)


@app.command(name="build")
def build_(
    source: str,
    *,
    output: Annotated[
        str | None, Parameter(name=["--output", "-o"], help="the Parquet file to write; a path or a URI")
    ] = None,
    dry_run: Annotated[bool, Parameter(negative="", help="write nothing; say what it would be, and its hours")] = False,
    strict: Strict = False,
    json: Json = False,
) -> int:
    """Build a Parquet manifest from CSV, YAML or JSONL. Example: nightreel manifest build night.yaml -o night.parquet

    With --dry-run the rows are made and checked, and thrown away: how many there are, the first and the last ten, and
    about how long one actor would render them.

    Args:
        source: the file to read; its ending says what it is (.csv, .yaml, .yml, .jsonl).
    """
    settings = load_settings()
    if output is None and not dry_run:
        raise BadInput("no output is named: give one, such as `-o night.parquet`, or --dry-run")
    if output is not None:
        _check_output(output, source)
    policy = settings.reading()
    results = build(io.BytesIO(read_uri(source, policy)), kind_of(source), source, beside=FilesBeside(source, policy))
    reader, beside = SourceReader(policy), absolute_uri(source).rpartition("/")[0]
    results = with_lengths(results, reader, beside)
    registry = Registry(settings.models_folder)
    if dry_run:
        return _dry_run(source, results, registry, PresetFiles(reader, beside), strict=strict, json=json)
    assert output is not None
    folder, slash, name = output.rpartition("/")
    target, warnings = io.BytesIO(), RowWarnings(registry)
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


def _check_output(output: str, source: str) -> None:
    folder, _, name = output.rpartition("/")
    if not name or folder.endswith(":/"):
        raise BadInput(f"output '{output}' names no file: give one, such as '{output.rstrip('/')}/night.parquet'")
    if not is_key(name):
        raise BadInput(f"output '{short(output)}' can't be the name of a file: give one without control characters")
    if output == source:
        raise BadInput(f"output '{output}' is the source itself: name another file, such as one that ends in .parquet")


def _dry_run(
    source: str, results: Iterable[RowResult], registry: Registry, presets: PresetFiles, *, strict: bool, json: bool
) -> int:
    """Say what a source comes to; ends as the build would."""
    listed, warnings, estimate = Listed(), RowWarnings(registry), Estimate(registry, presets)
    first: list[ManifestRow] = []
    last: deque[ManifestRow] = deque(maxlen=_SHOWN_ROWS)
    for result in _looked_at(results, warnings):
        if not isinstance(result, GoodRow):
            listed.add(result)
            continue
        estimate.look(result.row)
        if len(first) < _SHOWN_ROWS:
            first.append(result.row)
        else:
            last.append(result.row)
    found = listed.problems
    problems(found.lines())
    problems(warnings.found.lines())
    if json:
        documents = [
            [with_addresses(row, address_without_secrets).model_dump(mode="json", exclude_unset=True) for row in rows]
            for rows in (first, last)
        ]
        print_json(
            {
                "output": None, "rows": estimate.rows, "frames": estimate.frames,
                "actor_seconds": round(estimate.seconds, 1), "rows_without_estimate": estimate.unknown,
                "first": documents[0], "last": documents[1],
                "problems": [p.to_dict() for p in found], "problem_kinds": found.kinds,
                "warnings": warnings.found.first, "warning_kinds": warnings.found.kinds,
            }
        )  # fmt: skip
    else:
        left_out = estimate.rows - len(first) - len(last)
        between = [("...", plural(left_out, "more row"))] if left_out else []
        shown = [[(row.video_id, row.shown_prompts) for row in rows] for rows in (first, last)]
        print_table(("video", "prompt"), [*shown[0], *between, *shown[1]])
        bad = f", {plural(found.total, 'problem')} in {plural(found.rows, 'row')} besides" if found else ""
        unknown = f"; {plural(estimate.unknown, 'row')} of them not estimated, whose model is not here or can't do it"
        say(
            f"{address_without_secrets(source)}: {plural(estimate.rows, 'row')}, {plural(estimate.frames, 'frame')}"
            f"{bad}; about {duration(estimate.seconds)} of one actor (the registry's figure, not this machine's)"
            f"{unknown if estimate.unknown else ''}"
        )
    if not estimate.rows or (strict and found):
        return BAD_INPUT
    return INCOMPLETE if found else DONE


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
    curves: Annotated[bool, Parameter(negative="", help="draw what changes in time")] = False,
    json: Json = False,
) -> int:
    """Look at a manifest: its first rows with all settings resolved. Example: nightreel manifest show night.parquet

    With --curves each column that changes in time, such as zoom, is drawn below, from the first frame to the last, and
    what is heard in the row's audio; as JSON each row has `curves`, the lowest and the highest value of at most 96
    parts of the video, by column.
    """
    policy = load_settings().reading()
    files, presets = manifest_files(manifest, policy), PresetFiles(SourceReader(policy), folder_of_manifest(manifest))
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
    registry = Registry(load_settings().models_folder)
    sounds, folder = Sounds(SourceReader(policy)), folder_of_manifest(manifest)

    def resolved_of(row: ManifestRow) -> ManifestRow:
        return resolve(presets.filled(row), registry.entry(row.model))

    def curves_of(resolved: ManifestRow) -> list[Curve]:
        """What is drawn of a row; of one whose audio can't be heard that is said instead."""
        if not curves:
            return []
        try:
            there = with_addresses(resolved, lambda address: input_address(address, folder, policy))
            return list(_curves(sounds.heard(there, signals=_drawn_signals(there))[0]))
        except (BadInput, StorageUnavailable) as error:
            problems([str(error)])
            return []

    if json:
        documents = []
        for row in shown:
            without = with_addresses(row, address_without_secrets)
            found = curves_of(resolved_of(row)) if curves else []
            drawn = {"curves": {column: parts for column, _, parts in found}} if curves else {}
            documents.append(without.model_dump(mode="json", exclude_unset=True) | drawn)
        print_json(documents)
        return DONE
    table, drawings = [], []
    for row in shown:
        resolved = resolved_of(row)
        table.append(
            (
                row.video_id,
                resolved.frames,
                f"{resolved.width}x{resolved.height}",
                resolved.model,
                f"{resolved.steps_first}/{resolved.steps}",
                resolved.seed,
                resolved.format,
                resolved.shown_prompts,
            )
        )
        for column, text, parts in curves_of(resolved):
            known = [part for part in parts if part is not None]
            low, high = (f"{it:.6g}" for it in (min(it[0] for it in known), max(it[1] for it in known)))
            drawings.append(
                (row.video_id, "\n".join(filter(None, (column, short(text, 40), f"{low} to {high}"))), curve(parts))
            )
    print_table(("video", "frames", "size", "model", "steps", "seed", "format", "prompt"), table)
    if curves and drawings:
        say("")
        print_table(("video", "what changes", "from the first frame to the last"), drawings)
    elif curves:
        say("nothing changes in time in these rows")
    total = count_rows(files)
    say(f"{len(shown)} of {plural(total, 'row')} of {Path(address_without_secrets(manifest)).name}")
    return DONE


def _drawn_signals(row: ManifestRow) -> tuple[str, ...]:
    """All that is heard in a row's audio, as far as a row may keep it: of a very long one only what it uses."""
    names = all_signals(row)
    return names if len(names) * row.frames <= MOST_VALUES else ()


def _curves(row: ManifestRow) -> Iterator[Curve]:
    """What changes in time in a row: the column, its text, and what it comes to; and what is heard in its audio."""
    if row.frames > 1 and row.heard is not None:
        for name in (it.name for it in row.heard.signals or ()):
            yield f"audio: {name}", "", sampled(Keyframes.parse(name, row.timeline), row.frames)
    for column, keyframes in schedules(row).items():
        if row.frames > 1 and keyframes.constant is None:
            yield column, keyframes.text, sampled(keyframes, row.frames)


app.command(presets_command, name="presets")
