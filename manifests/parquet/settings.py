"""The rows of a batch by their settings: all columns but those of name, prompt and seed, of which a manifest of a
million stills has as many as it has rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from manifests.parquet.rows import numbers
from manifests.schema.alike import Alike

__all__ = ["OwnValues", "RowKinds", "RowSettings"]

_OWN = ("video_id", "prompt", "seed")
_MOST_KINDS = 1000  # that are remembered, each of up to some 20 kB
_FEW = 8  # rows of a kind on average, without which looking for kinds costs more than it spares


class RowSettings:
    """What all rows of a kind have in common; `alike` is set by whoever has found one of them good, and all others so
    far as what they have of their own is."""

    __slots__ = ("_common", "_names", "alike", "looked_at")

    def __init__(self, names: tuple[str, ...], common: Mapping[str, Any]) -> None:
        """`names` are those of all columns in their order, and `common` the values of those that are no row's own."""
        self._names, self._common = names, common
        self.alike: Alike | None = None
        self.looked_at = False

    def values(self, own: OwnValues) -> dict[str, Any]:
        """Return all that one row gives, in the order of its columns."""
        mine = {"video_id": own.video_id, "prompt": own.prompt, "seed": own.seed}
        found = {}
        for name in self._names:
            if name in self._common:
                found[name] = self._common[name]
            elif (value := mine.get(name)) is not None:
                found[name] = value
        return found


class OwnValues(NamedTuple):
    """What a row of a kind has of its own, None for what it leaves out."""

    kind: RowSettings
    video_id: str | None
    prompt: str | None
    seed: int | None


class RowKinds:
    """The kinds of rows of one file. The rows of a kind have the same values, absent ones included, in all columns but
    `video_id`, `prompt` and `seed`, and all have a seed or none has."""

    def __init__(self, to_values: Callable[[pa.RecordBatch], list[dict[str, Any]]]) -> None:
        """`to_values` turns a batch into what its rows give."""
        self._to_values = to_values
        self._known: dict[str, RowSettings] = {}

    def rows(self, batch: pa.RecordBatch) -> Iterator[OwnValues] | None:
        """Return the rows of a batch; None where they are of too many kinds, or its columns of unusual types.

        Raises:
            ValueError, OverflowError: a text of it is not UTF-8.
        """
        names = batch.schema.names
        if batch.num_rows < _FEW or any("." in name for name in names) or not _usual(batch):
            return None
        codes = _codes(batch)
        if codes is None:
            return None
        _, firsts, kinds = np.unique(codes, return_index=True, return_inverse=True)
        if len(firsts) * _FEW > batch.num_rows:
            return None
        made = [self._kind(batch.slice(int(first), 1)) for first in firsts]
        own = [batch.column(names.index(it)).to_pylist() if it in names else [None] * batch.num_rows for it in _OWN]
        return (OwnValues(made[kind], *values) for kind, *values in zip(kinds.tolist(), *own, strict=True))

    def _kind(self, row: pa.RecordBatch) -> RowSettings:
        (values,) = self._to_values(row)
        common = {name: value for name, value in values.items() if name not in _OWN}
        # what is absent is not there; numbers of one value and two types are not the same
        key = repr((common, "seed" in values))
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= _MOST_KINDS:
                self._known.clear()
            known = self._known[key] = RowSettings(tuple(row.schema.names), common)
        return known


def _usual(batch: pa.RecordBatch) -> bool:
    """Whether name and prompt are columns of texts, and the seed, if there is one, is a column of whole numbers."""
    kinds = {field.name: field.type for field in batch.schema}
    texts = [kinds.get(name) for name in ("video_id", "prompt")]
    if not all(kind is not None and (pa.types.is_string(kind) or pa.types.is_large_string(kind)) for kind in texts):
        return False
    return "seed" not in kinds or pa.types.is_integer(kinds["seed"]) or pa.types.is_null(kinds["seed"])


def _codes(batch: pa.RecordBatch) -> Any:
    """A number for each row, the same for those of a kind; None where there are more than numbers can tell."""
    codes, many = np.zeros(batch.num_rows, np.int64), 1
    for field, column in zip(batch.schema, batch.columns, strict=True):
        if field.name in ("video_id", "prompt") or column.null_count == len(column):
            continue
        if field.name == "seed":
            each, count = np.array(column.is_null().to_pylist(), np.int64), 2
        else:
            each, count = _codes_of(column)
        many *= count
        if many >= 2**62:
            return None
        codes = codes * count + each
    return codes


def _codes_of(column: Any) -> tuple[Any, int]:
    """A number for each value of a column, and how many there are."""
    kind = column.type
    if pa.types.is_nested(kind) or pa.types.is_dictionary(kind):
        seen: dict[str, int] = {}
        each = [seen.setdefault(repr(value), len(seen)) for value in column.to_pylist()]
        return np.array(each, np.int64), len(seen)
    if pa.types.is_floating(kind):  # 0.0 is not -0.0 where it is written as text
        column = column.view({16: pa.int16(), 32: pa.int32(), 64: pa.int64()}[kind.bit_width])
    found = column.dictionary_encode(null_encoding="encode")
    return numbers(found.indices).astype(np.int64), len(found.dictionary)
