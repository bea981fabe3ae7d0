"""A table beside a source, `expand.table`: each row stands for a video, its columns for names in texts, ids, settings.

It is a stranger's file, read within the bounds of a manifest's own sources. What it says are texts: nothing in it is
read as a choice, a scene, a weight or a name, and it sets no column by itself.
"""

from __future__ import annotations

import io
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from manifests.checking import not_unicode
from manifests.parquet.sizes import Refused
from manifests.reading import read_values
from manifests.results import ManifestError, RowProblem
from manifests.schema import NamedFile
from manifests.schema.texts import short
from manifests.sources.beside import Beside
from manifests.sources.csv_source import records_of_csv
from manifests.sources.jsonl_source import objects_of_jsonl
from manifests.sources.lines import lines_of

__all__ = ["Record", "Table", "Tables", "lines_at_least", "open_table", "prompt_text", "text_of_value"]

_MOST_COLUMNS = 1000
_MOST_BYTES = 256_000_000  # of all tables of a source, which are held until it is built
_LINES_OF_HEADER = 2  # of CSV, with Excel's own `sep=;`
_QUOTED = re.compile(rb'(?:^|(?<=[,;\t\r\n]))"(?:[^"]|"")*"(?=[,;\t\r\n]|$)')
_KINDS = {
    ".csv": "csv", ".tsv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet", ".pq": "parquet",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Record:
    """One row of a table: its values by column, what is empty left out, and where it stands."""

    values: dict[str, Any]
    file: str
    number: int
    unit: str

    @property
    def place(self) -> str:
        """Where it stands, for messages."""
        return f"{self.unit} {self.number:,} of {self.file}"

    def problem(self, column: str, value: object, allowed: str, message: str) -> RowProblem:
        """Something that is wrong with it."""
        shown = "" if value is None else short(str(value), 80)
        return RowProblem(self.file, self.number, None, column, shown, allowed, message, self.unit)


@dataclass
class Table:
    """A table, of which is known how much it holds. `characters` are those of all texts of a column."""

    name: str
    read: Callable[[], Iterator[Record | RowProblem]]
    columns: dict[str, None] = field(default_factory=dict)
    characters: Counter[str] = field(default_factory=Counter)
    rows: int = 0
    size: int = 0  # of the file, in bytes


class Tables:
    """The tables of a source, each looked at once; `beside` reads what lies beside it (None: nothing does)."""

    def __init__(self, beside: Beside | None = None) -> None:
        self._beside = beside
        self._known: dict[str, Table] = {}
        self._bytes = 0

    def get(self, path: Any, most_rows: int) -> Table:
        """The table at `path`, from the source's folder.

        Raises:
            ManifestError: there is none, it can't be read, it has more than `most_rows` rows, or all so far are larger
                than those of a source may be.
        """
        name = path.strip() if isinstance(path, str) else ""
        if name not in self._known:
            table = open_table(path, self._beside, most_rows)
            self._bytes += table.size
            if self._bytes > _MOST_BYTES:
                raise ManifestError(
                    f"the tables of expand up to '{short(name)}' hold {self._bytes:,} bytes; at most {_MOST_BYTES:,} "
                    "are allowed in one source: split it"
                )
            self._known[name] = table
        return self._known[name]


def open_table(path: Any, beside: Beside | None, most_rows: int) -> Table:
    """Look at all of the table at `path`, from the source's folder.

    Raises:
        ManifestError: there is none, it can't be read, or it has more than `most_rows` rows.
    """
    if not isinstance(path, str) or not path.strip():
        raise ManifestError("'table' of expand must be the path of a file, such as 'table: people.csv'")
    name = path.strip()
    kind = _KINDS.get(Path(name).suffix.lower())
    if kind is None:
        raise ManifestError(
            f"the kind '{short(Path(name).suffix)}' of the table '{short(name)}' is unknown; allowed are "
            f"{', '.join(_KINDS)}"
        )
    if beside is None:
        raise ManifestError(
            f"there is no folder from which the table '{short(name)}' could be read: build it from a file"
        )
    data = beside.read(name)
    if data is None:
        raise ManifestError(f"there is no table '{short(name)}' beside the source")
    read = {"csv": _csv, "jsonl": _jsonl, "parquet": _parquet}[kind]
    if kind != "parquet" and (lines := lines_at_least(data)) > most_rows + _LINES_OF_HEADER:
        raise ManifestError(f"{name} has {lines:,} lines; at most {most_rows:,} rows are allowed: split it")
    table = Table(name, lambda: read(data, name, most_rows), size=len(data))
    for record in table.read():
        if isinstance(record, RowProblem):
            continue
        table.rows += 1
        if table.rows > most_rows:
            raise ManifestError(f"{name} has more than {most_rows:,} rows; split it")
        table.columns.update(dict.fromkeys(record.values))
        if len(table.columns) > _MOST_COLUMNS:
            raise ManifestError(f"{name} has more than {_MOST_COLUMNS:,} columns; leave some out")
        table.characters.update({column: len(text_of_value(value)) for column, value in record.values.items()})
    if not table.columns:
        raise ManifestError(f"{name} has no rows that can be read{_first_problem(table)}")
    return table


def lines_at_least(data: bytes) -> int:
    """How many lines of a text are rows, at the least: cells in quotes may hold some, and rows of nothing are none. A
    tenth of the time of reading it."""
    if b'"' in data:
        data = _QUOTED.sub(b"x", data)
    return sum(1 for line in data.splitlines() if line.strip(b" \t,;"))


def text_of_value(value: Any) -> str:
    """A value as it stands in a text: a whole number of a column with gaps, which pandas makes decimal, is whole."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return str(value)


def prompt_text(text: str) -> str:
    """A text as it is written in a prompt, where some signs mean something."""
    return re.sub(r"([\\:|])", r"\\\1", text)


def _first_problem(table: Table) -> str:
    first = next((str(it) for it in table.read() if isinstance(it, RowProblem)), "")
    return f": {first}" if first else ""


def _csv(data: bytes, name: str, most_rows: int) -> Iterator[Record | RowProblem]:
    def check(header: list[str]) -> None:
        if len(header) > _MOST_COLUMNS:
            raise ManifestError(f"{name} has {len(header):,} columns; at most {_MOST_COLUMNS:,} are allowed")
        if twice := [column for column, count in Counter(header).items() if count > 1]:
            raise ManifestError(f"{name}: column '{short(twice[0])}' appears twice; keep one of them")

    for found in records_of_csv(lines_of(io.BytesIO(data), name), name, check):
        if isinstance(found, RowProblem):
            yield found
        else:
            yield _checked(Record({key: cell.strip() for key, cell in found[1].items()}, name, found[0], "line"))


def _jsonl(data: bytes, name: str, most_rows: int) -> Iterator[Record | RowProblem]:
    for found in objects_of_jsonl(lines_of(io.BytesIO(data), name), name):
        yield found if isinstance(found, RowProblem) else _checked(Record(found[1], name, found[0], "line"))


def _parquet(data: bytes, name: str, most_rows: int) -> Iterator[Record | RowProblem]:
    file = NamedFile(name, lambda: io.BytesIO(data))
    for number, values in enumerate(read_values(file, most_rows=most_rows), start=1):
        if isinstance(values, Refused):
            yield RowProblem(name, number, None, values.column, "", values.allowed, values.message)
        else:
            yield _checked(Record(values, name, number, "row"))


def _checked(record: Record) -> Record | RowProblem:
    """A record whose values are texts and numbers."""
    kept = {}
    for column, value in record.values.items():
        if isinstance(value, float) and math.isnan(value):  # a gap, as pandas has it
            continue
        if not isinstance(value, str | int | float):
            kind = {"dict": "a block", "list": "a list"}.get(type(value).__name__, type(value).__name__)
            message = f"{short(column)} is {kind}; allowed in a table are texts and numbers"
            return record.problem(short(column), value, "texts and numbers", message)
        if isinstance(value, str):
            if not value.strip():
                continue
            if not_unicode(value) or not_unicode(column):
                message = f"{short(column)} is no text in UTF-8; save the file as UTF-8"
                return record.problem(short(column.encode("utf-8", "replace").decode()), None, "UTF-8", message)
        elif isinstance(value, int) and value.bit_length() > 4096:  # Python writes none of more than 4300 digits
            return record.problem(
                short(column), None, "at most 1,000 digits", f"{short(column)} is a number without end"
            )
        kept[column] = value
    if not kept:
        return record.problem("", None, "at least one value", "the row is empty")
    return Record(kept, record.file, record.number, record.unit)
