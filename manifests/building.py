"""Build a manifest from what people write: CSV, YAML or JSONL."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, Literal, TextIO, TypeAlias

import pyarrow.parquet as pq

from manifests.checking import VideoIds, check_columns, check_row, drop_unset, nest, not_unicode
from manifests.problems import Listed, Problems
from manifests.results import ManifestError, RowProblem, RowResult
from manifests.schema import ManifestRow, arrow_schema, rows_to_table
from manifests.schema.describe import nested_columns
from manifests.schema.texts import short
from manifests.yaml_source import rows_of_yaml

__all__ = ["BuildResult", "Kind", "build", "kind_of", "write_parquet"]

Kind: TypeAlias = Literal["csv", "yaml", "jsonl"]
_SUFFIXES: dict[str, Kind] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".yaml": "yaml",
    ".yml": "yaml",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}
_GROUP_ROWS = 20_000
_MOST_OF_A_LINE = 16_000_000  # characters of JSON: more than any row that the schema lets through has in practice


@dataclass(frozen=True, slots=True)
class BuildResult:
    """What `write_parquet` did: the number of rows written, and the problems of the rows that were left out."""

    rows: int
    problems: Problems


def kind_of(name: str) -> Kind:
    """The kind of a source by the end of its name; raises ManifestError for an unknown one."""
    suffix = Path(name).suffix.lower()
    if suffix not in _SUFFIXES:
        raise ManifestError(f"{name}: the kind '{suffix}' is unknown; allowed are {', '.join(_SUFFIXES)}")
    return _SUFFIXES[suffix]


def build(source: str | TextIO | BinaryIO, kind: Kind, name: str = "source") -> Iterator[RowResult]:
    """Validate the rows of a source, given as its text or as an open file; `name` is for messages.

    CSV and JSONL stream. Numbers of results are lines of a CSV or JSONL (the header is line 1) and items of YAML.
    Raises ManifestError if the source as a whole can't be read: an unknown CSV column, broken YAML.
    """
    ids = VideoIds()
    if kind == "csv":
        return _from_csv(_lines(source, name), name, ids)
    if kind == "jsonl":
        return _from_jsonl(_lines(source, name), name, ids)
    if kind == "yaml":
        return rows_of_yaml("".join(_lines(source, name)), name, ids)
    raise ManifestError(f"{name}: the kind '{kind}' is unknown; allowed are csv, yaml, jsonl")


def write_parquet(rows: Iterable[RowResult], sink: str | Path | BinaryIO) -> BuildResult:
    """Write the good rows to a Parquet file of `arrow_schema()`, in row groups of 20,000; collect the problems."""
    problems = Listed()
    written = 0
    pending: list[ManifestRow] = []
    with pq.ParquetWriter(sink, arrow_schema(), compression="zstd") as writer:
        for result in rows:
            if isinstance(result, RowProblem):
                problems.add(result)
                continue
            pending.append(result.row)
            if len(pending) == _GROUP_ROWS:
                writer.write_table(rows_to_table(pending))
                written += len(pending)
                pending = []
        if pending:
            writer.write_table(rows_to_table(pending))
    return BuildResult(written + len(pending), problems.problems)


def _lines(source: str | TextIO | BinaryIO, name: str) -> Iterator[str]:
    """The lines of a text or of a file, as UTF-8 with or without a byte order mark.

    Bytes that are no UTF-8 become halves of characters, which cost the row that holds them (checking.py).
    """
    if isinstance(source, str):
        source = io.StringIO(source, newline="")
    for number, line in enumerate(source, start=1):
        if number == 1 and isinstance(line, bytes) and line.startswith((b"\xff\xfe", b"\xfe\xff")):
            raise ManifestError(f"{name}: line 1 is not UTF-8 text, but UTF-16; save the file as UTF-8")
        text = line.decode("utf-8", "surrogateescape") if isinstance(line, bytes) else str(line)
        yield text.removeprefix("\ufeff") if number == 1 else text


# --- CSV --------------------------------------------------------------------------------------------------------------


def _from_csv(lines: Iterator[str], name: str, ids: VideoIds) -> Iterator[RowResult]:
    head = next(lines, "")
    # Spreadsheets of half of Europe write semicolons; a header holds no prompt, so its most frequent sign is the one.
    delimiter = max(",;\t", key=head.count)
    reader = csv.reader(chain([head], lines), delimiter=delimiter, strict=True)
    try:
        header = [column.strip() for column in next(reader, [])]
    except csv.Error as error:
        raise ManifestError(f"{name}: line 1 can't be read as CSV ({error}); check its quotes") from error
    if not any(header):
        raise ManifestError(f"{name}: the first line is empty; it must name the columns, at least video_id and prompt")
    if any(not_unicode(column) for column in header):
        raise ManifestError(f"{name}: line 1 is not UTF-8 text; save the file as UTF-8")
    check_columns(header, name)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:  # the reader goes on with the next line
            yield _no_csv(error, name, line, reader.line_num)
            continue
        if any(cell.strip() for cell in cells):
            yield from _csv_row(header, cells, name, line, ids)


def _no_csv(error: csv.Error, name: str, line: int, last: int) -> RowProblem:
    place = f"line {line} can't" if last <= line else f"lines {line} to {last}, one row by their quotes, can't"
    message = f"{place} be read as CSV ({error})"
    allowed = 'quotes around a whole cell, each within doubled: "a ""red"" apple"'
    return RowProblem(name, line, None, "", "", allowed, message, "line")


def _csv_row(header: list[str], cells: list[str], name: str, line: int, ids: VideoIds) -> list[RowResult]:
    given = {column: cell for column, cell in zip(header, cells, strict=False) if cell.strip()}
    video_id = short(given["video_id"], 128) if "video_id" in given else None
    if len(cells) > len(header):
        extra = cells[len(header)]
        message = f"{len(cells)} cells under {len(header)} columns, the first one too many is '{short(extra)}'"
        allowed = 'a text that holds the separator must stand in quotes: "red, ripe apple"'
        return [RowProblem(name, line, video_id, header[-1], short(extra), allowed, message, "line")]
    values: dict[str, Any] = {}
    for column, cell in given.items():
        nested = column in nested_columns() and cell.lstrip()[:1] in ("[", "{")
        try:
            values[column] = drop_unset(json.loads(cell)) if nested else cell.strip()
        except (ValueError, RecursionError) as error:
            message = f"{column} is not valid JSON ({error})"
            return [RowProblem(name, line, video_id, column, short(cell), "JSON", message, "line")]
    return check_row(nest(values), file=name, number=line, ids=ids, unit="line")


# --- JSONL ------------------------------------------------------------------------------------------------------------


def _from_jsonl(lines: Iterator[str], name: str, ids: VideoIds) -> Iterator[RowResult]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            values = drop_unset(json.loads(_bounded(line)))
        except (ValueError, RecursionError) as error:
            reason = f"not valid JSON ({error})"
        else:
            if isinstance(values, dict):
                yield from check_row(nest(values), file=name, number=number, ids=ids, unit="line")
                continue
            reason = f"a JSON {type(values).__name__}"
        message = f"the line is {reason}"
        yield RowProblem(name, number, None, "", short(line.strip()), "one JSON object per line", message, "line")


def _bounded(line: str) -> str:
    """Raise ValueError for a line longer than any row: JSON takes thirty times its length in memory."""
    if len(line) > _MOST_OF_A_LINE:
        raise ValueError(f"it has {len(line):,} characters, and may have {_MOST_OF_A_LINE:,}")
    return line
