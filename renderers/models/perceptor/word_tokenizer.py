"""The tokenizer of a perceptor that reads whole words: the numbers of a table of words, in open_clip's manner."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from renderers.word_table import BUCKETS, WordTable, read_words

__all__ = ["WordTokenizer", "vocabulary_size"]

PADDING = 0


def vocabulary_size(table: WordTable) -> int:
    """How many numbers there are: 0 for what is empty, those of the words and of the buckets of others, and the end,
    which is the highest, since that is where open_clip's text towers look."""
    return len(table.words) + BUCKETS + 2


class WordTokenizer:
    """Turns texts into numbers of words, of which `context_length` less one are read."""

    def __init__(self, table: WordTable, context_length: int) -> None:
        self.table, self.context_length = table, context_length
        self.end = vocabulary_size(table) - 1

    @classmethod
    def read(cls, path: Path, context_length: int) -> WordTokenizer:
        """The tokenizer whose table is the file `path`.

        Raises:
            ModelFilesBroken: it can't be read, or is none.
        """
        return cls(read_words(path), context_length)

    def __call__(self, texts: str | list[str], context_length: int | None = None) -> Tensor:
        """Numbers `(n, context_length)` of n texts."""
        length = context_length or self.context_length
        given = [texts] if isinstance(texts, str) else texts
        numbers = torch.full((len(given), length), PADDING, dtype=torch.long)
        for row, text in zip(numbers, given, strict=True):
            read = [*(1 + number for number in self.table.ids(text)[: length - 1]), self.end]
            row[: len(read)] = torch.tensor(read)
        return numbers
