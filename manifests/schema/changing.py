"""The weights and stops of prompts that change in time."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from manifests.schema.keyframes import Keyframes
from manifests.schema.scenes import MAX_WEIGHT, AnyPrompt, NoisePrompt, Prompt, plain_number
from manifests.schema.texts import short
from manifests.schema.timeline import Timeline

__all__ = ["ChangingValue", "changing_values", "prompt_name"]


@dataclass(frozen=True, slots=True)
class ChangingValue:
    """One weight or stop, `name` says of what, in `column`; its `text` is no plain number, and it counts in the frames
    that are `shown`."""

    column: str
    name: str
    is_weight: bool
    text: str
    shown: range

    def keyframes(self, timeline: Timeline) -> Keyframes:
        """What it comes to in a video."""
        return Keyframes.parse(self.text, timeline)

    def check(self, timeline: Timeline) -> None:
        """Raise KeyframeError where it has no value, or one that is not allowed."""
        most = MAX_WEIGHT if self.is_weight else math.inf
        self.keyframes(timeline).check(timeline.frames, -most, most, shown=self.shown)


def changing_values(
    prompts: Iterable[AnyPrompt], column: str, shown: range, where: str = ""
) -> Iterator[ChangingValue]:
    """Yield those of `prompts`, which the frames `shown` have; `where` names them beside their text."""
    for prompt in prompts:
        for field in ("weight", "stop"):
            text = getattr(prompt, field, "1")  # noise has no stop
            if plain_number(text) is None:
                yield ChangingValue(column, f"{field} of {_shown(prompt)}{where}", field == "weight", text, shown)


def prompt_name(prompt: AnyPrompt, length: int) -> str:
    """What a prompt is called in lists and messages: its text or its address, at most `length` characters of it, or the
    seed of noise."""
    if isinstance(prompt, NoisePrompt):
        return f"noise {prompt.seed}"
    return short(prompt.text if isinstance(prompt, Prompt) else prompt.image, length)


def _shown(prompt: AnyPrompt) -> str:
    return prompt_name(prompt, 30) if isinstance(prompt, NoisePrompt) else f"'{prompt_name(prompt, 30)}'"
