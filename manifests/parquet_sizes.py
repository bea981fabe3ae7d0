"""How much of a Parquet file is read at a time, so that memory stays bounded whatever it holds.

A file of a kilobyte can hold a text of 20 MB in every one of its rows: stored once, in a dictionary, and repeated by
number. So the longest text of a row group's dictionaries is looked at before its rows are read.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from manifests.results import ManifestError
from manifests.schema.texts import short

__all__ = ["check_types", "rows_at_once"]

# A batch is cut so that its values, as the file declares their sizes, stay below this.
BATCH_BYTES = 64_000_000
# More than any row can be allowed to hold.
ROW_BYTES = 200_000_000

_PLAIN = (
    pa.types.is_null, pa.types.is_boolean, pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal,
    pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary,
)  # fmt: skip


def check_types(schema: pa.Schema, name: str) -> None:
    """Raise ManifestError for a column of a type that no value of a row has, such as a time or a map."""
    for field in schema:
        if (foreign := _foreign(field.type)) is not None:
            raise ManifestError(
                f"{name}: column '{short(field.name)}' holds values of the type {short(str(foreign))}; "
                "write it as text or numbers, or leave it out"
            )


def rows_at_once(stream: Any, parquet: pq.ParquetFile, number: int, most: int, name: str) -> int:
    """How many rows of row group `number` (from 0) are read at a time: at most `most`, fewer where they are large.

    Raises:
        ManifestError: rows are beyond all measure.
        Whatever Arrow raises for a damaged file.
    """
    group = parquet.metadata.row_group(number)
    size = sum(group.column(index).total_uncompressed_size for index in range(group.num_columns))
    each = size / max(1, group.num_rows)
    if each > ROW_BYTES:
        raise ManifestError(
            f"{name} has rows of {each / 1e6:,.0f} MB in row group {number + 1}; at most {ROW_BYTES // 1_000_000} MB "
            "are allowed"
        )
    return max(1, min(most, int(BATCH_BYTES / max(each, _longest_repeated(stream, parquet, number), 1))))


def _longest_repeated(stream: Any, parquet: pq.ParquetFile, number: int) -> int:
    """Bytes of the longest text in the dictionaries of a row group, which come with its first row."""
    columns = [parquet.schema.column(index) for index in range(len(parquet.schema))]
    texts = [column.path for column in columns if column.physical_type == "BYTE_ARRAY"]
    reader = pq.ParquetFile(stream, metadata=parquet.metadata, read_dictionary=texts)
    first = next(reader.iter_batches(batch_size=1, row_groups=[number]), None)
    return max((_longest(column) for column in first.columns), default=0) if first is not None else 0


def _longest(array: pa.Array[Any]) -> int:
    if isinstance(array, pa.DictionaryArray):
        texts = array.dictionary
        if isinstance(texts, pa.StringArray | pa.BinaryArray | pa.LargeStringArray | pa.LargeBinaryArray):
            return max((length or 0 for length in pc.binary_length(texts).to_pylist()), default=0)
        return 0
    if isinstance(array, pa.StructArray):
        return max((_longest(array.field(index)) for index in range(array.type.num_fields)), default=0)
    if isinstance(array, pa.ListArray | pa.LargeListArray | pa.FixedSizeListArray):
        return _longest(array.values)
    return 0


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
