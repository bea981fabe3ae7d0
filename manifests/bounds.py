"""What a row and a source may cost, whatever they are written in: bounds that no row of a real job comes near."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["CHARACTERS_OF_YAML", "ROW_KEYS", "ROW_SIGNS", "ROW_SIZE", "ROW_VALUES", "has_too_many_values"]

#: Bytes of a row of Parquet, its texts written out; characters of a line of JSONL or a row of CSV. A story of ten
#: thousand scenes of a few sentences each fits.
ROW_SIZE = 4_000_000
#: Values of a row, those in its lists and settings counted. Each that is wrong costs a kilobyte until it is reported.
ROW_VALUES = 100_000
#: Commas and brackets of a line of JSONL, those in its texts too: what can be told before it is parsed.
ROW_SIGNS = 400_000
#: Keys of one object or block: they can be chosen so that each costs as much as all before it.
ROW_KEYS = 1000
#: Of a whole source, which YAML needs at once; each may take four bytes in each of four copies.
CHARACTERS_OF_YAML = 16_000_000


def has_too_many_values(values: Mapping[str, Any]) -> str | None:
    """Return the column whose values are more than a row may have, counted with those of the columns before it."""
    count = 0
    for column, value in values.items():
        pending = [value] if isinstance(value, list | Mapping) else []
        count += 1
        while pending:
            inner = pending.pop()
            inside = inner.values() if isinstance(inner, Mapping) else inner
            count += len(inside)
            if count > ROW_VALUES:
                return str(column)
            pending += [it for it in inside if isinstance(it, list | Mapping)]
    return None
