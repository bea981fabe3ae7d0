"""Read manifests as a stream: row group by row group, a batch of rows at a time, whatever the size of the files."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from manifests.checking import VideoIds, check_columns, check_row, drop_unset, nest
from manifests.parquet_sizes import check_types, rows_at_once
from manifests.results import GoodRow, ManifestError, RowProblem, RowResult
from manifests.schema import NamedFile
from manifests.schema.texts import short

__all__ = ["GoodRow", "ManifestError", "RowProblem", "RowResult", "count_rows", "read_rows"]

BATCH_ROWS = 4096
_PANDAS_INDEX = re.compile(r"__index_level_\d+__")  # pandas writes its row labels as a column; they say nothing here


def read_rows(files: Iterable[NamedFile], *, batch_rows: int = BATCH_ROWS) -> Iterator[RowResult]:
    """Validate the rows of Parquet files, in order, in bounded memory (`batch_rows` rows at a time, plus 16-byte ids).

    Yields a GoodRow, or a RowProblem for each thing wrong with a row; a video_id that an earlier row of any file has is
    a problem of the later row. Raises ManifestError when it comes to a file of which no row can be trusted.
    """
    ids = VideoIds()
    for file in files:
        number = 0
        for batch in _batches(file, batch_rows):
            for values in batch:
                number += 1
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


def _batches(file: NamedFile, batch_rows: int) -> Iterator[list[dict[str, Any]]]:
    with file.open() as stream:
        parquet = _parquet(stream, file)
        for group in range(parquet.metadata.num_row_groups):
            # One group at a time: over several, pyarrow's read-ahead would hold the raw bytes of them all.
            with _damage(file.name, group):
                most = rows_at_once(stream, parquet, group, batch_rows, file.name)
            batches = parquet.iter_batches(batch_size=most, row_groups=[group])
            while (batch := _next(batches, file.name, group)) is not None:
                try:
                    rows = _to_dicts(batch)
                except (ValueError, OverflowError) as error:  # text that is not UTF-8
                    raise _damaged(error, file.name, group) from error
                if file.partitions:
                    rows = [nest({**file.partitions, **row}) for row in rows]
                yield rows


def _parquet(stream: Any, file: NamedFile) -> pq.ParquetFile:
    name = file.name
    try:
        parquet = pq.ParquetFile(stream, pre_buffer=True)
        check_types(parquet.schema_arrow, name)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:  # UnicodeDecodeError: the name of a column
        _reraise_foreign(error)
        raise ManifestError(
            f"{name} is not a Parquet file, or not a whole one ({_first_line(error)}); "
            f"make one from CSV, YAML or JSONL with `nightreel manifest build`"
        ) from error
    columns = list(_leaves(parquet.schema_arrow))
    if twice := sorted({*columns, *(column.partition(".")[0] for column in columns)} & set(file.partitions)):
        raise ManifestError(
            f"{name}: '{short(twice[0])}' stands in the folder's name and in the file as well; keep one of them"
        )
    check_columns([*columns, *file.partitions], name)
    return parquet


def _next(batches: Iterator[pa.RecordBatch], name: str, group: int) -> pa.RecordBatch | None:
    with _damage(name, group):
        return next(batches, None)


@contextmanager
def _damage(name: str, group: int) -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        _reraise_foreign(error)
        raise _damaged(error, name, group) from error


def _damaged(error: BaseException, name: str, group: int) -> ManifestError:
    return ManifestError(f"{name} is damaged in row group {group + 1} ({_first_line(error)}); write it again")


def _reraise_foreign(error: BaseException) -> None:
    """Let storage's own errors, which say more, pass: Arrow itself raises plain OSErrors for bad bytes."""
    if isinstance(error, OSError) and not isinstance(error, pa.ArrowException) and type(error) is not OSError:
        raise error


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")[:200]


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
