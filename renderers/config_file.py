"""Somebody else's YAML or JSON, within bounds: how large it is as a text, how deep, and how large once it unfolds."""

from __future__ import annotations

import json
import reprlib
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from renderers.errors import ModelFilesBroken

__all__ = ["clipped", "problems_of", "read_config", "read_json_config", "read_yaml", "shown_value"]

# taming's configs have some 2,000 bytes, 100 values and 6 levels.
MAX_BYTES = 256 * 2**10
MAX_VALUES = 10_000
MAX_DEPTH = 50
MAX_TEXT = 4_000  # characters of one value
MAX_NUMBER = 10**6  # of a JSON: widths, layers, and words of a vocabulary
MAX_SAID = 300  # characters of a message, of those that may hold words of the file's

_REPR = reprlib.Repr()
_REPR.maxlevel = 2
_REPR.maxstring = _REPR.maxother = _REPR.maxlong = 80


def read_config(path: Path) -> Any:
    """Give the document of the YAML file at `path`: plain values, no objects.

    Raises:
        ModelFilesBroken: it is missing, no YAML, or beyond the bounds above.
    """
    return read_yaml(path, "a taming config")


def read_yaml(path: Path, what: str) -> Any:
    """Give the document of the YAML file at `path`, which should be `what`: plain values, no objects.

    Raises:
        ModelFilesBroken: it is missing, no YAML, or beyond the bounds above.
    """
    try:
        text = _text_of(path)
        _check_bounds(text)
        return yaml.safe_load(text)
    except Exception as error:  # beside YAMLError, PyYAML lets ValueError, IndexError and others out of odd values
        raise ModelFilesBroken(f"'{path}' is not {what}: {clipped(error)}") from error


def read_json_config(path: Path) -> dict[str, Any]:
    """Give the object in the JSON file at `path`, such as open_clip's `open_clip_config.json`.

    Raises:
        ModelFilesBroken: it is missing, no JSON object, or beyond the bounds above.
    """
    try:
        found = json.loads(_text_of(path), parse_constant=_no_constant)
        if not isinstance(found, dict):
            raise ModelFilesBroken("it is no block with names")
        _check_values(found)
        return found
    except RecursionError as error:
        raise ModelFilesBroken(f"'{path}' can't be read: it is nested more than {MAX_DEPTH} levels deep") from error
    except (ModelFilesBroken, OSError, ValueError) as error:
        raise ModelFilesBroken(f"'{path}' can't be read: {clipped(error)}") from error


def _no_constant(name: str) -> Any:
    raise ValueError(f"it has the number {name}")


def _check_values(found: Any) -> None:
    """Raise ModelFilesBroken for values that are too many, too deep, or of a network that no machine holds."""
    level, count = [found], 0
    for depth in range(MAX_DEPTH + 1):
        count += len(level)
        if count > MAX_VALUES:
            raise ModelFilesBroken(f"it has more than {MAX_VALUES:,} values")
        for value in level:
            if isinstance(value, int | float) and not abs(value) <= MAX_NUMBER:
                raise ModelFilesBroken(f"it has the number {shown_value(value)}, and may have {MAX_NUMBER:,}")
        blocks = [value for value in level if isinstance(value, dict | list)]
        level = [part for block in blocks for part in (block.values() if isinstance(block, dict) else block)]
        if level and depth == MAX_DEPTH:
            raise ModelFilesBroken(f"it is nested more than {MAX_DEPTH} levels deep")


def _text_of(path: Path) -> str:
    if path.exists() and not path.is_file():
        raise ModelFilesBroken("it is no regular file")
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ModelFilesBroken(f"it has more than {MAX_BYTES:,} bytes")
    return data.decode("utf-8")


def _check_bounds(text: str) -> None:
    """Go through the YAML without building it: a few aliases of aliases unfold to billions of values.

    Raises:
        ModelFilesBroken: it is too deep, too large, or holds itself.
        yaml.YAMLError: it is no YAML.
    """
    values = [0]  # in each container that is open, the outermost first: how many values it has, unfolded
    anchors: list[str | None] = []
    unfolded: dict[str, int] = {}
    for event in yaml.parse(text, Loader=yaml.SafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            values.append(1)
            anchors.append(event.anchor)
            if len(values) > MAX_DEPTH:
                raise ModelFilesBroken(f"it is nested more than {MAX_DEPTH} levels deep (line {_line(event)})")
        elif isinstance(event, yaml.CollectionEndEvent):
            size, anchor = values.pop(), anchors.pop()
            values[-1] += size
            if anchor is not None:
                unfolded[anchor] = size
        elif isinstance(event, yaml.AliasEvent):
            if event.anchor not in unfolded:
                raise ModelFilesBroken(f"its alias stands for nothing, or for what it is in (line {_line(event)})")
            values[-1] += unfolded[event.anchor]
        elif isinstance(event, yaml.ScalarEvent):
            values[-1] += 1
            if event.anchor is not None:
                unfolded[event.anchor] = 1
            if len(event.value) > MAX_TEXT:
                raise ModelFilesBroken(f"it has a text of over {MAX_TEXT:,} characters (line {_line(event)})")
        if values[-1] > MAX_VALUES:
            raise ModelFilesBroken(f"it unfolds to more than {MAX_VALUES:,} values (line {_line(event)})")


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark is not None else 0


def problems_of(error: ValidationError) -> str:
    """Say where the first three values are that are wrong, and why; not the values, which may be of any size."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    reasons = [f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in found[:3]]
    return clipped("; ".join(reasons) + (f"; and {len(found) - 3} more" if len(found) > 3 else ""))


def clipped(error: object) -> str:
    """What `error` says, in at most some 300 characters."""
    said = str(error)
    return said if len(said) <= MAX_SAID else f"{said[:MAX_SAID]}..."


def shown_value(value: object) -> str:
    """Write `value` as Python would, in at most some 300 characters, however large it is."""
    return clipped(_REPR.repr(value))
