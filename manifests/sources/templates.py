"""Texts with names in braces, `{subject} in {style}`, as `expand` fills them.

Names are the only thing that is filled in: `str.format` would also follow attributes, and pad to any width.
"""

from __future__ import annotations

import re
import string
from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from typing import Any

from manifests.errors import ErrorKind, NightreelError
from manifests.schema.texts import did_you_mean, short
from manifests.sources.choices import Name, Node, Parts, Text
from manifests.sources.wildcards import ChoiceError, Lists, read_choices

__all__ = ["TemplateError", "fill", "names_in", "nearly_named", "read_id", "read_template"]

_LONGEST_NAME, _LOOKED_AT = 100, 20  # of what stands in braces and is no name: each is compared with all names
_NAMED = re.compile(r"\{([^{}]*)\}")


class TemplateError(NightreelError, ValueError):
    """A text that can't be read as a template; the message goes on from `'template' of expand`."""

    kind = ErrorKind.BAD_INPUT


def read_template(text: str, names: Collection[str], lists: Lists | None = None) -> Node:
    """Read a template: `{name}` of one of `names`, and choices (wildcards.py) unless `lists` is None. In one without
    choices a brace that is meant as one is written twice.

    Raises:
        TemplateError: it holds another name, or can't be read.
    """
    try:
        fields = list(string.Formatter().parse(text))
        unknown = next((it for it in fields if it[1] is not None and (it[1] not in names or it[2] or it[3])), None)
        why = "" if unknown is None else _unknown(str(unknown[1]), names)
    except ValueError as error:
        why = f"can't be read ({error}): {short(text)}"
    if lists is not None and (why or "__" in text):
        try:
            return read_choices(text, names, lists)
        except ChoiceError as error:
            raise TemplateError(str(error)) from error
    if why:
        raise TemplateError(why)
    return Parts([node for literal, name, *_ in fields for node in _nodes(literal, name)])


def read_id(text: str, names: Collection[str]) -> Node:
    """Read the template of an id, in which a brace can stand for nothing but a name.

    Raises:
        TemplateError: as `read_template`.
    """
    parts = _NAMED.split(text)
    for name in parts[1::2]:
        if name not in names:
            raise TemplateError(_unknown(name, names))
    if any("{" in part or "}" in part for part in parts[::2]):
        raise TemplateError(f"can't be read (a brace has no other one): {short(text)}")
    pairs = zip(parts[::2], [*parts[1::2], None], strict=True)
    return Parts([node for literal, name in pairs for node in _nodes(literal, name)])


def names_in(value: Any, names: Collection[str], *, whole: bool = True) -> Iterator[str]:
    """The names in braces in the texts of `value`, at any depth; other braces are texts. `whole`: those, too, that are
    all that a text holds."""
    for text in _texts(value):
        if whole or not _NAMED.fullmatch(text):
            yield from (name for name in _NAMED.findall(text) if name in names)


def nearly_named(value: Any, names: Collection[str]) -> tuple[str, str] | None:
    """What stands in braces in the texts of `value` and is none of `names`, but near to one, and a question for it."""
    unknown = {name: None for text in _texts(value) for name in _NAMED.findall(text) if name not in names}
    for name in islice((it for it in unknown if len(it) <= _LONGEST_NAME), _LOOKED_AT):
        if hint := did_you_mean(name, names):
            return name, hint
    return None


def fill(value: Any, texts: Mapping[str, str], values: Mapping[str, Any]) -> Any:
    """`value` with what its texts name: the value itself, where nothing but its name stands there, else its text."""
    if isinstance(value, str):
        if (whole := _NAMED.fullmatch(value)) and whole[1] in values:
            return values[whole[1]]
        return _NAMED.sub(lambda found: texts.get(found[1], found[0]), value)
    if isinstance(value, Mapping):
        return {key: fill(inner, texts, values) for key, inner in value.items()}
    if isinstance(value, list):
        return [fill(inner, texts, values) for inner in value]
    return value


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list):
        for inner in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(inner)


def _nodes(literal: str, name: str | None) -> Iterator[Node]:
    if literal:
        yield Text(literal)
    if name is not None:
        yield Name(name)


def _unknown(name: str, names: Collection[str]) -> str:
    hint = did_you_mean(name, names)
    known = ", ".join(f"{{{short(known)}}}" for known in list(names)[:20])
    return f"holds '{{{short(name)}}}'; {hint + ' ' if hint else ''}allowed are {known}"
