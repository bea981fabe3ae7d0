"""A manifest's source in JSONL: one object per line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from manifests.bounds import ROW_KEYS, ROW_SIGNS, ROW_SIZE
from manifests.checking import VideoIds, check_row, drop_unset, nest
from manifests.results import RowProblem, RowResult
from manifests.schema.texts import short
from manifests.sources.beside import Beside
from manifests.sources.drawing import drawn
from manifests.sources.lines import LongLine
from manifests.sources.wildcards import Lists

__all__ = ["objects_of_jsonl", "read_json", "rows_of_jsonl"]


def rows_of_jsonl(lines: Iterator[str], name: str, ids: VideoIds, beside: Beside | None = None) -> Iterator[RowResult]:
    """Validate the objects of a JSONL; numbers are those of its lines. `beside` reads lists that it names."""
    lists = Lists(beside)
    for found in objects_of_jsonl(lines, name):
        if isinstance(found, RowProblem):
            yield found
            continue
        number, values = found
        made = drawn(nest(values), lists, name, number, "line")
        if isinstance(made, RowProblem):
            yield made
        else:
            yield from check_row(made, file=name, number=number, ids=ids, unit="line")


def objects_of_jsonl(lines: Iterator[str], name: str) -> Iterator[RowProblem | tuple[int, dict[str, Any]]]:
    """The objects of a JSONL behind the numbers of their lines, what is null left out; or what is wrong with a line."""
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            if isinstance(line, LongLine):  # refused unread: JSON takes thirty times its length in memory
                raise ValueError(f"it has {line.size:,} characters, and may have {ROW_SIZE:,}")
            if (signs := sum(line.count(it) for it in ",[{")) > ROW_SIGNS:
                raise ValueError(f"it has {signs:,} commas and brackets, and may have {ROW_SIGNS:,}")
            values = drop_unset(read_json(line))
        except (ValueError, RecursionError) as error:
            reason = f"not valid JSON ({error})"
        else:
            if isinstance(values, dict):
                yield number, values
                continue
            reason = f"a JSON {type(values).__name__}"
        message = f"the line is {reason}"
        yield RowProblem(name, number, None, "", short(line.strip()), "one JSON object per line", message, "line")


def read_json(text: str) -> Any:
    """Read JSON, in which a key given twice is an error instead of a silent loss of the first.

    Raises:
        ValueError, RecursionError: it is none, or holds more keys than any object of a row.
    """
    return json.loads(text, object_pairs_hook=_object)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(pairs) > ROW_KEYS:
        raise ValueError(f"an object has {len(pairs):,} keys, and may have {ROW_KEYS:,}")
    made = dict(pairs)
    if len(made) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise ValueError(f"the key '{short(twice)}' is given twice")
    return made
