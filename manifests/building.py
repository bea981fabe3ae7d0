"""Build a manifest from what people write: CSV, YAML or JSONL."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, TextIO, TypeAlias

import pyarrow.parquet as pq

from manifests.checking import VideoIds
from manifests.problems import Listed, Problems
from manifests.results import ManifestError, RowProblem, RowResult
from manifests.schema import ManifestRow, arrow_schema, rows_to_table
from manifests.sources.beside import Beside
from manifests.sources.csv_source import rows_of_csv
from manifests.sources.jsonl_source import rows_of_jsonl
from manifests.sources.lines import lines_of, text_of
from manifests.sources.yaml_source import rows_of_yaml

__all__ = ["SOURCE_SUFFIXES", "BuildResult", "Kind", "build", "kind_of", "write_parquet"]

Kind: TypeAlias = Literal["csv", "yaml", "jsonl"]
SOURCE_SUFFIXES: dict[str, Kind] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".yaml": "yaml",
    ".yml": "yaml",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}
_GROUP_ROWS = 20_000


@dataclass(frozen=True, slots=True)
class BuildResult:
    """What `write_parquet` did: the number of rows written, and the problems of the rows that were left out."""

    rows: int
    problems: Problems


def kind_of(name: str) -> Kind:
    """The kind of a source by the end of its name; raises ManifestError for an unknown one."""
    suffix = Path(name).suffix.lower()
    if suffix not in SOURCE_SUFFIXES:
        raise ManifestError(f"{name}: the kind '{suffix}' is unknown; allowed are {', '.join(SOURCE_SUFFIXES)}")
    return SOURCE_SUFFIXES[suffix]


def build(
    source: str | TextIO | BinaryIO, kind: Kind, name: str = "source", beside: Beside | None = None
) -> Iterator[RowResult]:
    """Validate the rows of a source, given as its text or as an open file; `name` is for messages. `beside` reads what
    lies beside it and is named in it, lists and tables; without, none can be named.

    CSV and JSONL stream. Numbers of results are lines of a CSV or JSONL (the header is line 1) and items of YAML.
    Raises ManifestError if the source as a whole can't be read: an unknown CSV column, broken YAML.
    """
    ids = VideoIds()
    if kind == "csv":
        return rows_of_csv(lines_of(source, name), name, ids, beside)
    if kind == "jsonl":
        return rows_of_jsonl(lines_of(source, name), name, ids, beside)
    if kind == "yaml":
        return rows_of_yaml(text_of(source, name), name, ids, beside)
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
