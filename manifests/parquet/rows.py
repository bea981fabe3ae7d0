"""How large the rows of a batch are that was read from Parquet, before they become values.

What the file declares of them is sizes.py's; this is what a column's texts come to once they are written out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from manifests.bounds import ROW_SIZE
from manifests.parquet.sizes import AT_MOST, Refused
from manifests.schema.texts import short

__all__ = ["LongRows", "large_rows", "numbers"]

_LONG = 20_000  # bytes; such a row takes milliseconds to read
_LONG_TOGETHER = 100_000_000  # bytes of a file: half a minute
_TIMES_PACKED = 100
_AT_MOST_LONG = (
    f"rows of {_LONG:,} bytes and more that come to at most {_LONG_TOGETHER // 1_000_000} MB and {_TIMES_PACKED} times "
    "the file's own size together; split the file"
)


class LongRows:
    """What the long rows of a file may still come to: a kilobyte can hold a long text in each of a million rows."""

    def __init__(self, packed: int) -> None:
        """`packed`: the file's own bytes."""
        self._left = _LONG_TOGETHER + _TIMES_PACKED * packed

    def take(self, size: int) -> bool:
        """Whether a row of `size` bytes is within it."""
        self._left -= size
        return self._left >= 0


def large_rows(batch: pa.RecordBatch, long: LongRows) -> dict[int, Refused]:
    """The rows of a batch, from 0, that hold more than any row may, or come after all that a file's `long` ones may
    hold, before they become values."""
    if batch.nbytes < _LONG and not any(_unfolds(field.type) for field in batch.schema):
        return {}
    sizes = [_bytes_of_rows(column) for column in batch.columns]
    totals = np.sum(sizes, axis=0) if sizes else np.zeros(batch.num_rows)
    found = {}
    for row in np.flatnonzero(totals >= _LONG).tolist():
        size = int(totals[row])
        if size <= ROW_SIZE and long.take(size):
            continue
        largest = max(range(len(sizes)), key=lambda index: int(sizes[index][row]))
        column = batch.schema.field(largest).name
        message, allowed = f"{column} is {int(sizes[largest][row]):,} bytes long", AT_MOST
        if size <= ROW_SIZE:
            message, allowed = (
                f"the row is {size:,} bytes long, after all that a file's long rows may be",
                _AT_MOST_LONG,
            )
        elif sizes[largest][row] <= ROW_SIZE:
            message = f"the row is {size:,} bytes long, {int(sizes[largest][row]):,} of them {column}"
        found[row] = Refused(column, message, allowed, video_id=_video_id(batch.slice(row, 1)))
    return found


def _video_id(row: pa.RecordBatch) -> str | None:
    """The name of a row's video, if it is one that a person can read."""
    at = row.schema.get_field_index("video_id")
    if at < 0 or row.column(at).nbytes > 1000:
        return None
    try:
        made = row.column(at)[0].as_py()
    except (ValueError, OverflowError):  # no UTF-8
        return None
    return short(made, 128) if isinstance(made, str) else None


def _bytes_of_rows(array: Any) -> Any:
    """An array of the bytes of each of an array's values, its texts written out."""
    kind = array.type
    if pa.types.is_dictionary(kind):
        each = _bytes_of_rows(array.dictionary)
        return np.append(each, 0)[_places(array.indices, len(each))]
    if pa.types.is_string(kind) or pa.types.is_binary(kind):
        return _lengths(array, np.int32)
    if pa.types.is_large_string(kind) or pa.types.is_large_binary(kind):
        return _lengths(array, np.int64)
    if pa.types.is_struct(kind):
        return sum((_bytes_of_rows(it) for it in array.flatten()), np.zeros(len(array), np.int64))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        inner = np.concatenate(([0], np.cumsum(_bytes_of_rows(array.values) + 8)))
        offsets = numbers(array.offsets)
        return inner[offsets[1:]] - inner[offsets[:-1]]
    if pa.types.is_fixed_size_list(kind):
        values = _bytes_of_rows(array.values)[array.offset * kind.list_size :]
        return values[: len(array) * kind.list_size].reshape(len(array), kind.list_size).sum(axis=1)
    return np.full(len(array), 8, np.int64)


def numbers(whole: Any) -> Any:
    """The values of an array of whole numbers; what nulls have for theirs is anything. Arrow's own `to_numpy` imports
    pandas, where that is installed: a second and more."""
    kind = np.dtype(whole.type.to_pandas_dtype())
    buffer = whole.buffers()[1]
    if not buffer:
        return np.zeros(len(whole), kind)
    return np.frombuffer(buffer, kind)[whole.offset : whole.offset + len(whole)]


def _places(indices: Any, beyond: int) -> Any:
    """The numbers of a dictionary's values, `beyond` in the place of nulls."""
    places = numbers(indices).astype(np.int64)
    valid = indices.buffers()[0]
    if not valid:
        return places
    bits = np.unpackbits(np.frombuffer(valid, np.uint8), bitorder="little")
    return np.where(bits[indices.offset : indices.offset + len(indices)], places, beyond)


def _lengths(texts: Any, offsets: type[np.int32 | np.int64]) -> Any:
    """The bytes of each text; Arrow's own function for it takes 40 MB at its first call."""
    buffer = texts.buffers()[1]
    if not buffer:
        return np.zeros(len(texts), np.int64)
    ends = np.frombuffer(buffer, offsets)[texts.offset : texts.offset + len(texts) + 1]
    return np.diff(ends).astype(np.int64)


def _unfolds(kind: pa.DataType) -> bool:
    """Whether values of a type may hold texts by their numbers in a dictionary."""
    if pa.types.is_dictionary(kind):
        return True
    if isinstance(kind, pa.ListType | pa.LargeListType | pa.FixedSizeListType):
        return _unfolds(kind.value_type)
    return isinstance(kind, pa.StructType) and any(_unfolds(kind.field(at).type) for at in range(kind.num_fields))
