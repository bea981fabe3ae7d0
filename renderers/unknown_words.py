"""Words of prompts that mean nothing to a small model: said before anything is rendered, with the nearest known ones.

Without torch: commands that only look say it too. Of a model whose perceptors have no table of words nothing is said,
since the large ones know every word.
"""

from __future__ import annotations

from manifests.schema import ManifestRow
from manifests.schema.texts import short
from renderers.errors import ModelFilesBroken
from renderers.registry import ModelEntry, PerceptorEntry
from renderers.word_table import KNOWN, WordTable, read_words

__all__ = ["unknown_words"]

SHOWN = 5  # words of a prompt
ONLY_TAUGHT = 100


def unknown_words(row: ManifestRow, entry: ModelEntry) -> list[str]:
    """Say of each text of a row's prompts which of its words mean nothing to the model `entry`."""
    tables = [_table(perceptor) for perceptor in entry.perceptors]
    if None in tables:
        return []
    said = []
    for text in dict.fromkeys(prompt.text for scene in row.scenes for prompt in scene.prompts):
        unknown = _unknown(text, [table for table in tables if table is not None])
        if unknown:
            words = [
                f"'{short(word, 30)}'" + (f" (nearest: '{near}')" if near else "") for word, near in unknown.items()
            ]
            more = f" and {len(words) - SHOWN} more" if len(words) > SHOWN else ""
            said.append(
                f"model '{entry.name}' does not know {', '.join(words[:SHOWN])}{more} of prompt '{short(text, 40)}'"
            )
    return said


def _unknown(text: str, tables: list[tuple[WordTable, int]]) -> dict[str, str | None]:
    """What none of a model's perceptors knows."""
    each = [table.unknown(text, known) for table, known in tables]
    return {word: near for word, near in each[0].items() if all(word in it for it in each)}


def _table(perceptor: PerceptorEntry) -> tuple[WordTable, int] | None:
    """What words a perceptor knows, and from which nearness on. To one that reads parts of words a word means nothing
    that it was not taught, however near."""
    name = perceptor.words or perceptor.known_words
    if name is None or perceptor.folder is None:
        return None
    try:
        return read_words(perceptor.path / name), KNOWN if perceptor.words else ONLY_TAUGHT
    except ModelFilesBroken:
        return None  # whoever loads it says what is wrong with it
