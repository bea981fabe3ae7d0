"""The concepts that the embedded models are taught, read from `concepts.yaml`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

__all__ = ["COLOURS", "Concept", "load_concepts"]

FILE = Path(__file__).with_name("concepts.yaml")
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "gray", "white")
FIELDS = {"name", "synonyms", "emoji", "colour"}


@dataclass(frozen=True)
class Concept:
    """A thing that has a name and an emoji."""

    name: str
    names: tuple[str, ...]
    """the name first, then its synonyms"""
    emoji: str
    """emojibase's label of the emoji that shows it"""
    colour: str | None = None
    """what a person would call its colour without thinking, one of `COLOURS`; None if it has no such colour"""
    kind: str = "thing"
    """one of `KINDS_OF_THINGS`: where it is at home, where a recipe asks for that (`vocabulary.py`)"""


@cache
def load_concepts() -> tuple[Concept, ...]:
    """All concepts, in the file's order.

    Raises:
        ValueError: an entry is incomplete, or a name, synonym or emoji belongs to two concepts.
    """
    return parse_concepts(FILE.read_text(encoding="utf-8"))


def parse_concepts(text: str) -> tuple[Concept, ...]:
    """The concepts that `text` (YAML, as in `concepts.yaml`) lists.

    Raises:
        ValueError: an entry is incomplete, or a name, synonym or emoji belongs to two concepts.
    """
    concepts = []
    owner: dict[tuple[str, str], str] = {}
    for entry in yaml.safe_load(text):
        if unknown := set(entry) - FIELDS:
            raise ValueError(
                f"concepts.yaml: {entry} has unknown field(s) {sorted(unknown)}; known are {sorted(FIELDS)}"
            )
        if not entry.get("name") or not entry.get("emoji"):
            raise ValueError(f"concepts.yaml: {entry} needs a name and an emoji")
        concept = Concept(
            name=entry["name"],
            names=(entry["name"], *entry.get("synonyms", ())),
            emoji=entry["emoji"],
            colour=entry.get("colour"),
        )
        if concept.colour is not None and concept.colour not in COLOURS:
            raise ValueError(
                f"concepts.yaml: colour '{concept.colour}' of '{concept.name}' is not one of {', '.join(COLOURS)}"
            )
        for key in (*(("name", name) for name in concept.names), ("emoji", concept.emoji)):
            if key in owner:
                raise ValueError(f"concepts.yaml: {key[0]} '{key[1]}' of '{concept.name}' is taken by '{owner[key]}'")
            owner[key] = concept.name
        concepts.append(concept)
    return tuple(concepts)
