"""Prompts that mean something else than they say: numbers of clocks and ratios after a colon, other tools' spellings.

The grammar reads them all without complaint, `a clock at 12:00` as `a clock at 12` of weight 0. A person who writes a
manifest is told instead (manifests/checking.py); what lies in storage, rendered as it was read, is left as it is.
What is plainly another tool's is refused; what may as well be a text of brackets and dashes is a warning
(flows/job/row_warnings.py), since VQGAN-CLIP, whose grammar this is, knows no choices and no flags either.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from manifests.schema.other_tools import foreign_story, negated
from manifests.schema.prompts import Prompt, Scene, format_prompts, split_key, trailing_numbers
from manifests.schema.texts import short

__all__ = ["doubtful", "misread"]

_SUSPECT = re.compile(r"[:|]|--|^\s*\[")
_NEGATED = re.compile(r"(?:^|\s)--neg\s")
_MAYBE_NEGATED = re.compile(r"(?:^|\s)--no\s")
# What Midjourney takes, with its value: no text says `--ar 16:9`, some may say `stay out --no exceptions`.
_FLAGS = re.compile(
    r"(?:^|\s)--(?:(?:ar|aspect)\s+\d+[:x]\d+|(?:v|version|s|stylize|c|chaos|q|quality|iw|niji|weird|seed)\s+\d[\d.]*)"
    r"(?=\s|$)",
    re.ASCII | re.IGNORECASE,
)
# Of words that are not all capitals, as in a poster that says LOVE AND PEACE.
_JOINED = re.compile(r"[a-z)\d.,]\s+AND\s+[a-z(\d]")
_NUMBER_BEFORE = re.compile(r"(\\?)(\d[\d.,]*)$", re.ASCII)
_SEPARATOR = re.compile(r"[\s:|\\]")
_WHOLE = re.compile(r"[+-]?\d+\.?", re.ASCII)  # `a picture in 16:9.`
_BRACKETS = re.compile(r"\\.|[\[\](){}|]", re.DOTALL)
_PAIRS = {")": "(", "]": "[", "}": "{"}


def misread(text: str, scenes: Iterable[Scene]) -> str | None:
    """Say what is wrong with a prompt that the grammar reads as `scenes`, and how to write it; None if nothing is."""
    if not _SUSPECT.search(text):
        return None
    scenes = list(scenes)
    return foreign_story(text) or _choice(text, "{") or _flag(text, scenes) or _ambiguous(text) or _weightless(scenes)


def doubtful(text: str) -> str | None:
    """Say how a prompt that is not `misread` is read, where it may be meant otherwise; None if nothing is doubtful."""
    if why := _choice(text, "[("):
        return why
    if _MAYBE_NEGATED.search(text):
        return f"'--no' in prompt '{short(text)}' is part of the text: what is unwanted is written '| text:-1'"
    if found := _JOINED.search(text):
        shown = short(text[max(0, found.start() - 20) : found.end() + 20].strip())
        return f"'AND' in '{shown}' is part of the text: several prompts are written 'one | other'"
    return None


def _ambiguous(text: str) -> str | None:
    for segment in re.split(r"(?<!\\)\|", text):
        _, body = split_key(segment)
        head, numbers = trailing_numbers(body)
        if not numbers:
            continue
        if _reads_as_one(head, numbers):
            word = _SEPARATOR.split(head)[-1]
            whole = short(":".join([word, *numbers]).strip())
            mark = short(word)
            stated, tail = short(", stop ".join(numbers).strip(), 20), short(":".join(numbers).strip())
            escaped = whole.replace(":", "\\:")
            return (
                f"'{whole}' would be read as '{mark}' of weight {stated}: write '{escaped}' if it is part of the "
                f"text, or '{mark} :{tail}' with a blank if it is a weight"
            )
        if any(number[:1].isspace() for number in numbers):
            name = "weight" if numbers[0][:1].isspace() else "stop"
            number = next(it for it in numbers if it[:1].isspace()).strip()
            return (
                f"': {number}' would be read as the {name} {number}: write ':{number}' without a blank if it is one, "
                f"or '\\: {number}' if it is part of the text"
            )
    return None


def _reads_as_one(head: str, numbers: list[str]) -> bool:
    """Whether digits right before a colon and numbers right after it look like a clock, a ratio, a score or a verse.

    `1984:0.5` and `route 66:1.5` are a text and its weight.
    """
    before = _NUMBER_BEFORE.search(head[-40:])
    if before is None or before[1] or numbers[0][:1].isspace():
        return False
    first = numbers[0].strip()
    if _WHOLE.fullmatch(first):
        return True
    whole, dot, _ = first.partition(".")
    if not dot or not whole.isdecimal():
        return False
    return len(whole) > 1 or (before[2] == "1" and float(whole) >= 1)  # a lap in 2:03.5; a film in 1:1.85


def _choice(text: str, kinds: str) -> str | None:
    """`{cat|dog} in a hat` of other tools, in brackets of these `kinds`: the bar cuts them in two."""
    opened: list[tuple[str, int, int]] = []  # bracket, where it stands, how many bars came before
    bars = 0
    for found in _BRACKETS.finditer(text):
        sign = found[0]
        if sign == "|":
            bars += 1
        elif sign in _PAIRS.values():
            opened.append((sign, found.start(), bars))
        elif opened and opened[-1][0] == _PAIRS.get(sign):
            opening, start, before = opened.pop()
            if bars > before and opening in kinds:
                shown = short(text[start : found.end()])
                return (
                    f"'{shown}' is cut at its '|' into prompts of their own: write '\\|' if it is part of the text; "
                    "for a choice, write a row for each"
                )
    return None


def _flag(text: str, scenes: list[Scene]) -> str | None:
    if flag := _FLAGS.search(text):
        return (
            f"'{flag[0].strip()}' is a flag of another tool: leave it out; columns such as width, height, seed and "
            "steps say what it would, and '| text:-1' what is unwanted"
        )
    if _NEGATED.search(text) is None:
        return None
    try:
        meant = format_prompts(
            scene.model_copy(update={"prompts": tuple(it for prompt in scene.prompts for it in _parted(prompt))})
            for scene in scenes
        )
    except ValueError:
        meant = "text | unwanted:-1"
    return f"'--neg' of other tools is not read: write '{short(meant, 400)}'"


def _parted(prompt: Prompt) -> Iterator[Prompt]:
    for text, weight in negated(prompt.text):
        yield Prompt(text=text, weight=weight * abs(prompt.weight) if weight < 0 else prompt.weight)


def _weightless(scenes: Iterable[Scene]) -> str | None:
    for scene in scenes:
        if all(prompt.weight == 0 for prompt in scene.prompts):
            return (
                f"all prompts of the scene at frame {scene.at} have the weight 0, so that nothing would be drawn: "
                "give one of them a weight, or write '\\:' where a colon is part of the text"
            )
    return None
