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

__all__ = ["tables_of", "unknown_words", "unknown_words_of"]

SHOWN = 5  # words of a prompt
ONLY_TAUGHT = 100


def unknown_words(row: ManifestRow, entry: ModelEntry) -> list[str]:
    """Say of each text of a row's prompts which of its words mean nothing to the model `entry`."""
    texts = dict.fromkeys(prompt.text for scene in row.all_scenes for prompt in scene.prompts)
    return [said for text in texts if (said := unknown_words_of(text, entry)) is not None]


def unknown_words_of(text: str, entry: ModelEntry) -> str | None:
    """Say which words of a prompt's `text` mean nothing to the model `entry`; None where it knows all, or it is not
    known what it knows."""
    tables = tables_of(entry)
    unknown = {} if tables is None else _unknown(text, tables)
    if not unknown:
        return None
    words = [f"'{short(word, 30)}'" + (f" (nearest: '{near}')" if near else "") for word, near in unknown.items()]
    more = f" and {len(words) - SHOWN} more" if len(words) > SHOWN else ""
    return f"model '{entry.name}' does not know {', '.join(words[:SHOWN])}{more} of prompt '{short(text, 40)}'"


def tables_of(entry: ModelEntry) -> list[tuple[WordTable, int]] | None:
    """Return the words that each perceptor of a model knows, and from which nearness on; None where one has no table
    of them."""
    tables = [_table(perceptor) for perceptor in entry.perceptors]
    return None if None in tables else [table for table in tables if table is not None]


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
