"""`wildcards: true` of a row: the choices in its prompt are made by chance, one of each, when the manifest is built."""

from __future__ import annotations

from typing import Any

from manifests.results import RowProblem
from manifests.schema.texts import short
from manifests.sources.chance import Chance
from manifests.sources.wildcards import ChoiceError, Lists, read_choices

__all__ = ["WILDCARDS", "drawn"]

#: Not a column of a manifest: what is built holds the finished text.
WILDCARDS = "wildcards"
_SAID = {True: True, False: False, "true": True, "false": False}


def drawn(values: dict[str, Any], lists: Lists, file: str, number: int, unit: str) -> dict[str, Any] | RowProblem:
    """The values of a row with the choices of its prompt made, or what is wrong with them.

    By the row's name and seed, so that rows before it change nothing.
    """
    if WILDCARDS not in values:
        return values
    values = dict(values)
    said = values.pop(WILDCARDS)
    video_id = values.get("video_id")
    shown_id = short(str(video_id), 128) if isinstance(video_id, str | int) else None

    def problem(column: str, value: object, allowed: str, message: str) -> RowProblem:
        return RowProblem(file, number, shown_id, column, short(str(value), 80), allowed, message, unit)

    wanted = (
        _SAID.get(said.strip().lower() if isinstance(said, str) else said) if isinstance(said, str | bool) else None
    )
    if wanted is None:
        return problem(WILDCARDS, said, "true or false", f"wildcards is '{short(str(said))}'")
    prompt = values.get("prompt")
    if not wanted or not isinstance(prompt, str):
        return values
    try:
        node = read_choices(prompt, (), lists)
    except ChoiceError as error:
        return problem("prompt", prompt, "", f"prompt {error}")
    values["prompt"] = node.draw(Chance(str(values.get("seed", 0)), str(video_id)), {})
    return values
