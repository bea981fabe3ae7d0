"""Prompts that mean something else than they say: numbers of clocks and ratios after a colon, other tools' spellings.

The grammar reads them all without complaint, `a clock at 12:00` as `a clock at 12` of weight 0. A person who writes a
manifest is told instead (manifests/checking.py); what lies in storage, rendered as it was read, is left as it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator

from manifests.schema.prompts import Prompt, Scene, format_prompts, split_key
from manifests.schema.texts import short

__all__ = ["misread"]

# `12:00`, `16:9`, `3:16`: digits right before the colon, and a whole number without a sign right after it.
_CLOCK = re.compile(r"(?<!\\)[^\s:|\\]*\d(?::\d+)+(?![\w.])", re.ASCII)
# `Apollo: 13`: a blank between the colon and a number that ends the prompt.
_SPACED = re.compile(r"(?<!\\):\s+([+-]?[\d.]+(?:e[+-]?\d+)?)\s*(?:$|\|)", re.IGNORECASE | re.ASCII)
# Chigozie Nri's and Deforum's stories: `0: (apple: 1 | pear: 0), 20: (pear: 1)`
_KEYED = re.compile(r"\s*(\d+)\s*:\s*\(((?:[^()]|\([^()]*\))*)\)\s*(?:,|$)", re.ASCII)
_LONGEST = 10_000  # characters that are looked at


def misread(text: str, scenes: Iterable[Scene]) -> str | None:
    """Say what is wrong with a prompt that the grammar reads as `scenes`, and how to write it; None if nothing is."""
    if ":" not in text:
        return None
    text = text[:_LONGEST]
    return _other_tool(text) or _ambiguous(text) or _weightless(scenes)


def _ambiguous(text: str) -> str | None:
    for segment in re.split(r"(?<!\\)\|", text):
        _, body = split_key(segment)
        if found := _CLOCK.search(body):
            shown = found[0]
            head, _, tail = shown.partition(":")
            numbers, escaped = short(tail.replace(":", ", stop "), 20), short(shown.replace(":", "\\:"))
            return (
                f"'{short(shown)}' would be read as '{short(head)}' of weight {numbers}: write '{escaped}' if it is "
                f"part of the text, or '{short(head)} :{short(tail)}' with a blank if it is a weight"
            )
        if found := _SPACED.search(body):
            number = found[1]
            return (
                f"': {number}' would be read as the weight {number}: write ':{number}' without a blank if it is one, "
                f"or '\\: {number}' if it is part of the text"
            )
    return None


def _weightless(scenes: Iterable[Scene]) -> str | None:
    for scene in scenes:
        if all(prompt.weight == 0 for prompt in scene.prompts):
            return (
                f"all prompts of the scene at frame {scene.at} have the weight 0, so that nothing would be drawn: "
                "give one of them a weight, or write '\\:' where a colon is part of the text"
            )
    return None


def _other_tool(text: str) -> str | None:
    if text.lstrip().startswith("{"):
        found, tool = _from_json(text), "as Deforum's settings have it"
    else:
        found, tool = _from_keyed(text), "in the keyed spelling of other tools"
    if not found:
        return None
    try:
        meant = format_prompts(
            Scene(at=at, prompts=tuple(Prompt(text=it, weight=weight) for it, weight in parts)) for at, parts in found
        )
    except ValueError:
        return f"a story {tool} is not read: write '0: dawn | 120: night', a weight as 'text:0.5'"
    return f"a story {tool} is not read: write '{short(meant, 400)}'"


def _from_json(text: str) -> list[tuple[int, list[tuple[str, float]]]]:
    """Deforum's `{"0": "text --neg other", "30": "text"}`."""
    try:
        story = json.loads(text)
    except (ValueError, RecursionError):
        return []
    if not isinstance(story, dict) or not all(
        isinstance(key, str) and key.isdecimal() and isinstance(value, str) and len(key) < 8
        for key, value in story.items()
    ):
        return []
    return [(int(key), list(_negated(value))) for key, value in story.items()]


def _negated(text: str) -> Iterator[tuple[str, float]]:
    wanted, _, unwanted = text.partition("--neg")
    if wanted.strip():
        yield wanted.strip(), 1.0
    if unwanted.strip():
        yield unwanted.strip(), -1.0


def _from_keyed(text: str) -> list[tuple[int, list[tuple[str, float]]]]:
    scenes, position = [], 0
    while found := _KEYED.match(text, position):
        position = found.end()
        scenes.append((int(found[1][-7:]), [_weighted(part) for part in found[2].split("|") if part.strip()]))
    return scenes if scenes and not text[position:].strip() and all(parts for _, parts in scenes) else []


def _weighted(part: str) -> tuple[str, float]:
    text, _, number = part.rpartition(":")
    try:
        return (text.strip(), float(number)) if text else (part.strip(), 1.0)
    except ValueError:
        return part.strip(), 1.0
