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
from manifests.schema.prompts import format_prompts, segments, split_key, trailing_numbers, without_expressions
from manifests.schema.scenes import Prompt, Scene, plain_number
from manifests.schema.texts import short

__all__ = ["doubtful", "misread", "misread_part", "misread_texts"]

_SUSPECT = re.compile(r"[:|\u2013\u2014]|--|^\s*\[")
# What there is in whatever `doubtful` says something of.
_DOUBTFUL = re.compile(r"[|:/-]|AND|BREAK")
_NEGATED = re.compile(r"(?:^|\s)--neg\s")
_MAYBE_NEGATED = re.compile(r"(?:^|\s)--no\s")
# What Midjourney and scripts take, with its value: no text says `--ar 16:9`, some may say `stay out --no exceptions`.
# Telephones and word processors make one dash of two.
_FLAGS = re.compile(
    r"(?:^|\s)(?:--|[\u2013\u2014])(?:(?:ar|aspect)\s+\d+[:x]\d+|(?:v|version|s|stylize|c|chaos|q|quality|iw|niji|weird|seed"
    r"|stop|w|h|width|height|steps|iterations|n_iter|cfg_scale|scale|cw|sw|repeat)\s+\d[\d.]*|[sco]ref\s+\S+|style\s+raw)"
    r"(?=\s|$)",
    re.ASCII | re.IGNORECASE,
)
# What Automatic1111 writes into its pictures.
_PARAMETERS = re.compile(r"\bNegative prompt:|\bSteps: \d+, Sampler:", re.ASCII)
_SHORT_FLAG = re.compile(r"(?:^|\s)-(?:[WHCS]\s?\d[\d.]*|s\d[\d.]*)(?=\s|$)", re.ASCII)
_COMMAND = re.compile(r"\s*/imagine\b")
_NAMED_FRAME = re.compile(r"(?:^|\|)\s*((?:frame|keyframe|t|f)\s*[=#]?\s*\d+\s*:)", re.ASCII | re.IGNORECASE)
# Of words that are not all capitals, as in a poster that says LOVE AND PEACE.
_JOINED = re.compile(r"[a-z)\d.,]\s+(AND(?:_PERP|_SALT)?|BREAK)\s+[a-z(\d]")
# `0:30 in a film`: a key has a blank behind its colon, or a text that does not begin with a digit.
_TIME_FIRST = re.compile(r"\s*(\d+):(\d+)", re.ASCII)
_NUMBER_BEFORE = re.compile(r"(\\?)(\d[\d.,]*)$", re.ASCII)
_SEPARATOR = re.compile(r"[\s:|\\]")
_WHOLE = re.compile(r"[+-]?\d+\.?", re.ASCII)  # `a picture in 16:9.`
_BRACKETS = re.compile(r"\\.|[\[\](){}|]", re.DOTALL)
_PAIRS = {")": "(", "]": "[", "}": "{"}


def misread(text: str, scenes: Iterable[Scene]) -> str | None:
    """Say what is wrong with a prompt that the grammar reads as `scenes`, and how to write it; None if nothing is."""
    if not _SUSPECT.search(text):
        return None
    scenes, shape = list(scenes), without_expressions(text)
    return (
        foreign_story(shape) or _choice(shape, "{") or _flag(shape, scenes) or _ambiguous(text) or _weightless(scenes)
    )


def misread_texts(scenes: Iterable[Scene], *, pictures: bool) -> str | None:
    """`misread` for scenes that were given as such, whose texts no grammar reads; `pictures` hold throughout."""
    scenes = list(scenes)
    for text in (prompt.text for scene in scenes for prompt in scene.prompts):
        if _SUSPECT.search(text) and (why := foreign_story(text) or _flag(text, ())):
            return f"text '{short(text)}': {why}"
    return None if pictures else _weightless(scenes)


def misread_part(text: str) -> str | None:
    """`misread` for a part of a prompt that may begin or end with a bar, and may push away only."""
    if not _SUSPECT.search(text):
        return None
    text = text.strip().strip("|")
    shape = without_expressions(text)
    return _choice(shape, "{") or _flag(shape, ()) or _ambiguous(text)


def doubtful(text: str) -> str | None:
    """Say how a prompt that is not `misread` is read, where it may be meant otherwise; None if nothing is doubtful."""
    if not _DOUBTFUL.search(text):
        return None
    text = without_expressions(text)
    if why := _choice(text, "[("):
        return why
    if _MAYBE_NEGATED.search(text):
        return f"'--no' in prompt '{short(text)}' is part of the text: what is unwanted is written '| text:-1'"
    if found := _JOINED.search(text):
        shown = short(text[max(0, found.start() - 20) : found.end() + 20].strip(), of=text)
        return f"'{found[1]}' in '{shown}' is part of the text: several prompts are written 'one | other'"
    if found := _SHORT_FLAG.search(text) or _COMMAND.match(text):
        return f"'{found[0].strip()}' in prompt '{short(text)}' is part of the text: columns say what flags would"
    if found := _NAMED_FRAME.search(text):
        return f"'{found[1]}' in prompt '{short(text)}' is part of the text: scenes are written '0: dawn | 120: night'"
    return None


def _ambiguous(text: str) -> str | None:
    for segment in segments(text):
        at, body = split_key(segment)
        if at is not None and (found := _TIME_FIRST.match(segment)):
            return (
                f"'{short(found[0].strip())}' would be read as '{short(found[2])}' from frame {at} on: write "
                f"'{short(found[1])}\\:{short(found[2])}' if it is part of the text, or a blank behind the colon if it "
                "is a frame"
            )
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
                shown = short(text[start : found.end()], of=text)
                return (
                    f"'{shown}' is cut at its '|' into prompts of their own: write '\\|' if it is part of the text; "
                    "for a choice, write a row for each, or build it with 'wildcards: true'"
                )
    return None


def _flag(text: str, scenes: Iterable[Scene]) -> str | None:
    if found := _PARAMETERS.search(text):
        return f"'{found[0]}' of other tools is not read: write 'text | unwanted:-1', and its settings in columns"
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
        meant = ""
    meant = meant or "text | unwanted:-1"
    return f"'--neg' of other tools is not read: write '{short(meant, 400)}'"


def _parted(prompt: Prompt) -> Iterator[Prompt]:
    for text, weight in negated(prompt.text):
        pulls = plain_number(prompt.weight)
        yield Prompt(text=text, weight=weight * abs(pulls) if weight < 0 and pulls is not None else prompt.weight)


def _weightless(scenes: Iterable[Scene]) -> str | None:
    for scene in scenes:
        if all(plain_number(prompt.weight) == 0 for prompt in scene.all_prompts):
            return (
                f"all prompts of the scene at frame {scene.at} have the weight 0, so that nothing would be drawn: "
                "give one of them a weight, or write '\\:' where a colon is part of the text"
            )
    return None
