"""How much of a Parquet file is read at a time, so that memory stays bounded whatever it holds.

A file of a kilobyte can hold a text of 20 MB in every one of its rows (stored once, in a dictionary, and repeated by
number), or a list of twenty million nulls in one of them. So what a row group costs is told by its pages' headers, its
dictionaries and the lengths of its lists, before its rows are read.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from manifests.bounds import ROW_SIZE
from manifests.parquet.pages import (
    DELTA_BYTE_ARRAY,
    BadPages,
    Chunk,
    Page,
    RowGroup,
    RowLengths,
    longest_text,
    pages_of,
)
from manifests.results import ManifestError
from manifests.schema.texts import short

__all__ = ["AT_MOST", "GroupCost", "Refused", "check_footer", "check_rows", "check_types", "cost_of", "runs"]

# A batch is cut so that its values, as the file declares their sizes, stay below this.
_BATCH_BYTES = 32_000_000
# What is unpacked at the same time, a page and a dictionary of each column. DuckDB's pages hold a whole row group.
_OPEN_BYTES = 100_000_000
# What one row may unfold to, as far as that is known before it is read.
_UNFOLDED_BYTES = 128_000_000
_FOOTER_BYTES = 16_000_000  # of names, sizes and statistics: Arrow takes twelve times as many
_MOST_PAGES = 100_000  # of a row group: two seconds
_MOST_VALUES = 16_000_000  # of a page that holds no list
_NAMED_ROWS = 1_000_000  # of a row group that is refused, each of which is a bad row
_MOST_ROWS = 10_000_000  # of a file: a kilobyte holds billions of empty ones, each of which is a bad row
# Row groups are read together up to so many packed bytes.
_RUN_BYTES = 8_000_000
_FEW_ITEMS = 1000  # of all rows together: how they are parted is no matter
_SMALL_DICTIONARY = 4096  # bytes: its longest text is no matter
AT_MOST = f"rows of at most {ROW_SIZE:,} bytes"
_VALUE, _ITEM = 24, 300  # bytes of a number and its levels, and of an item once it is a value of Python

_PLAIN = (
    pa.types.is_null, pa.types.is_boolean, pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal,
    pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Refused:
    """Why rows can't be read: what they hold in `column`; of a row group, what its row `row` (from 0) does if one is
    known to be at fault."""

    column: str
    message: str
    allowed: str
    row: int | None = None
    video_id: str | None = None


@dataclass(frozen=True, slots=True)
class GroupCost:
    """What a row group costs to read. `row_bytes` is a bound for one row; `repeated` are the columns of texts that are
    so long, or repeated so often in one row, that they must not be written out; `refused`, if it can't be read."""

    number: int
    rows: int
    packed: int
    row_bytes: float
    repeated: tuple[str, ...] = ()
    refused: Refused | None = None

    def rows_at_once(self, most: int) -> int:
        """How many rows are read at a time: at most `most`, fewer where they are large."""
        return max(1, min(most, int(_BATCH_BYTES / max(self.row_bytes, 1))))


@dataclass(slots=True)
class _Column:
    """One column of a row group, as its pages declare it."""

    name: str
    top: str
    largest: int = 0  # bytes of a page
    dictionary: int = 0  # bytes of the dictionary's page
    longest: int = 0  # bytes of the longest text in it
    each: float = _VALUE  # bytes of a value, at the most on average of a page
    size: int = 0
    items: int = 1  # values of a row at the most
    row: int = 0  # the row that has them
    delta: bool = False

    @property
    def open(self) -> int:
        return self.largest + 3 * self.dictionary

    @property
    def unfolded(self) -> float:
        """Bytes of one row at the most, but for repeated texts."""
        each = self.items * self.each
        return each if self.delta else min(each, self.size + self.items * _VALUE)


def check_footer(stream: BinaryIO, name: str) -> None:
    """Raise ManifestError for a footer that is too large to be taken apart; one that is none is Arrow's to refuse."""
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - 8))
    length = int.from_bytes(stream.read(8)[:4], "little")
    stream.seek(0)
    if _FOOTER_BYTES < length < size:
        raise ManifestError(
            f"{name} has a footer of {length / 1e6:,.0f} MB; at most {_FOOTER_BYTES // 1_000_000} MB are allowed: "
            "write it with larger row groups, or as several files"
        )


def check_rows(groups: Iterable[RowGroup], name: str) -> None:
    """Raise ManifestError for a file of more rows than a job could ever plan: some minutes of reading."""
    if (rows := sum(group.rows for group in groups)) > _MOST_ROWS:
        raise ManifestError(f"{name} has {rows:,} rows; a file may have at most {_MOST_ROWS:,}: split it")


def check_types(schema: pa.Schema, name: str) -> None:
    """Raise ManifestError for a column of a type that no value of a row has, such as a time or a map."""
    for field in schema:
        if (foreign := _foreign(field.type)) is not None:
            raise ManifestError(
                f"{name}: column '{short(field.name)}' holds values of the type {short(str(foreign))}; "
                "write it as text or numbers, or leave it out"
            )


def cost_of(stream: BinaryIO, parquet: pq.ParquetFile, group: RowGroup, number: int, name: str) -> GroupCost:
    """Look at a row group, which has the `number` (from 0), before it is read.

    Raises:
        ManifestError: it is refused, and its rows are more than can be named.
        BadPages, or whatever Arrow raises for a damaged file.
    """
    columns: list[_Column] = []
    pages = 0
    refused = None
    if len(group.chunks) != len(parquet.schema.names):
        raise BadPages(f"it has {len(group.chunks)} columns where the file has {len(parquet.schema.names)}")
    for index, chunk in enumerate(group.chunks):
        column, found, refused = _column(stream, parquet.schema.column(index), chunk, _MOST_PAGES - pages)
        columns.append(column)
        pages += len(found)
        refused = refused or _refused(columns)
        if refused is None and (deepest := parquet.schema.column(index).max_repetition_level):
            _count_items(stream, chunk, column, found, deepest)
            refused = _refused(columns)
        if refused is not None:
            break
    if refused is not None and group.rows > _NAMED_ROWS:
        raise ManifestError(
            f"{name}: row group {number + 1} of {group.rows:,} rows can't be read: {refused.message}; {refused.allowed}"
        )
    repeated = tuple(
        column.name for column in columns if column.longest > ROW_SIZE or column.longest * column.items > _BATCH_BYTES
    )
    row_bytes = sum(
        column.unfolded
        + (column.items * _ITEM if column.items > 1 else 0)
        + (0 if column.name in repeated else column.items * column.longest)
        for column in columns
    )
    packed = sum(chunk.packed for chunk in group.chunks)
    return GroupCost(number, group.rows, packed, row_bytes, repeated, refused)


def runs(costs: Iterable[GroupCost], most: int) -> Iterator[list[GroupCost]]:
    """Yield row groups that are read together: over small ones, one at a time, most of the time goes into beginning."""
    run: list[GroupCost] = []
    rows = packed = 0
    for cost in costs:
        rows, packed = rows + cost.rows, packed + cost.packed
        alone = cost.refused is not None or cost.repeated
        if run and (alone or rows > most or packed > _RUN_BYTES):
            yield run
            run, rows, packed = [], cost.rows, cost.packed
        run.append(cost)
        if alone:
            yield run
            run, rows, packed = [], 0, 0
    if run:
        yield run


def _column(stream: BinaryIO, schema: Any, chunk: Chunk, most: int) -> tuple[_Column, list[Page], Refused | None]:
    """Look at the headers of a column's pages, and into its dictionary if that is no larger than is unpacked."""
    column = _Column(schema.path, schema.path.partition(".")[0])
    flat = not schema.max_repetition_level
    lists: list[Page] = []
    for page in pages_of(stream, chunk):
        if len(lists) >= most:
            return column, lists, Refused(column.top, f"it has more than {_MOST_PAGES:,} pages", "larger pages")
        lists.append(page)
        if page.is_dictionary:
            column.dictionary = max(column.dictionary, page.size)
            if schema.physical_type == "BYTE_ARRAY" and column.open <= _OPEN_BYTES:
                small = page.size <= _SMALL_DICTIONARY
                column.longest = max(column.longest, page.size if small else longest_text(stream, chunk, page))
            continue
        if flat and page.values > _MOST_VALUES:
            return (
                column,
                lists,
                Refused(column.top, f"a page holds {page.values:,} values", f"at most {_MOST_VALUES:,} in a page"),
            )
        column.largest = max(column.largest, page.size)
        column.size += page.size
        column.delta |= page.encoding == DELTA_BYTE_ARRAY
        column.each = max(column.each, page.size / max(1, page.values) + _VALUE)
    if column.delta:
        column.each = max(column.each, column.largest)
    return column, lists, None


def _refused(columns: list[_Column]) -> Refused | None:
    """Why the columns so far can't be read beside each other; None if they can."""
    if (total := sum(column.open for column in columns)) > _OPEN_BYTES:
        largest = max(columns, key=lambda column: column.open)
        size = max(largest.largest, largest.dictionary)
        message = f"it has pages of {size / 1e6:,.0f} MB in {largest.top}"
        if len(columns) > 1:
            message += f", and {total / 1e6:,.0f} MB must be unpacked at once"
        return Refused(largest.top, message, f"{_OPEN_BYTES // 1_000_000} MB unpacked at once; {AT_MOST}")
    if sum(column.unfolded for column in columns) > _UNFOLDED_BYTES:
        largest = max(columns, key=lambda column: column.unfolded)
        if largest.items > 1:
            return Refused(largest.top, f"{largest.top} holds {largest.items:,} values", AT_MOST, largest.row)
        return Refused(largest.top, f"{largest.top} may unfold to {largest.unfolded / 1e6:,.0f} MB in a row", AT_MOST)
    return None


def _count_items(stream: BinaryIO, chunk: Chunk, column: _Column, pages: list[Page], deepest: int) -> None:
    """Find the longest list, by the pages alone: how many rows there are is what the footer says."""
    data = [page for page in pages if not page.is_dictionary]
    column.items = max(1, sum(page.values for page in data))
    if column.items <= _FEW_ITEMS:
        return
    lengths = RowLengths(chunk, deepest)
    for page in data:
        lengths.add(stream, page)
    column.items, column.row = max(1, lengths.longest), lengths.row


def _foreign(kind: pa.DataType) -> pa.DataType | None:
    """The first type inside `kind` that is not known; None if all are."""
    if any(is_plain(kind) for is_plain in _PLAIN):
        return None
    if isinstance(kind, pa.DictionaryType | pa.ListType | pa.LargeListType | pa.FixedSizeListType):
        return _foreign(kind.value_type)
    if isinstance(kind, pa.StructType):
        inner = (_foreign(kind.field(index).type) for index in range(kind.num_fields))
        return next((it for it in inner if it is not None), None)
    return kind
