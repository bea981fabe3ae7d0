"""What a video is drawn towards, and when: texts, pictures and noise, with weights that may change in time."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from itertools import pairwise
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from manifests.errors import ErrorKind, NightreelError
from manifests.schema.base import Settings
from manifests.schema.keyframes import Keyframes, check_text
from manifests.schema.neutral import Neutral
from manifests.schema.timeline import Timeline

__all__ = [
    "LONGEST_TEXT", "LONGEST_WEIGHT", "MAX_FRAME", "MAX_WEIGHT", "NUMBER", "ImagePrompt", "NoisePrompt", "Prompt",
    "PromptError", "Scene", "Uri", "in_time", "number_text", "order_scenes", "plain_number",
]  # fmt: skip

MAX_FRAME = 1_000_000
MAX_WEIGHT = 1000.0
LONGEST_TEXT = 10_000
LONGEST_WEIGHT = 100_000  # as long as keyframes may be
NUMBER = re.compile(r"[+-]?(?:(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?|inf|infinity|nan)", re.IGNORECASE | re.ASCII)

Uri = Annotated[str, Field(min_length=1, max_length=4096)]


class PromptError(NightreelError, ValueError):
    """A prompt that can't be read."""

    kind = ErrorKind.BAD_INPUT


def number_text(value: float) -> str:
    """A number in the one spelling that weights and stops have here."""
    return repr(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


def plain_number(text: str) -> float | None:
    """The number that a weight or a stop is; None for an expression or keyframes."""
    return float(text) if NUMBER.fullmatch(text) else None


def in_time(text: str, timeline: Timeline) -> float | Keyframes:
    """What a weight or a stop comes to in a video: a number, or what gives one for each frame."""
    if (number := plain_number(text)) is not None:
        return number
    keyframes = Keyframes.parse(text, timeline)
    return keyframes if keyframes.constant is None else keyframes.constant


def _strip(text: str) -> str:
    # By Python's notion of white space, as the grammar does: pydantic's own leaves some control characters.
    if not (stripped := text.strip()):
        raise ValueError("a prompt needs a text")
    return stripped


def _one_spelling(value: Any) -> Any:
    # Numbers are what most are, and what older manifests hold: `2`, `2.0` and "2" are one weight.
    if isinstance(value, str):
        value = value.strip()
        return number_text(float(value)) if NUMBER.fullmatch(value) else value
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    try:
        return number_text(float(value))
    except OverflowError:
        return "inf"


def _check_weight(text: str) -> str:
    number = plain_number(text)
    if number is None:
        check_text(text)
    elif not abs(number) <= MAX_WEIGHT:
        raise ValueError(f"weight {number:g} is outside -{MAX_WEIGHT:g} to {MAX_WEIGHT:g}")
    return text


def _check_stop(text: str) -> str:
    number = plain_number(text)
    if number is None:
        check_text(text)
    elif math.isnan(number) or number == math.inf:
        raise ValueError("a stop is a number, or -inf for none")
    return text


_IN_TIME = ", an expression in time such as '2*sin(t/8)', or keyframes such as '0:(1), 60:(0)'"
# The two types that every prompt shares, be it text, picture or noise.
Weight = Annotated[
    str,
    BeforeValidator(_one_spelling),
    Field(
        max_length=LONGEST_WEIGHT,
        description="How strongly the prompt pulls; a negative one pushes away.",
        json_schema_extra={"allowed": f"a number from -{MAX_WEIGHT:g} to {MAX_WEIGHT:g}{_IN_TIME}"},
    ),
    AfterValidator(_check_weight),
]
Stop = Annotated[
    str,
    BeforeValidator(_one_spelling),
    Field(
        max_length=LONGEST_WEIGHT,
        description="The prompt stops pulling once its loss is below this; -inf is never.",
        json_schema_extra={"allowed": f"a number, -inf{_IN_TIME}"},
    ),
    AfterValidator(_check_stop),
]


class Prompt(Settings):
    """One text that the picture is drawn towards, or pushed away from."""

    text: Annotated[str, AfterValidator(_strip)] = Field(
        max_length=LONGEST_TEXT, description="What the picture should show."
    )
    weight: Annotated[Weight, Neutral(1.0)] = "1"
    stop: Annotated[Stop, Neutral(-math.inf)] = "-inf"


class ImagePrompt(Settings):
    """A picture that the perceptor compares the frame with, as it does with a text."""

    image: Uri = Field(description="Where the picture lies: a path, or any URI that storage can read.")
    weight: Annotated[Weight, Neutral(1.0)] = "1"
    stop: Annotated[Stop, Neutral(-math.inf)] = "-inf"


class NoisePrompt(Settings):
    """A random direction of the perceptor's space, given by its seed."""

    seed: int = Field(ge=0, lt=2**63, description="The seed of the random direction.")
    weight: Annotated[Weight, Neutral(1.0)] = "1"


class Scene(Settings):
    """The prompts that hold together from frame `at` until the next scene."""

    at: int = Field(0, ge=0, lt=MAX_FRAME, description="The frame at which the scene starts, counted from 0.")
    prompts: tuple[Prompt, ...] = Field(min_length=1, max_length=100, description="The prompts of the scene.")
    crossfade: Annotated[int | None, Neutral(None, in_time=True)] = Field(
        None, ge=0, le=100_000, description="Frames over which this scene fades in, if other than the row says; 0 cuts."
    )


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
