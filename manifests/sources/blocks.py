"""One `expand` block of a YAML source, read and checked: what it costs is known before a row is made of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from slugify import slugify

from manifests.results import ManifestError
from manifests.schema.describe import known_columns, nested_columns
from manifests.schema.texts import did_you_mean, short
from manifests.sources import costs
from manifests.sources.choices import Node
from manifests.sources.tables import Table, Tables
from manifests.sources.templates import TemplateError, names_in, nearly_named, read_id, read_template
from manifests.sources.wildcards import Lists

__all__ = ["Axis", "Block", "read_block", "slug"]

_READ = 10_000  # characters of a value that its id is made of
_LONGEST_PART, _LONGEST_ID = 60, 120  # characters of a value in an id, and of an id that nobody has chosen
_LONGEST_NAME = 100
_FORMER = {"subjects": "subject", "styles": "style", "seeds": "seed"}
_KEYS = [*_FORMER, "axes", "table", "template", "id", "set", "mode", "count", "seed", "wildcards"]
_PROMPTS = ("prompt", "prompts")
_NAME = re.compile(r"[^{}|$\\\x00-\x1f]+")
_NUMBER = re.compile(r"-?\d[\d.e+-]*")


@dataclass(frozen=True)
class Axis:
    """What a name stands for, one after the other: values, the texts that they are in texts, and in ids (empty where
    none of its signs can be in one). `column`: what it sets, if it is a column of the row."""

    name: str
    values: list[Any]
    texts: list[str]
    slugs: list[str]
    column: str | None = None


@dataclass(frozen=True)
class Block:
    """A block, read. `template` is the prompt's, None where the block says nothing of the prompt. `plain`: it has the
    first keys only; then `set` is as it stands, and holds no names. `draw`: how many combinations are drawn, of each
    row of the table if there is one; None for all."""

    axes: list[Axis]
    table: Table | None
    template: Node | None
    id: Node
    common: dict[str, Any]
    plain: bool
    draw: int | None
    seed: int

    @property
    def combinations(self) -> int:
        """How many there are, for each row of the table."""
        return prod(len(axis.values) for axis in self.axes) * (self.template.count if self.template is not None else 1)

    @property
    def rows(self) -> int:
        """How many rows are made of them."""
        each = self.combinations if self.draw is None else self.draw
        return each * (self.table.rows if self.table is not None else 1)


def read_block(block: Any, place: str, tables: Tables, lists: Lists, budget: costs.Budget) -> Block:
    """Read a block; `place` is for messages, `tables` and `lists` are the source's, `budget` is what is left of its.

    Raises:
        ManifestError: it can't be read, or stands for more than a manifest may hold.
    """
    try:
        return _read(block, tables, lists, budget)
    except (TemplateError, ManifestError) as error:
        raise ManifestError(f"{place}: {error}") from error


def _read(block: Any, tables: Tables, lists: Lists, budget: costs.Budget) -> Block:
    if not isinstance(block, Mapping):
        raise ManifestError(f"expand is {type(block).__name__}; write a block with {', '.join(_KEYS)}")
    for key in block:
        if key not in _KEYS:
            hint = did_you_mean(str(key), _KEYS)
            raise ManifestError(f"expand knows no '{short(str(key))}'; {hint} Known are {', '.join(_KEYS)}")
    only_first = set(block) <= {*_FORMER, "template", "id", "set"}
    plain = only_first and "subjects" in block
    given = [*_former(block), *_axes(block.get("axes"))]
    part = _LONGEST_PART
    if not plain and "id" not in block:
        part = max(8, min(part, _LONGEST_ID // max(1, len(given)) - 1))
    axes = [_axis(name, values, part, plain=plain) for name, values in given]
    names = [axis.name for axis in axes]
    if twice := next((name for name in names if names.count(name) > 1), None):
        former = next(key for key, name in _FORMER.items() if name == twice)
        raise ManifestError(f"expand has '{twice}' twice: '{former}' stands for it, and 'axes' names it; leave one out")
    if only_first and "subject" not in names and "template" not in block:
        raise ManifestError(
            "expand needs 'subjects', a list of texts (or 'axes', a block of lists, or 'table', a file)"
        )
    draw, seed = _sample(block)
    if not axes and not {"table", "template", "set"} & set(block):
        raise ManifestError("expand needs 'axes', a block of lists, such as 'axes: {style: [ink, oil]}'")
    common = block.get("set") or {}
    if not isinstance(common, Mapping):
        raise ManifestError("'set' of expand must be a block of columns, such as 'set: {frames: 48}'")
    if (size := prod(len(axis.values) for axis in axes)) > costs.MAX_ROWS and draw is None:  # before a file is read
        raise ManifestError(costs.too_many(axes, None, size, 1))
    table = tables.get(block["table"], costs.MAX_ROWS) if "table" in block else None
    if table is not None:
        if clash := next((name for name in names if name in table.columns), None):
            raise ManifestError(
                f"'{short(clash)}' is an axis of expand and a column of {table.name}; rename one of them"
            )
        names += [column for column in table.columns if _NAME.fullmatch(column)]
    is_plain_text = _boolean(block, "wildcards", default=True) is False
    template = _template(block, axes, names, common, None if is_plain_text else lists, plain=plain)
    made = Block(axes, table, template, _id(block, axes, names, table), dict(common), plain, draw, seed)
    costs.check_size(made)
    if not plain:
        _check_columns(axes, common)
        _check_names(block, made, names)
    costs.check_length(made, budget)
    return made


def _sample(block: Mapping[str, Any]) -> tuple[int | None, int]:
    """How many combinations are drawn (None for all), and the seed of it."""
    mode = block.get("mode", "all")
    if mode not in ("all", "sample"):
        raise ManifestError(f"'mode' of expand is '{short(str(mode))}'; allowed are all, sample")
    for key, low, high in (("count", 1, costs.MAX_ROWS), ("seed", 0, 2**63 - 1)):
        value = block.get(key, low)
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise ManifestError(
                f"'{key}' of expand is {short(repr(value))}; allowed is a whole number from {low} to {high:,}"
            )
        if key in block and mode == "all":
            raise ManifestError(f"'{key}' of expand is for 'mode: sample', which draws some combinations by chance; "
                                "give it, too, or leave it out")  # fmt: skip
    if mode == "sample" and "count" not in block and "table" not in block:
        raise ManifestError("'mode: sample' of expand needs 'count', the number of rows to draw, such as 'count: 100'")
    return (None if mode == "all" else block.get("count", 1)), block.get("seed", 0)


def _boolean(block: Mapping[str, Any], key: str, *, default: bool) -> bool:
    value = block.get(key, default)
    if not isinstance(value, bool):
        raise ManifestError(f"'{key}' of expand is {short(repr(value))}; allowed are true, false")
    return value


def _former(block: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, name in _FORMER.items():
        if key in block:
            values = block[key]
            if not isinstance(values, list) or not values or not all(isinstance(v, str | int | float) for v in values):
                raise ManifestError(f"expand needs '{key}' to be a list of texts or numbers with at least one entry")
            yield name, values


def _axes(given: Any) -> Iterator[tuple[str, list[Any]]]:
    if given is None:
        return
    if not isinstance(given, Mapping) or not given:
        raise ManifestError(
            "'axes' of expand must be a block of lists, such as 'axes: {style: [ink, oil], seed: [0, 1]}'"
        )
    for key, values in given.items():
        name = str(key)
        if not _NAME.fullmatch(name) or len(name) > _LONGEST_NAME or name != name.strip():
            raise ManifestError(
                f"axis '{short(name)}' of expand is no name: allowed are 1 to {_LONGEST_NAME} characters without "
                "braces, '|', '$' and '\\'"
            )
        if name == "axes":
            raise ManifestError("axis 'axes' of expand: that column says which combination a row is; name it otherwise")
        if name == "video_id":
            raise ManifestError(
                "axis 'video_id' of expand: names of videos come from 'id', such as 'id: \"{subject}-{style}\"'"
            )
        if "." in name and name not in known_columns():
            hint = did_you_mean(name, known_columns())
            raise ManifestError(
                f"axis '{short(name)}' of expand is no column; {hint or 'a name with a dot must be one'}"
            )
        if not isinstance(values, list) or not values:
            raise ManifestError(f"axis '{name}' of expand needs a list with at least one entry")
        allowed = _allowed(name)
        for number, value in enumerate(values, start=1):
            if not isinstance(value, allowed):
                kinds = "texts and numbers" if name not in known_columns() else "values of the column"
                raise ManifestError(
                    f"axis '{name}' of expand: entry {number} is {short(_text(value))!r}, a {type(value).__name__}; "
                    f"allowed are {kinds}"
                )
        yield name, values


def _allowed(name: str) -> tuple[type, ...]:
    """What a value of an axis may be: of a column anything that it may hold, null for `not given` too."""
    if name not in known_columns():
        return (str, int, float)
    return (str, int, float, type(None), *((list, dict) if name in nested_columns() else ()))


def _axis(name: str, values: list[Any], part: int, *, plain: bool) -> Axis:
    texts = [str(value) if plain else _text(value) for value in values]
    slugs = [
        slug(text, part, plain=plain) if not isinstance(it, list | dict) else ""
        for it, text in zip(values, texts, strict=True)
    ]
    column = name if (name in known_columns() and not plain) or name == "seed" else None
    return Axis(name, values, texts, slugs, column)


def _text(value: Any) -> str:
    """A value as it stands in a text."""
    if value is None or isinstance(value, bool):
        return {None: "none", True: "true", False: "false"}[value]
    return json.dumps(value, ensure_ascii=False, default=str) if isinstance(value, list | dict) else str(value)


def slug(text: str, part: int = _LONGEST_PART, *, plain: bool = False) -> str:
    """A text as a part of an id: of numbers sign and dot stay, by which they differ (`plain`: as of other texts)."""
    if not plain and len(text) <= part and _NUMBER.fullmatch(text):
        return text.replace("-", "minus", 1) if text.startswith("-") else text.replace("+", "")
    return str(slugify(text[:_READ], max_length=part))


def _template(
    block: Mapping[str, Any], axes: list[Axis], names: list[str], common: Mapping[str, Any], lists: Lists | None, *,
    plain: bool,
) -> Node | None:  # fmt: skip
    """The prompt's template; None where the block says nothing of the prompt."""
    free = [axis.name for axis in axes if axis.column is None]
    by_column = [name for name in _PROMPTS if name in common or name in {axis.name for axis in axes}]
    if "template" not in block:
        if not plain and (by_column or not free):
            return _read_text(common["prompt"], "'prompt' in 'set'", names, lists) if "prompt" in common else None
        return read_template(", ".join(f"{{{name}}}" for name in free), names)
    if not plain and by_column:
        raise ManifestError(f"expand has both 'template' and '{by_column[0]}', which is the prompt, too; leave one out")
    return _read_text(block["template"], "'template'", names, lists)


def _read_text(text: Any, key: str, names: list[str], lists: Lists | None) -> Node:
    if not isinstance(text, str):
        raise ManifestError(f'{key} of expand must be text, such as "{{subject}}, {{style}}"')
    try:
        return read_template(text, names, lists)
    except TemplateError as error:
        raise TemplateError(f"{key} of expand {error}") from error


def _id(block: Mapping[str, Any], axes: list[Axis], names: list[str], table: Table | None) -> Node:
    usual = [axis.name for axis in axes]
    if table is not None and "id" not in block:
        if "video_id" not in table.columns:
            raise ManifestError(
                f"expand with the table {table.name} needs 'id', the names of its videos, such as "
                f"'id: \"{{{short(next(iter(table.columns)))}}}\"', or a column 'video_id' in it"
            )
        usual = ["video_id", *usual]
    text = block.get("id", "-".join(f"{{{name}}}" for name in usual) or "video")
    if not isinstance(text, str):
        raise ManifestError("'id' of expand must be text, such as \"{subject}-{style}\"")
    try:
        return read_id(text, names)
    except TemplateError as error:
        raise TemplateError(f"'id' of expand {error}") from error


def _check_columns(axes: list[Axis], common: Mapping[str, Any]) -> None:
    """Raise ManifestError where two say what a column is: the one that comes last would win without a word."""
    for axis in axes:
        if axis.column is None:
            continue
        group, dot, rest = axis.column.partition(".")
        inner = common.get(group)
        if axis.column in common or (dot and isinstance(inner, Mapping) and rest in inner):
            raise ManifestError(f"expand sets '{axis.column}' twice: by the axis, and by 'set'; leave one out")
        if whole := next((it for it in axes if dot and it.column == group), None):
            raise ManifestError(
                f"expand sets '{axis.column}' by two axes, of which '{whole.name}' holds it; leave one out"
            )


def _check_names(block: Mapping[str, Any], made: Block, names: list[str]) -> None:
    """Raise ManifestError for what stands in `set` and is nearly a name, and for an axis that changes nothing."""
    if near := nearly_named(made.common, names):
        raise ManifestError(f"'set' of expand holds '{{{short(near[0])}}}'; {near[1]}")
    used = {*names_in(made.common, names), *(made.template.uses if made.template is not None else ())}
    if "id" in block:
        used |= set(made.id.uses)
    for axis in made.axes:
        if axis.column is None and axis.name not in used:
            hint = did_you_mean(axis.name, known_columns())
            raise ManifestError(
                f"axis '{axis.name}' of expand changes nothing: it is no column, and neither 'template' nor 'set' "
                f"holds '{{{axis.name}}}'{'; ' + hint if hint else ''}"
            )
