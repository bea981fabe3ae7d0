"""Read manifests as a stream: row group by row group, a batch of rows at a time, whatever the size of the files."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from manifests.checking import VideoIds, check_alike, check_columns, check_row, drop_unset, nest
from manifests.errors import first_line
from manifests.parquet.pages import BadPages, row_groups
from manifests.parquet.rows import LongRows, large_rows
from manifests.parquet.settings import OwnValues, RowKinds
from manifests.parquet.sizes import GroupCost, Refused, check_footer, check_rows, check_types, cost_of, runs
from manifests.results import ManifestError, RowProblem, RowResult
from manifests.schema import NamedFile
from manifests.schema.describe import known_columns
from manifests.schema.texts import did_you_mean, short

__all__ = ["count_rows", "read_rows", "read_values"]

BATCH_ROWS = 4096
_BUFFERED, _BUFFER = 32_000_000, 1 << 20  # row groups of more packed bytes are read by so many
_REPEATED_ROWS = 256  # at a time, where long texts stay in their dictionaries
_ARROWS = (OSError, RuntimeError)
# pandas and Dask write their row labels as columns; they say nothing here
_PANDAS_INDEX = re.compile(r"__index_level_\d+__|__null_dask_index__")
_MOST_COLUMNS = 1000  # each is looked at beside all before it; only row labels can be more than the known ones


def read_rows(files: Iterable[NamedFile], *, batch_rows: int = BATCH_ROWS) -> Iterator[RowResult]:
    """Validate the rows of Parquet files, in order, in bounded memory (`batch_rows` rows at a time, plus 16-byte ids).

    Yields a GoodRow, or a RowProblem for each thing wrong with a row; a video_id that an earlier row of any file has is
    a problem of the later row, and so is a row that is too large to be read (parquet/sizes.py). Raises ManifestError
    when it comes to a file of which no row can be trusted.
    """
    ids = VideoIds()
    for file in files:
        for number, values in enumerate(_rows(file, batch_rows), start=1):
            if isinstance(values, Refused):
                yield RowProblem(file.name, number, values.video_id, values.column, "", values.allowed, values.message)
            elif isinstance(values, OwnValues):
                yield from check_alike(values, file=file.name, number=number, ids=ids)
            else:
                yield from check_row(values, file=file.name, number=number, ids=ids)


def count_rows(files: Iterable[NamedFile]) -> int:
    """The number of rows, good and bad, from the files' footers alone; so it finds unknown columns early.

    Raises ManifestError like `read_rows`.
    """
    total = 0
    for file in files:
        with file.open() as stream:
            total += _parquet(stream, file).metadata.num_rows
    return total


def read_values(file: NamedFile, *, most_rows: int) -> Iterator[dict[str, Any] | Refused]:
    """The rows of a Parquet file that is no manifest, with whatever columns it has, within the same bounds.

    Raises ManifestError like `read_rows`, and for a file of more than `most_rows` rows.
    """
    with file.open() as stream:
        parquet = _opened(stream, file.name)
        _check_count(parquet, file.name)
        if twice := [name for name, count in Counter(parquet.schema_arrow.names).items() if count > 1]:
            raise ManifestError(f"{file.name}: column '{short(twice[0])}' appears twice; keep one of them")
        if (rows := parquet.metadata.num_rows) > most_rows:
            raise ManifestError(f"{file.name} has {rows:,} rows; at most {most_rows:,} are allowed")
        for row in _rows_of(parquet, stream, file, BATCH_ROWS, None):
            if not isinstance(row, OwnValues):
                yield row


def _rows(file: NamedFile, batch_rows: int) -> Iterator[dict[str, Any] | Refused | OwnValues]:
    """The rows of a manifest's file in order, as values, or as those that one has of its own, or as what is wrong with
    all of it."""
    kinds = None if file.partitions else RowKinds(_to_dicts)
    with file.open() as stream:
        yield from _rows_of(_parquet(stream, file), stream, file, batch_rows, kinds)


def _rows_of(
    parquet: pq.ParquetFile, stream: Any, file: NamedFile, batch_rows: int, kinds: RowKinds | None
) -> Iterator[dict[str, Any] | Refused | OwnValues]:
    long, first = LongRows(stream.seek(0, os.SEEK_END)), 1
    for run in runs(_costs(stream, parquet, file.name), batch_rows):
        if (refused := run[0].refused) is not None:
            yield from _of_group(refused, run[0], first)
        first += sum(cost.rows for cost in run)
        if refused is not None:
            continue
        for batch in _batches(stream, parquet, run, batch_rows, file.name):
            for row in _to_rows(batch, long, kinds, one_by_one=bool(run[0].repeated)):
                if isinstance(row, Refused | OwnValues) or not file.partitions:
                    yield row
                else:
                    yield nest({**file.partitions, **row})


def _of_group(refused: Refused, cost: GroupCost, first: int) -> Iterator[Refused]:
    """What is wrong with each row of a row group that is refused, the first of which has the number `first`."""
    rows = f"rows {first:,} to {first + cost.rows - 1:,}" if cost.rows > 1 else f"row {first:,}"
    for row in range(cost.rows):
        why = refused.message
        if refused.row is not None and row != refused.row:
            why = f"in row {first + refused.row:,} {why}"
        message = f"row group {cost.number + 1} ({rows}) can't be read: {why}" if refused.row != row else why
        yield Refused(refused.column, message, refused.allowed)


def _costs(stream: Any, parquet: pq.ParquetFile, name: str) -> Iterator[GroupCost]:
    with _damage(name, 0, parquet.metadata.num_row_groups - 1):
        groups = row_groups(stream)
    check_rows(groups, name)
    for number, group in enumerate(groups):
        with _damage(name, number, number):
            cost = cost_of(stream, parquet, group, number, name)
        yield cost


def _batches(
    stream: Any, parquet: pq.ParquetFile, run: list[GroupCost], batch_rows: int, name: str
) -> Iterator[pa.RecordBatch]:
    """Row groups as batches. Of large ones not even the packed bytes are held, and long texts stay in dictionaries."""
    first, last = run[0].number, run[-1].number
    with _damage(name, first, last):
        if run[0].repeated:
            parquet = pq.ParquetFile(
                stream, metadata=parquet.metadata, read_dictionary=list(run[0].repeated), buffer_size=_BUFFER
            )
        elif run[0].packed > _BUFFERED:
            parquet = pq.ParquetFile(stream, metadata=parquet.metadata, buffer_size=_BUFFER)
        most = min(cost.rows_at_once(batch_rows) for cost in run)
        names = [name for name in parquet.schema_arrow.names if not _PANDAS_INDEX.fullmatch(name)]
        batches = parquet.iter_batches(
            batch_size=min(most, _REPEATED_ROWS) if run[0].repeated else most,
            row_groups=list(range(first, last + 1)),
            columns=names if len(names) < len(parquet.schema_arrow.names) else None,
        )
    while True:
        with _damage(name, first, last):
            batch = next(batches, None)
        if batch is None:
            return
        yield batch


def _to_rows(
    batch: pa.RecordBatch, long: LongRows, kinds: RowKinds | None, *, one_by_one: bool
) -> Iterator[dict[str, Any] | Refused | OwnValues]:
    large = large_rows(batch, long)
    if kinds is not None and not large and not one_by_one:
        found = None
        with suppress(ValueError, OverflowError):  # text that is not UTF-8
            found = kinds.rows(batch)
        if found is not None:
            yield from found
            return
    # Values of Python take several times as much: what comes once for many rows is written out for one at a time.
    parts = [batch] if not large and not one_by_one else (batch.slice(row, 1) for row in range(batch.num_rows))
    for row, part in enumerate(parts):
        if row in large:
            yield large[row]
            continue
        try:
            values: Iterable[dict[str, Any] | Refused] = _to_dicts(part)
        except (ValueError, OverflowError):  # text that is not UTF-8
            values = _one_by_one(part)
        yield from values


def _one_by_one(batch: pa.RecordBatch) -> Iterator[dict[str, Any] | Refused]:
    """The batch's rows, of which those that hold what is no text are refused."""
    for row in range(batch.num_rows):
        part = batch.slice(row, 1)
        try:
            yield _to_dicts(part)[0]
        except (ValueError, OverflowError):
            column = next(name for name in part.schema.names if not _is_readable(part.column(name)))
            video_id = part.column("video_id") if "video_id" in part.schema.names else None
            shown = str(video_id[0]) if video_id is not None and _is_readable(video_id) else None
            yield Refused(column, f"{column} is no text in UTF-8", "UTF-8", video_id=shown)


def _is_readable(column: Any) -> bool:
    try:
        column.to_pylist()
    except (ValueError, OverflowError):
        return False
    return True


def _parquet(stream: Any, file: NamedFile) -> pq.ParquetFile:
    """A file of a manifest: its columns are known."""
    name, parquet = file.name, _opened(stream, file.name)
    columns = list(_leaves(parquet.schema_arrow))
    if twice := sorted({*columns, *(column.partition(".")[0] for column in columns)} & set(file.partitions)):
        raise ManifestError(
            f"{name}: '{short(twice[0])}' stands in the folder's name and in the file as well; keep one of them"
        )
    if unknown := [column for column in file.partitions if column not in known_columns()]:
        raise _unknown_folder(unknown[0], file)
    check_columns([*columns, *file.partitions], name)
    _check_count(parquet, name)
    return parquet


def _check_count(parquet: pq.ParquetFile, name: str) -> None:
    if (count := len(parquet.schema_arrow)) > _MOST_COLUMNS:
        raise ManifestError(
            f"{name} has {count:,} columns; at most {_MOST_COLUMNS:,} are allowed: leave out row labels"
        )


def _opened(stream: Any, name: str) -> pq.ParquetFile:
    try:
        check_footer(stream, name)
        parquet = pq.ParquetFile(stream, pre_buffer=True)
        check_types(parquet.schema_arrow, name)
    except (pa.ArrowException, OSError, RuntimeError, UnicodeDecodeError) as error:  # the last: a column's name
        _reraise_foreign(error)
        raise ManifestError(
            f"{name} is not a Parquet file, or not a whole one ({_reason(error)}); "
            f"make one from CSV, YAML or JSONL with `nightreel manifest build`"
        ) from error
    return parquet


def _unknown_folder(column: str, file: NamedFile) -> ManifestError:
    value = f"{column}-{file.partitions[column]}".rstrip("-")
    hint = f", {hint}" if (hint := did_you_mean(column, known_columns())) else ""
    return ManifestError(
        f"{file.name}: unknown column '{short(column)}' in the name of its folder{hint} (a folder "
        f"'{short(column)}=...' gives all rows in it that column; rename it, to '{short(value)}' if it is none)"
    )


@contextmanager
def _damage(name: str, first: int, last: int) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError, RuntimeError, BadPages) as error:  # RuntimeError: sizes that contradict types
        _reraise_foreign(error)
        raise _damaged(error, name, first, last) from error


def _damaged(error: BaseException, name: str, first: int, last: int) -> ManifestError:
    groups = f"row group {first + 1}" if first == last else f"one of the row groups {first + 1} to {last + 1}"
    return ManifestError(f"{name} is damaged in {groups} ({_reason(error)}); write it again")


def _reraise_foreign(error: BaseException) -> None:
    """Let storage's own errors, which say more, pass: Arrow itself raises plain ones for bad bytes."""
    if not isinstance(error, pa.ArrowException | BadPages | UnicodeDecodeError) and type(error) not in _ARROWS:
        raise error


def _reason(error: BaseException) -> str:
    return first_line(error).rstrip(".")[:200]


def _leaves(fields: Iterable[pa.Field[Any]], prefix: str = "") -> Iterator[str]:
    """The dotted names of the columns, those inside structs included; lists count as one column."""
    for field in fields:
        if _PANDAS_INDEX.fullmatch(field.name):
            continue
        yield prefix + field.name
        if pa.types.is_struct(field.type):
            yield from _leaves((field.type.field(i) for i in range(field.type.num_fields)), f"{prefix}{field.name}.")


def _to_dicts(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    """The batch's rows as plain values, nulls left out; columns without any value, most of them, cost nothing."""
    used = [
        (field, column)
        for field, column in zip(batch.schema, batch.columns, strict=True)
        if column.null_count < len(column) and not _PANDAS_INDEX.fullmatch(field.name)
    ]
    names = [field.name for field, _ in used]
    columns = [
        [drop_unset(value) for value in column.to_pylist()] if pa.types.is_nested(field.type) else column.to_pylist()
        for field, column in used
    ]
    if not columns:
        return [{} for _ in range(batch.num_rows)]
    rows = (
        {name: value for name, value in zip(names, values, strict=True) if value is not None}
        for values in zip(*columns, strict=True)
    )
    if any("." in name for name in names):
        return [nest(row) for row in rows]
    # A struct without any value in this row comes out empty: it was not given either.
    if any(pa.types.is_struct(field.type) for field, _ in used):
        return [{name: value for name, value in row.items() if value != {}} for row in rows]
    return list(rows)
