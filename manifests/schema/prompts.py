r"""Prompts, and the compact grammar that users of VQGAN-CLIP know.

    text                      one prompt of weight 1
    text:weight               a negative weight pushes the picture away from the text
    text:weight:stop          the prompt stops pulling once its loss is below `stop`
    prompt | prompt           several prompts at once
    0: prompt | 120: prompt   a story: scenes keyed by frame; segments without a key belong to the scene before them

A backslash takes the next character as it is: `12\:00 at night`, `either \| or`. A colon that is followed by a space
and by something other than a number is plain text: `portrait: a queen`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from functools import lru_cache
from itertools import pairwise
from typing import Annotated

from pydantic import AfterValidator, Field

from manifests.errors import ErrorKind, NightreelError
from manifests.schema.base import Settings
from manifests.schema.texts import short

MAX_FRAME = 1_000_000
MAX_WEIGHT = 1000.0
# Longer texts are parsed each time: what was parsed is remembered for thousands of rows, and must stay small.
REMEMBERED_LENGTH = 1000
_NUMBER = re.compile(r"[+-]?(?:(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?|inf|infinity|nan)", re.IGNORECASE | re.ASCII)
_KEY = re.compile(r"(\d+)\s*:(.*)", re.DOTALL | re.ASCII)
_BAR = re.compile(r"((?:[^\\|]|\\.|\\$)*)(?:\||$)", re.DOTALL)
_COLON = re.compile(r"((?:[^\\:]|\\.|\\$)*)(?::|$)", re.DOTALL)
_FORM = "text:weight:stop, parts joined by '|', scenes keyed by frame as '0: dawn | 120: night'; '\\:' is a plain colon"


class PromptError(NightreelError, ValueError):
    """A prompt that can't be read."""

    kind = ErrorKind.BAD_INPUT


def _strip(text: str) -> str:
    # By Python's notion of white space, as the grammar does: pydantic's own leaves some control characters.
    if not (stripped := text.strip()):
        raise ValueError("a prompt needs a text")
    return stripped


def _check_stop(stop: float) -> float:
    if math.isnan(stop) or stop == math.inf:
        raise ValueError("a stop is a number, or -inf for none")
    return stop


# The two types that every prompt shares, be it text, picture or noise.
Weight = Annotated[
    float,
    Field(ge=-MAX_WEIGHT, le=MAX_WEIGHT, description="How strongly the prompt pulls; a negative one pushes away."),
]
Stop = Annotated[
    float,
    Field(allow_inf_nan=True, description="The prompt stops pulling once its loss is below this; -inf is never."),
    AfterValidator(_check_stop),
]


class Prompt(Settings):
    """One text that the picture is drawn towards, or pushed away from."""

    text: Annotated[str, AfterValidator(_strip)] = Field(max_length=10_000, description="What the picture should show.")
    weight: Weight = 1.0
    stop: Stop = -math.inf


class Scene(Settings):
    """The prompts that hold together from frame `at` until the next scene."""

    at: int = Field(0, ge=0, lt=MAX_FRAME, description="The frame at which the scene starts, counted from 0.")
    prompts: tuple[Prompt, ...] = Field(min_length=1, max_length=100, description="The prompts of the scene.")


def parse_prompts(text: str) -> tuple[Scene, ...]:
    """Read the compact grammar into scenes, sorted by frame, the first at frame 0.

    Raises PromptError, which shows the offending part and what is allowed.
    """
    return (_parse if len(text) <= REMEMBERED_LENGTH else _parse.__wrapped__)(text)


def format_prompts(scenes: Iterable[Scene]) -> str:
    """Write scenes in the compact grammar; the inverse of `parse_prompts`."""
    ordered = sorted(scenes, key=lambda scene: scene.at)
    parts = []
    for scene in ordered:
        key = f"{scene.at}: " if len(ordered) > 1 else ""
        for prompt in scene.prompts:
            parts.append(key + _format_prompt(prompt))
            key = ""
    return " | ".join(parts)


def order_scenes(scenes: Iterable[Scene]) -> tuple[Scene, ...]:
    """Sort scenes by frame; raises PromptError if the first is not at frame 0 or two start at the same frame."""
    ordered = tuple(sorted(scenes, key=lambda scene: scene.at))
    for before, after in pairwise(ordered):
        if before.at == after.at:
            raise PromptError(f"two scenes start at frame {after.at}; give each scene its own frame")
    if ordered and ordered[0].at != 0:
        raise PromptError(
            f"the first scene starts at frame {ordered[0].at}, and frames 0-{ordered[0].at - 1} have no prompt; "
            f"key it '0:', or write '{ordered[0].at}\\:' if the number is part of the text"
        )
    return ordered


@lru_cache(maxsize=4096)
def _parse(text: str) -> tuple[Scene, ...]:
    scenes: list[tuple[int, list[Prompt]]] = []
    for segment in _split(text, _BAR):
        at, rest = split_key(segment)
        if at is not None or not scenes:
            scenes.append((at or 0, []))
        scenes[-1][1].append(_read_prompt(rest, segment))
    return order_scenes(Scene(at=at, prompts=tuple(prompts)) for at, prompts in scenes)


def _split(text: str, pattern: re.Pattern[str]) -> list[str]:
    """Cut `text` at the separators of `pattern` that no backslash precedes; the backslashes stay."""
    parts, position = [], 0
    while True:
        match = pattern.match(text, position)
        assert match is not None  # both patterns match the empty text
        parts.append(match[1])
        position = match.end()
        if match.end() == match.end(1):  # it ended at the end of the text, not at a separator
            return parts


def split_key(segment: str) -> tuple[int | None, str]:
    """Split `120: a city` into its frame and the rest; `1984:0.5` is the text 1984 with a weight, not a key.

    Raises PromptError for a frame beyond all videos.
    """
    match = _KEY.fullmatch(segment.strip())
    if match is None or all(_NUMBER.fullmatch(part.strip()) for part in match[2].split(":")):
        return None, segment
    number = match[1].lstrip("0") or "0"
    if len(number) > len(str(MAX_FRAME)) or int(number) >= MAX_FRAME:
        raise PromptError(
            f"prompt '{short(segment.strip())}': frame {short(number, 20)} is beyond the limit of {MAX_FRAME - 1}; "
            f"if the number is part of the text, write '\\:' after it"
        )
    return int(number), match[2]


def trailing_numbers(rest: str) -> tuple[str, list[str]]:
    """Part what is taken for the text from the numbers after it, which stay as they are written."""
    parts = _split(rest, _COLON)
    numbers = _pop_numbers(parts)
    return ":".join(parts), numbers


def _pop_numbers(parts: list[str]) -> list[str]:
    numbers: list[str] = []
    while len(parts) > 1 and _NUMBER.fullmatch(parts[-1].strip()):
        numbers.append(parts.pop())
    return numbers[::-1]


def _read_prompt(rest: str, segment: str) -> Prompt:
    shown = short(segment.strip())
    parts = _split(rest, _COLON)
    numbers = [float(number) for number in _pop_numbers(parts)]
    if len(numbers) > 2:
        raise PromptError(f"prompt '{shown}': {len(numbers)} numbers follow the text; allowed is {_FORM}")
    tight = [part for part in parts[1:] if not part[:1].isspace()]  # after a colon and a space, text goes on
    if tight:
        # in 'a:1.5:x' it is the x: the last part is no number, or it would have been taken for one
        wrong = next((part for part in tight if not _NUMBER.fullmatch(part.strip())), parts[-1])
        raise PromptError(f"prompt '{shown}': ':{short(wrong.strip(), 20)}' is not a number; allowed is {_FORM}")
    text = re.sub(r"\\(.)", r"\1", ":".join(parts), flags=re.DOTALL).strip()
    if not text:
        where = "nothing stands" if not segment.strip() else "no text stands"
        raise PromptError(f"prompt '{shown}': {where} between the separators; allowed is {_FORM}")
    if len(text) > 10_000:
        raise PromptError(f"prompt '{shown}': {len(text)} characters; at most 10000 are allowed")
    weight, stop = (*numbers, *(1.0, -math.inf)[len(numbers) :])
    if not abs(weight) <= MAX_WEIGHT:
        raise PromptError(
            f"prompt '{shown}': weight {weight:g} is outside -{MAX_WEIGHT:g} to {MAX_WEIGHT:g}; "
            f"if the number is part of the text, write '\\:' before it"
        )
    if math.isnan(stop) or stop == math.inf:
        raise PromptError(f"prompt '{shown}': stop {stop} is not allowed; it is a number, or -inf for none")
    return Prompt(text=text, weight=weight, stop=stop)


def _format_prompt(prompt: Prompt) -> str:
    text = re.sub(r"([\\:|])", r"\\\1", prompt.text)
    if _NUMBER.fullmatch(text):
        text = "\\" + text  # a text such as 7 must not be taken for a weight
    if prompt.stop != -math.inf:
        return f"{text}:{_format_number(prompt.weight)}:{_format_number(prompt.stop)}"
    return text if prompt.weight == 1 else f"{text}:{_format_number(prompt.weight)}"


def _format_number(value: float) -> str:
    return repr(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
