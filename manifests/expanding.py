"""Subjects x styles: one short block of a YAML source that stands for many rows.

expand:
  subjects: [a red apple, a lighthouse]
  styles: [watercolour, oil painting]
  seeds: [0, 1]                          # optional, like styles
  template: "{subject}, {style}"         # the prompt; the braces may name subject, style, seed
  id: "{subject}-{style}-{seed}"         # the video_id; each part is slugified
  set: {frames: 48, zoom: 1.02}          # optional: any other column, the same for all
"""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import product
from typing import Any

from slugify import slugify

from manifests.results import ManifestError
from manifests.schema.texts import did_you_mean, short

MAX_ROWS = 1_000_000
_READ = 10_000  # characters of a subject that its id is made of
_MOST_CHARACTERS = 500_000_000  # of the prompts and ids of a block: a million of usual length
_AXES = {"subjects": "subject", "styles": "style", "seeds": "seed"}
_KEYS = [*_AXES, "template", "id", "set"]


def expand(block: Any, place: str) -> Iterator[dict[str, Any]]:
    """The rows of one `expand` block, subjects varying slowest; `place` is for messages.

    Raises ManifestError for a block that can't be read. Equal ids (two subjects that differ in punctuation only) are
    distinguished by `-2`, `-3`.
    """
    axes, template, id_template, common = _read(block, place)
    used: dict[str, int] = {}
    slug_of = cache(_slug)
    slug = {name: [slug_of(str(value)) for value in values] for name, values in axes.items()}
    for number, (values, slugs) in enumerate(
        zip(product(*axes.values()), product(*slug.values()), strict=True), start=1
    ):
        parts = dict(zip(axes, values, strict=True))
        named = {name: it or f"{name}{number}" for name, it in zip(axes, slugs, strict=True)}
        row = {"video_id": _unused(id_template.format_map(named), used), "prompt": template.format_map(parts), **common}
        if "seed" in parts:
            row["seed"] = parts["seed"]
        yield row


def _slug(text: str) -> str:
    return str(slugify(text[:_READ], max_length=60))


def _unused(wanted: str, used: dict[str, int]) -> str:
    """`wanted`, or the first `wanted-2`, `wanted-3` that is free; each search goes on where the last one ended."""
    name, number = wanted, used.get(wanted, 0)
    while name in used:
        number += 1
        name = f"{wanted}-{number}"
    used[wanted] = max(number, 1)
    used.setdefault(name, 1)
    return name


def _read(block: Any, place: str) -> tuple[dict[str, list[Any]], str, str, dict[str, Any]]:
    if not isinstance(block, Mapping):
        raise ManifestError(f"{place}: expand is {type(block).__name__}; write a block with {', '.join(_KEYS)}")
    for key in block:
        if key not in _KEYS:
            hint = did_you_mean(str(key), _KEYS)
            raise ManifestError(f"{place}: expand knows no '{short(str(key))}'; {hint} Known are {', '.join(_KEYS)}")
    axes: dict[str, list[Any]] = {}
    total = 1
    for key, name in _AXES.items():
        if key not in block:
            continue
        values = block[key]
        if not isinstance(values, list) or not values or not all(isinstance(v, str | int | float) for v in values):
            raise ManifestError(
                f"{place}: expand needs '{key}' to be a list of texts or numbers with at least one entry"
            )
        axes[name] = values
        total *= len(values)
    if "subject" not in axes:
        raise ManifestError(f"{place}: expand needs 'subjects', a list of texts")
    if total > MAX_ROWS:
        raise ManifestError(f"{place}: expand makes {total:,} rows; at most {MAX_ROWS:,} are allowed in one block")
    common = block.get("set") or {}
    if not isinstance(common, Mapping):
        raise ManifestError(f"{place}: 'set' of expand must be a block of columns, such as 'set: {{frames: 48}}'")
    texts = [f"{{{name}}}" for name in axes if name != "seed"]
    template = _template(block.get("template", ", ".join(texts)), "template", axes, place)
    id_template = _template(block.get("id", "-".join(f"{{{name}}}" for name in axes)), "id", axes, place)
    _check_length(axes, template, id_template, total, place)
    return axes, template, id_template, dict(common)


def _check_length(axes: Mapping[str, list[Any]], template: str, id_template: str, rows: int, place: str) -> None:
    """Raise ManifestError where a short block would stand for more text than anybody reads."""
    longest = {name: max(len(str(value)) for value in values) for name, values in axes.items()}
    each = sum(
        len(text) + longest.get(name or "", 0)
        for form in (template, id_template)
        for text, name, *_ in string.Formatter().parse(form)
    )
    if each * rows > _MOST_CHARACTERS:
        raise ManifestError(
            f"{place}: expand makes {rows:,} rows of up to {each:,} characters; at most {_MOST_CHARACTERS:,} "
            "characters are allowed in one block"
        )


def _template(text: Any, key: str, axes: Mapping[str, Any], place: str) -> str:
    """Check a template: plain `{name}` only, since str.format would also follow attributes and pad to any width."""
    if not isinstance(text, str):
        raise ManifestError(f"{place}: '{key}' of expand must be text, such as \"{{subject}}, {{style}}\"")
    try:
        fields = [entry for entry in string.Formatter().parse(text) if entry[1] is not None]
    except ValueError as error:
        raise ManifestError(f"{place}: '{key}' of expand can't be read ({error}): {short(text)}") from error
    for _, name, width, conversion in fields:
        if name not in axes or width or conversion:
            known = ", ".join(f"{{{axis}}}" for axis in axes)
            raise ManifestError(f"{place}: '{key}' of expand holds '{{{short(name or '')}}}'; allowed are {known}")
    return text
