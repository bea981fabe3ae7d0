"""Build a manifest from what people write: CSV, YAML or JSONL."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, Literal, TextIO, TypeAlias

import pyarrow.parquet as pq
import yaml

from manifests.checking import VideoIds, check_columns, check_row, drop_unset, nest
from manifests.expanding import expand
from manifests.results import ManifestError, RowProblem, RowResult
from manifests.schema import ManifestRow, arrow_schema, rows_to_table
from manifests.schema.describe import known_columns, nested_columns
from manifests.schema.texts import did_you_mean, short

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
_MAX_NODES = 50_000_000  # a YAML of 400 bytes can unfold to billions of values


@dataclass(frozen=True, slots=True)
class BuildResult:
    """What `write_parquet` did: the number of rows written, and the problems of the rows that were left out."""

    rows: int
    problems: tuple[RowProblem, ...]


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
        return _from_yaml("".join(_lines(source, name)), name, ids)
    raise ManifestError(f"{name}: the kind '{kind}' is unknown; allowed are csv, yaml, jsonl")


def write_parquet(rows: Iterable[RowResult], sink: str | Path | BinaryIO) -> BuildResult:
    """Write the good rows to a Parquet file of `arrow_schema()`, in row groups of 20,000; collect the problems."""
    problems: list[RowProblem] = []
    written = 0
    pending: list[ManifestRow] = []
    with pq.ParquetWriter(sink, arrow_schema(), compression="zstd") as writer:
        for result in rows:
            if isinstance(result, RowProblem):
                problems.append(result)
                continue
            pending.append(result.row)
            if len(pending) == _GROUP_ROWS:
                writer.write_table(rows_to_table(pending))
                written += len(pending)
                pending = []
        if pending:
            writer.write_table(rows_to_table(pending))
    return BuildResult(written + len(pending), tuple(problems))


def _lines(source: str | TextIO | BinaryIO, name: str) -> Iterator[str]:
    """The lines of a text or of a file, as UTF-8 with or without a byte order mark."""
    if isinstance(source, str):
        source = io.StringIO(source, newline="")
    for number, line in enumerate(source, start=1):
        try:
            text = line.decode("utf-8") if isinstance(line, bytes) else str(line)
        except UnicodeDecodeError as error:
            raise ManifestError(f"{name}: line {number} is not UTF-8 text; save the file as UTF-8") from error
        yield text.removeprefix("\ufeff") if number == 1 else text


# --- CSV --------------------------------------------------------------------------------------------------------------


def _from_csv(lines: Iterator[str], name: str, ids: VideoIds) -> Iterator[RowResult]:
    head = next(lines, "")
    # Spreadsheets of half of Europe write semicolons; a header holds no prompt, so its most frequent sign is the one.
    delimiter = max(",;\t", key=head.count)
    reader = csv.reader(chain([head], lines), delimiter=delimiter, strict=True)
    try:
        header = [column.strip() for column in next(reader, [])]
        if not any(header):
            raise ManifestError(
                f"{name}: the first line is empty; it must name the columns, at least video_id and prompt"
            )
        check_columns(header, name)
        line = reader.line_num + 1
        for cells in reader:
            here, line = line, reader.line_num + 1
            if any(cell.strip() for cell in cells):
                yield from _csv_row(header, cells, name, here, ids)
    except csv.Error as error:
        raise ManifestError(
            f"{name}: line {reader.line_num} can't be read as CSV ({error}); check its quotes"
        ) from error


def _csv_row(header: list[str], cells: list[str], name: str, line: int, ids: VideoIds) -> list[RowResult]:
    given = {column: cell for column, cell in zip(header, cells, strict=False) if cell.strip()}
    if len(cells) > len(header):
        extra = cells[len(header)]
        message = f"{len(cells)} cells under {len(header)} columns, the first one too many is '{short(extra)}'"
        allowed = 'a text that holds the separator must stand in quotes: "red, ripe apple"'
        video_id = given.get("video_id")
        return [RowProblem(name, line, video_id, header[-1], short(extra), allowed, message, "line")]
    values: dict[str, Any] = {}
    for column, cell in given.items():
        nested = column in nested_columns() and cell.lstrip()[:1] in ("[", "{")
        try:
            values[column] = drop_unset(json.loads(cell)) if nested else cell.strip()
        except (ValueError, RecursionError) as error:
            message = f"{column} is not valid JSON ({error})"
            return [RowProblem(name, line, given.get("video_id"), column, short(cell), "JSON", message, "line")]
    return check_row(nest(values), file=name, number=line, ids=ids, unit="line")


# --- JSONL ------------------------------------------------------------------------------------------------------------


def _from_jsonl(lines: Iterator[str], name: str, ids: VideoIds) -> Iterator[RowResult]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            values = drop_unset(json.loads(line))
        except (ValueError, RecursionError) as error:
            reason = f"not valid JSON ({error})"
        else:
            if isinstance(values, dict):
                yield from check_row(nest(values), file=name, number=number, ids=ids, unit="line")
                continue
            reason = f"a JSON {type(values).__name__}"
        message = f"the line is {reason}"
        yield RowProblem(name, number, None, "", short(line.strip()), "one JSON object per line", message, "line")


# --- YAML -------------------------------------------------------------------------------------------------------------


try:
    from yaml import CSafeLoader as _SafeLoader  # some ten times faster; not in every build of PyYAML
except ImportError:  # pragma: no cover
    from yaml import SafeLoader as _SafeLoader  # type: ignore[assignment]  # the same interface, another class


class _Loader(_SafeLoader):
    """YAML's safe subset, in which a key given twice is an error instead of a silent loss of the first."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            if key_node.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key '{key_node.value}' is given twice", key_node.start_mark
                )
            seen.add(key_node.value)
        return super().construct_mapping(node, deep)


def _from_yaml(text: str, name: str, ids: VideoIds) -> Iterator[RowResult]:
    defaults, videos, blocks = _yaml_parts(text, name)
    number = 0
    for item in videos:
        number += 1
        if isinstance(item, dict):
            yield from _yaml_row(item, defaults, name, number, ids)
        else:
            message = f"the item is {type(item).__name__}, not a video"
            allowed = "a block with video_id, prompt and other columns"
            yield RowProblem(name, number, None, "", short(str(item)), allowed, message, "item")
    for index, block in enumerate(blocks, start=1):
        for item in expand(block, f"{name}, expand block {index}"):
            number += 1
            yield from _yaml_row(item, defaults, name, number, ids)


def _yaml_parts(text: str, name: str) -> tuple[dict[str, Any], list[Any], list[Any]]:
    try:
        data = yaml.load(text, _Loader)  # a SafeLoader
        if _expanded_size(data, {}) > _MAX_NODES:
            raise ManifestError(f"{name}: its aliases unfold to more than {_MAX_NODES:,} values; use fewer of them")
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" line {mark.line + 1}" if mark else ""
        raise ManifestError(f"{name}{place}: not valid YAML ({getattr(error, 'problem', None) or error})") from error
    except RecursionError as error:
        raise ManifestError(f"{name}: nested too deeply") from error
    if isinstance(data, list):
        data = {"videos": data}
    keys = ["defaults", "videos", "expand"]
    if not isinstance(data, dict) or not data:
        raise ManifestError(f"{name}: write a list of videos, or a block with {', '.join(keys)}")
    for key in data:
        if key not in keys:
            hint = did_you_mean(str(key), keys)
            raise ManifestError(
                f"{name}: '{short(str(key))}' is unknown at the top; {hint} Known are {', '.join(keys)}"
            )
    defaults, videos, blocks = data.get("defaults") or {}, data.get("videos") or [], data.get("expand") or []
    if not isinstance(defaults, dict) or not isinstance(videos, list):
        raise ManifestError(f"{name}: 'defaults' must be a block of columns and 'videos' a list")
    for column in defaults:
        if column not in known_columns() or column == "video_id":
            hint = did_you_mean(str(column), known_columns())
            raise ManifestError(f"{name}: defaults can't hold '{short(str(column))}'; {hint}".rstrip("; "))
    return nest(drop_unset(defaults)), videos, blocks if isinstance(blocks, list) else [blocks]


def _expanded_size(value: Any, known: dict[int, float]) -> float:
    """How many values `value` holds once its aliases are written out; infinite for one that contains itself."""
    if not isinstance(value, dict | list):
        return 1
    if id(value) not in known:
        known[id(value)] = math.inf
        inner = value.values() if isinstance(value, dict) else value
        known[id(value)] = 1 + sum(_expanded_size(part, known) for part in inner)
    return known[id(value)]


def _yaml_row(
    item: Mapping[Any, Any], defaults: Mapping[str, Any], name: str, number: int, ids: VideoIds
) -> list[RowResult]:
    values = nest(drop_unset({str(key): value for key, value in item.items()}))
    merged = {
        key: {**defaults[key], **value} if isinstance(value, dict) and isinstance(defaults.get(key), dict) else value
        for key, value in {**defaults, **values}.items()
    }
    return check_row(merged, file=name, number=number, ids=ids, unit="item")
