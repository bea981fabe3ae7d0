"""The fixed prompts that pictures are rendered for and judged by."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import yaml

from renderers.training.sprites import Sprites
from renderers.training.vocabulary import CLIPART

__all__ = ["LISTS", "EvaluationPrompt", "load_prompts", "shown_as"]

LISTS = {"common": "prompts.yaml", "drawn": "drawn_prompts.yaml"}
"""the hundred that were chosen, and a hundred that were drawn by chance"""


@dataclass(frozen=True)
class EvaluationPrompt:
    """A prompt and what must be seen in its picture."""

    prompt: str
    concept: str
    colour: str | None = None
    """of the thing, where the prompt says it"""
    background: str | None = None
    """its colour, where the prompt says it"""
    emoji: str | None = None
    """the label of the pictures of a concept that is none of concepts.yaml"""


@cache
def load_prompts(which: str = "common") -> tuple[EvaluationPrompt, ...]:
    """All prompts of a list of `LISTS`, in the file's order; the place of a prompt is its number and the judge's
    class."""
    text = Path(__file__).with_name(LISTS[which]).read_text(encoding="utf-8")
    return tuple(EvaluationPrompt(**entry) for entry in yaml.safe_load(text))


def shown_as(sprites: Sprites, prompts: Iterable[EvaluationPrompt]) -> Sprites:
    """`sprites` called as `prompts` call what they show, where those name emoji by their labels."""
    concepts = {prompt.emoji: prompt.concept for prompt in prompts if prompt.emoji is not None}
    named = (
        concepts.get(label, concept) if style != CLIPART else concept
        for style, label, concept in zip(sprites.style, sprites.label, sprites.concept, strict=True)
    )
    return replace(sprites, concept=tuple(named))
