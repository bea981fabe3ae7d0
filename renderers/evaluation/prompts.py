"""The fixed prompts that pictures are rendered for and judged by."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

__all__ = ["EvaluationPrompt", "load_prompts"]

FILE = Path(__file__).with_name("prompts.yaml")


@dataclass(frozen=True)
class EvaluationPrompt:
    """A prompt and what must be seen in its picture."""

    prompt: str
    concept: str
    colour: str | None = None
    """of the thing, where the prompt says it"""
    background: str | None = None
    """its colour, where the prompt says it"""


@cache
def load_prompts() -> tuple[EvaluationPrompt, ...]:
    """All prompts, in the file's order; the place of a prompt is its number and the judge's class."""
    return tuple(EvaluationPrompt(**entry) for entry in yaml.safe_load(FILE.read_text(encoding="utf-8")))
