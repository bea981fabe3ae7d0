"""Bounded readers of what other tools' settings are written in: JSON, YAML, Python's literals. Nothing is evaluated."""

from __future__ import annotations

import ast
import json
import math
import re
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from manifests.bounds import CHARACTERS_OF_YAML, ROW_KEYS, ROW_SIGNS
from manifests.errors import first_line
from manifests.results import ManifestError
from manifests.schema.texts import plural, short
from manifests.sources.jsonl_source import read_json
from manifests.sources.plain_yaml import check_size

__all__ = ["LONGEST_CODE", "assignments", "dictionary", "frame_number", "is_plain_number", "literal", "mapping_of"]

#: Characters of a command line, of a Python literal, and of a YAML: people write them by hand.
LONGEST_CODE = 200_000
_MOST_VALUES, _DEEPEST = 20_000, 20  # of a YAML
_NESTED = 50  # brackets of a literal in each other
_ASSIGNED = re.compile(r"[ \t]*([A-Za-z_]\w*)[ \t]*=[ \t]*(?!=)(.*)")
_QUOTED = re.compile(r"\"(?:[^\"\\\n]|\\.)*\"|'(?:[^'\\\n]|\\.)*'")
_BROKEN = (SyntaxError, ValueError, TypeError, MemoryError, RecursionError, OverflowError, KeyError, AttributeError)
_BROKEN_YAML = (yaml.YAMLError, ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError)


def is_plain_number(value: object) -> bool:
    """Whether a value is a finite number, and no truth."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def frame_number(key: Any) -> int | None:
    """The frame that a key names, `24` or `"24"`; None for anything else."""
    text = str(key).strip()
    return int(text[:9]) if text.isascii() and text.isdecimal() else None


def mapping_of(text: str, name: str) -> dict[str, Any]:
    """The keys and values of a document: a JSON object, a Python dictionary, lines `name = value`, or YAML.

    Raises:
        ManifestError: it is none of these, or larger than any settings; the message names file and place.
    """
    if len(text) > CHARACTERS_OF_YAML:
        raise ManifestError(f"{name}: it has {len(text):,} characters, and may have {CHARACTERS_OF_YAML:,}")
    stripped = text.strip()
    if stripped[:1] in ("{", "["):
        found = _braced(stripped, name)
    elif _bare_pairs(stripped):
        found = _braced("{" + stripped.rstrip(",") + "}", name)
    elif (assigned := dict(assignments(text, name))) and len(assigned) > 1:
        found = assigned
    else:
        found = _yaml(text, name)
    if not isinstance(found, dict) or not found:
        raise ManifestError(f"{name}: it holds no settings by name, but {_kind(found)}")
    cleaned: dict[str, Any] = _cleaned({str(key): value for key, value in found.items()})
    return cleaned


def _bare_pairs(text: str) -> bool:
    """Whether a text is `"0": "dawn", "24": "night"`, a dictionary without its braces, as Fizz's nodes take it."""
    return re.match(r"""["']?\d+["']?\s*:\s*["']""", text) is not None


def _braced(text: str, name: str) -> Any:
    if (signs := sum(text.count(it) for it in ",[{")) > ROW_SIGNS:
        raise ManifestError(
            f"{name}: it has {signs:,} commas and brackets, and may have {ROW_SIGNS:,}; cut it into several videos"
        )
    try:
        return read_json(text)
    except RecursionError as error:
        raise ManifestError(f"{name}: nested too deeply to be settings") from error
    except ValueError as error:
        if text[0] == "{" and isinstance(error, json.JSONDecodeError):
            try:
                return literal(text)
            except ValueError:
                pass
        # JSON's own words name line and column
        raise ManifestError(f"{name}: not valid JSON ({short(first_line(error), 200)})") from error


def literal(text: str) -> Any:
    """The value of a Python literal: numbers, texts, lists, dictionaries; nothing is called or looked up.

    Raises:
        ValueError: it is none, or longer or deeper than anybody writes.
    """
    if len(text) > LONGEST_CODE:
        raise ValueError(f"{len(text):,} characters, and at most {LONGEST_CODE:,} are read")
    depth = deepest = 0
    for sign in re.findall(r"[\[({\])}]", _QUOTED.sub("", text)):
        depth += 1 if sign in "[({" else -1
        deepest = max(deepest, depth)
    if deepest > _NESTED:
        raise ValueError(f"nested deeper than {_NESTED} brackets")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # a backslash in somebody's text
            tree = ast.parse(text.strip(), mode="eval")
            for node in ast.walk(tree):
                if isinstance(node, ast.Dict) and len(node.keys) > ROW_KEYS:
                    raise ValueError(f"a dictionary has {len(node.keys):,} keys, and may have {ROW_KEYS:,}")
            return ast.literal_eval(tree)
    except _BROKEN as error:
        raise ValueError(f"no Python literal ({short(first_line(error), 100)})") from error


def dictionary(text: str) -> Any:
    """The value of a Python dictionary, with the braces around it or without.

    Raises:
        ValueError: it is none.
    """
    text = text.strip().rstrip(",")
    return literal(text if text.startswith("{") else "{" + text + "}")


def assignments(text: str, name: str) -> Iterator[tuple[str, Any]]:
    """The names and values of lines such as `max_frames = 50 #@param {type:"number"}`, a notebook's cell. Other lines
    are passed over; of two values for one name the last one counts, as in Python. What is no literal is its text.

    Raises:
        ManifestError: there are more than any cell has.
    """
    if len(text) > LONGEST_CODE:
        return
    count = 0
    for line in text.splitlines():
        if (found := _ASSIGNED.fullmatch(line)) is None:
            continue
        count += 1
        if count > ROW_KEYS:
            raise ManifestError(f"{name}: it has more than {plural(ROW_KEYS, 'setting')}")
        value = _without_comment(found[2]).strip()
        try:
            yield found[1], literal(value)
        except ValueError:
            yield found[1], value


def _without_comment(text: str) -> str:
    bare = _QUOTED.sub(lambda quoted: "x" * len(quoted[0]), text)
    return text[: bare.index("#")] if "#" in bare else text


def _yaml(text: str, name: str) -> Any:
    if len(text) > LONGEST_CODE:
        raise ManifestError(f"{name}: it has {len(text):,} characters, and may have {LONGEST_CODE:,}")
    try:
        check_size(text, name, _MOST_VALUES, _DEEPEST, "settings have")
        return yaml.safe_load(text)
    except _BROKEN_YAML as error:
        if isinstance(error, ManifestError):
            raise
        mark = getattr(error, "problem_mark", None)
        place = f" line {mark.line + 1}" if mark else ""
        reason = getattr(error, "problem", None) or first_line(error)
        raise ManifestError(f"{name}{place}: not valid YAML ({short(str(reason), 200)})") from error


def _kind(value: Any) -> str:
    return "nothing" if value in (None, "", [], {}) else f"a {type(value).__name__}"


def _cleaned(value: Any) -> Any:
    """`value` without halves of characters, which no file can hold."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, Mapping):
        return {_cleaned(key): _cleaned(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set):
        return [_cleaned(inner) for inner in value]
    return value
