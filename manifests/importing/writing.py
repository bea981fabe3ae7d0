"""What was imported, as YAML with comments that `nightreel manifest build` reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from manifests.checking import nest
from manifests.importing.account import FATES
from manifests.importing.source import Imported
from manifests.schema.texts import short

__all__ = ["lines_of_account", "written"]

_TITLES = {
    "mapped": "mapped: said exactly", "approximated": "approximated: said nearly, by this rule", "dropped": "dropped: "
    "left out, for this reason; * would show", "needs you": "needs you: missing, and what to do",
}  # fmt: skip
_WIDTH = 118
_LONGEST_WORDS = 1000


def written(found: Imported) -> str:
    """The rows of a source of a manifest, below what became of each key."""
    lines = [
        f"# Imported from settings of {found.title}: the motion and the story of a project, drawn by another model.",
        "# What became of each key of the source:",
        *(f"# {line}" for line in lines_of_account(found)),
        *(f"# Note: {_comment(it)}" for it in _advice(found)),
        "",
    ]
    if found.blocks:
        lines.append("expand:")
        for block in found.blocks:
            lines += _item({**block, "set": nest(block["set"])}, {}, "  ")
    else:
        lines.append("videos:")
        for draft in found.drafts:
            lines += _item(nest(draft.columns), draft.notes, "  ")
    return "\n".join(lines) + "\n"


def lines_of_account(found: Imported) -> Iterable[str]:
    """The four lists, a line for each key."""
    for fate in FATES:
        entries = found.account.of(fate)
        showing = sum(entry.shows for entry in entries.values())
        yield f"{_TITLES[fate]} ({len(entries)}{f', {showing} of them *' if showing else ''})"
        for key, entry in entries.items():
            sign = "*" if entry.shows else " "
            yield f" {sign}{_comment(short(key, 80))}: {_comment(short(entry.words, _LONGEST_WORDS))}"


def _advice(found: Imported) -> list[str]:
    return list(dict.fromkeys(it for draft in found.drafts for it in draft.advice))


def _comment(text: str) -> str:
    """`text` on one line, without signs that YAML takes for the end of one, or for none of its own."""
    return "".join(sign if sign.isprintable() else " " for sign in text)


def _item(values: Mapping[str, Any], notes: Mapping[str, str], indent: str) -> list[str]:
    """One item of a list: a line or a block for each column, behind the note that it has."""
    made: list[str] = []
    for column, value in values.items():
        if note := notes.get(column):
            made.append(f"# {_comment(short(note, _LONGEST_WORDS))}")
        made += _yaml(column, value)
    return [f"{indent}{'- ' if not number else '  '}{line}" if line else line for number, line in enumerate(_led(made))]


def _led(lines: list[str]) -> list[str]:
    """Lines of which the first is no comment: it carries the dash of the list."""
    first = next(at for at, line in enumerate(lines) if not line.startswith("#"))
    return [lines[first], *lines[:first], *lines[first + 1 :]] if first else lines


def _yaml(column: str, value: Any) -> list[str]:
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e9:
        value = int(value)
    flow = isinstance(value, Mapping) and not any(isinstance(it, list | Mapping) for it in value.values())
    text = yaml.safe_dump(
        {column: value}, sort_keys=False, allow_unicode=True, width=_WIDTH if not isinstance(value, str) else 1_000_000,
        default_flow_style=None if flow or isinstance(value, list) else False,
    )  # fmt: skip
    return text.rstrip("\n").split("\n")
