"""Rows that are alike: a manifest of a million stills has a million names, prompts and seeds, and few other settings.

What a row is held to, other than each value by itself, is what its columns say together. Where `may_vary` says so,
none of that hangs on the name, the prompt and the seed: a row that differs in these alone from a good one is good, if
each of them is; and nothing has to look at all its other columns again.
"""

from __future__ import annotations

import re
from typing import Any, TypeGuard

from manifests.schema.consistency import limited_columns
from manifests.schema.row import RESERVED_ID, VIDEO_ID_PATTERN, ManifestRow

__all__ = ["Alike", "AlikeRows", "is_name", "is_plain", "is_seed", "may_vary"]

# Of texts that a grammar reads, or that may hold another tool's spelling (prompts.py, spelling.py), or that are none.
_SIGNS = re.compile(r"[:|\\\u2013\u2014\ud800-\udfff]|--|^\s*\[")
_LONGEST = 10_000
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)", re.ASCII)
_NAME = re.compile(VIDEO_ID_PATTERN.strip("^$"))


def is_name(video_id: Any) -> TypeGuard[str]:
    """Return whether this is a name that a row may give its video."""
    return isinstance(video_id, str) and video_id != RESERVED_ID and _NAME.fullmatch(video_id) is not None


def is_plain(prompt: Any) -> TypeGuard[str]:
    """Return whether a prompt is one text of usual weight, as it stands; any that is not may be good all the same."""
    return (
        isinstance(prompt, str) and len(prompt) <= _LONGEST and _SIGNS.search(prompt) is None and bool(prompt.strip())
    )


def is_seed(seed: Any) -> bool:
    """Return whether this is a seed that a row may have."""
    return type(seed) is int and 0 <= seed < 2**63


def may_vary(row: ManifestRow) -> bool:
    """Return whether `row`, a good one, is good with any other `video_id`, plain prompt and seed.

    Not where an expression may ask for the seed, a text is joined with others, or a video is named by its own row.
    """
    return (
        row.prompt is not None
        and is_plain(row.prompt)
        and row.prefix is None
        and row.suffix is None
        and row.continues is None
        and row.regions is None
        and not row.travel
        and next(row.changing_values(), None) is None
        and all(_NUMBER.fullmatch(text.strip()) for text in limited_columns(row, row.model_fields_set))
    )


class Alike:
    """Rows that differ in `video_id`, `prompt` and `seed` alone, made without validating anything."""

    __slots__ = ("_given", "_values", "row")

    def __init__(self, row: ManifestRow) -> None:
        """`row` is one of them, and good; see `may_vary`."""
        self.row = row
        # without what it has computed of them
        self._values = {name: row.__dict__[name] for name in ManifestRow.model_fields}
        self._given = row.model_fields_set

    def of(self, video_id: str, prompt: str, seed: int) -> ManifestRow:
        """Return the row of these; each is as it may be, and the seed is the first row's where that gives none."""
        values = self._values.copy()
        values["video_id"], values["prompt"], values["seed"] = video_id, prompt, seed
        made = ManifestRow.__new__(ManifestRow)
        put = object.__setattr__  # as pydantic's own `model_construct`, which sets each default anew
        put(made, "__dict__", values)
        put(made, "__pydantic_fields_set__", self._given)
        put(made, "__pydantic_extra__", None)
        put(made, "__pydantic_private__", None)
        return made


class AlikeRows:
    """Rows of whose like there are many, from their values: those of a kind are validated once. Safe to share by
    threads."""

    def __init__(self, most: int = 256) -> None:
        """`most`: kinds that are remembered, each of some 20 kB."""
        self._most = most
        self._known: dict[str, Alike] = {}

    def row(self, values: Any) -> ManifestRow:
        """Return what `ManifestRow.model_validate` returns of the same values, and raise what it raises."""
        if type(values) is not dict:
            return ManifestRow.model_validate(values)
        video_id, prompt, seed = values.get("video_id"), values.get("prompt"), values.get("seed", 0)
        if not (is_name(video_id) and is_plain(prompt) and is_seed(seed)):
            return ManifestRow.model_validate(values)
        others = {name: value for name, value in values.items() if name not in ("video_id", "prompt")}
        has_seed = others.pop("seed", None) is not None
        key = repr((has_seed, others))
        known = self._known.get(key)
        if known is not None:
            return known.of(video_id, prompt, seed)
        row = ManifestRow.model_validate(values)
        if may_vary(row):
            if len(self._known) >= self._most:
                self._known.clear()
            self._known[key] = Alike(row)
        return row
