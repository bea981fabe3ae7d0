"""What a field allows, in words: derived from the row's JSON schema, for error messages, help texts and `docs`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from manifests.schema.base import SettingsError
from manifests.schema.row import ManifestRow

MOST_WRONG = 5  # sentences about one row


@dataclass(frozen=True, slots=True)
class FieldInfo:
    """One field of the row: dotted name, what it is for, what it allows, and its default (None where there is none)."""

    name: str
    description: str
    allowed: str
    default: Any
    required: bool


@cache
def describe_fields() -> tuple[FieldInfo, ...]:
    """All fields of a row in order; nested settings follow their group, with dotted names (`cutouts.number`)."""
    return tuple(_walk("", _schema()))


@cache
def known_columns() -> frozenset[str]:
    """Every name that may stand at the head of a column, dotted ones included."""
    return frozenset(field.name for field in describe_fields())


@cache
def nested_columns() -> frozenset[str]:
    """The columns that hold lists or settings, which a cell of text gives as JSON."""
    kinds = {name: _resolve(raw).get("type") for name, raw in _schema()["properties"].items()}
    return frozenset(name for name, kind in kinds.items() if kind in ("array", "object"))


def allowed_at(location: tuple[int | str, ...]) -> str:
    """What the field at pydantic's error `location` allows; an empty text where the row has no such field."""
    node = _schema()
    for part in location:
        node = _resolve(node)
        if isinstance(part, int):
            node = node.get("items", {})
        elif part in node.get("properties", {}):
            node = node["properties"][part]
        else:
            return ""
    return _allowed(node)


def wrong_in(error: ValidationError) -> str:
    """Say of the columns of a row that pydantic refuses which they are and why; not their values, which may be of any
    size."""
    found = error.errors(include_url=False, include_input=False)
    more = f"; and {len(found) - MOST_WRONG} more" if len(found) > MOST_WRONG else ""
    return "; ".join(map(_wrong, found[:MOST_WRONG])) + more


def _wrong(details: ErrorDetails) -> str:
    location, cause = details["loc"], details.get("ctx", {}).get("error")
    if isinstance(cause, SettingsError):
        location = (*location, *cause.column.split("."))
    said, allowed = str(cause or ""), allowed_at(location)
    if not said:
        said = f"allowed is {allowed}" if allowed and details["type"] != "extra_forbidden" else details["msg"]
    return f"{dotted(location)}: {said}"


def dotted(location: Iterable[int | str]) -> str:
    """Pydantic's error `location` as people write it: `bands[0].low`."""
    text = ""
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text or "row"


def names_at(location: tuple[int | str, ...]) -> list[str]:
    """The names of the fields that the settings at `location` have."""
    node = _schema()
    for part in location:
        node = _resolve(node)
        node = node.get("items", {}) if isinstance(part, int) else node.get("properties", {}).get(part, {})
    return list(_resolve(node).get("properties", {}))


@cache
def _schema() -> dict[str, Any]:
    return ManifestRow.model_json_schema()


def _resolve(node: dict[str, Any]) -> dict[str, Any]:
    """`node` without references and without `or null`, its own words (description, allowed) kept."""
    options = [option for option in node.get("anyOf", []) if option.get("type") != "null"]
    if options:
        return _resolve({**options[0], **{key: value for key, value in node.items() if key != "anyOf"}})
    if "$ref" in node:
        target = _schema()["$defs"][node["$ref"].rpartition("/")[2]]
        return {**target, **{key: value for key, value in node.items() if key != "$ref"}}
    return node


def _walk(prefix: str, node: dict[str, Any]) -> Iterator[FieldInfo]:
    # what settings that one may leave out must have when they are there is asked of nobody
    required = [] if prefix else node.get("required", [])
    for name, raw in node["properties"].items():
        field = _resolve(raw)
        yield FieldInfo(
            prefix + name, field.get("description", ""), _allowed(raw), field.get("default"), name in required
        )
        if "properties" in field:
            yield from _walk(f"{prefix}{name}.", field)


def _allowed(raw: dict[str, Any]) -> str:
    node = _resolve(raw)
    kind = node.get("type")
    if "allowed" in node:
        return str(node["allowed"])
    if "enum" in node:
        return "one of " + ", ".join(node["enum"])
    if kind in ("integer", "number"):
        return ("a whole number" if kind == "integer" else "a number") + _bounds(node)
    if kind == "string":
        return (
            f"text of {node.get('minLength', 0)} to {node['maxLength']} characters" if "maxLength" in node else "text"
        )
    if kind == "boolean":
        return "true or false"
    if kind == "array":
        most = f"up to {node['maxItems']:,} entries of " if "maxItems" in node else ""
        return f"a list of {most}" + ", ".join(_resolve(node["items"]).get("properties", {}))
    if kind == "object":
        return "settings: " + ", ".join(node.get("properties", {}))
    return ""


def _bounds(node: dict[str, Any]) -> str:
    low = high = ""
    if "minimum" in node:
        low = f"{node['minimum']:,g}" if isinstance(node["minimum"], float) else f"{node['minimum']:,}"
    elif "exclusiveMinimum" in node:
        low = f"above {node['exclusiveMinimum']:,g}"
    if "maximum" in node:
        high = f"{node['maximum']:,g}" if isinstance(node["maximum"], float) else f"{node['maximum']:,}"
    elif "exclusiveMaximum" in node:
        limit = node["exclusiveMaximum"]
        # the limit's own type says nothing: pydantic writes `lt=1` of a float as a whole 1
        high = f"{limit - 1:,}" if node.get("type") == "integer" else f"below {limit:,g}"
    if low and high:
        return f" {low} to {high}" if low.startswith("above") else f" from {low} to {high}"
    return f" of at least {low}" if low else f" of at most {high}" if high else ""
