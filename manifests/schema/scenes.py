"""What a video is drawn towards, and when: texts, pictures and noise, with weights that may change in time."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from itertools import pairwise
from typing import Annotated, Any, Self, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from manifests.errors import ErrorKind, NightreelError
from manifests.schema.base import Settings, SettingsError
from manifests.schema.keyframes import Keyframes, check_text
from manifests.schema.neutral import Neutral
from manifests.schema.timeline import Timeline

__all__ = [
    "LONGEST_TEXT", "LONGEST_WEIGHT", "MAX_FRAME", "MAX_WEIGHT", "NUMBER", "AnyPrompt", "ImagePrompt", "NoisePrompt",
    "Prompt", "PromptError", "Scene", "Uri", "in_time", "number_text", "order_scenes", "plain_number", "wrong_stop",
    "wrong_weight",
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


def _checked(text: str, wrong: Callable[[float], str]) -> str:
    number = plain_number(text)
    if number is None:
        check_text(text)
    elif why := wrong(number):
        raise ValueError(why)
    return text


def _check_weight(text: str) -> str:
    return _checked(text, wrong_weight)


def _check_stop(text: str) -> str:
    return _checked(text, wrong_stop)


def wrong_weight(number: float) -> str:
    """Why no prompt can have this weight; nothing for one that it can."""
    within = abs(number) <= MAX_WEIGHT
    return "" if within else f"weight {number:g} is outside -{MAX_WEIGHT:g} to {MAX_WEIGHT:g}"


def wrong_stop(number: float) -> str:
    """Why no prompt can have this stop; nothing for one that it can."""
    return f"stop {number} is not allowed; it is a number, or -inf for none" if not number < math.inf else ""


# The two numbers that prompts share, be they texts, pictures or noise: either may be an expression in time.
_InTime = Annotated[str, BeforeValidator(_one_spelling), Field(max_length=LONGEST_WEIGHT)]
_IN_TIME = ", an expression in time such as '2*sin(t/8)', or keyframes such as '0:(1), 60:(0)'"
Weight = Annotated[
    _InTime,
    Field(
        description="How strongly the prompt pulls; a negative one pushes away.",
        json_schema_extra={"allowed": f"a number from -{MAX_WEIGHT:g} to {MAX_WEIGHT:g}{_IN_TIME}"},
    ),
    AfterValidator(_check_weight),
]
Stop = Annotated[
    _InTime,
    Field(
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
    aligned: Annotated[bool, Neutral(False)] = Field(
        False,
        description="Whether each thing should be where it is in the picture: every crop of the frame is compared with "
        "the same crop of the picture, and not with the picture as a whole.",
    )


class NoisePrompt(Settings):
    """A random direction of the perceptor's space, given by its seed."""

    seed: int = Field(ge=0, lt=2**63, description="The seed of the random direction.")
    weight: Annotated[Weight, Neutral(1.0)] = "1"


AnyPrompt: TypeAlias = Prompt | ImagePrompt | NoisePrompt


class Scene(Settings):
    """The prompts that hold together from frame `at` until the next scene: texts, pictures, noise, at least one."""

    at: int = Field(0, ge=0, lt=MAX_FRAME, description="The frame at which the scene starts, counted from 0.")
    prompts: tuple[Prompt, ...] = Field((), max_length=100, description="The texts of the scene.")
    images: Annotated[tuple[ImagePrompt, ...] | None, Neutral(None, in_time=True)] = Field(
        None, max_length=100, description="Pictures that the scene is drawn towards; they fade in and out with it."
    )
    noise: Annotated[tuple[NoisePrompt, ...] | None, Neutral(None, in_time=True)] = Field(
        None, max_length=100, description="Random directions that the scene is drawn towards, with its fades."
    )
    crossfade: Annotated[int | None, Neutral(None, in_time=True)] = Field(
        None, ge=0, le=100_000, description="Frames over which this scene fades in, if other than the row says; 0 cuts."
    )

    @model_validator(mode="after")
    def _has_a_prompt(self) -> Self:
        if not self.all_prompts:
            raise SettingsError(
                "prompts", f"the scene at frame {self.at} has no prompts; give it texts (prompts), images or noise"
            )
        return self

    @property
    def all_prompts(self) -> tuple[AnyPrompt, ...]:
        """Its texts, pictures and noise."""
        return (*self.prompts, *(self.images or ()), *(self.noise or ()))


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
