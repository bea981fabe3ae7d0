"""The tokenizer of a perceptor that reads byte pairs, as open_clip's `SimpleTokenizer`."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from renderers.byte_pairs import END, START, WORDS, cleaned, signs_of, vocabulary_of

__all__ = ["BytePairTokenizer"]


class BytePairTokenizer:
    """Turns texts into numbers of tokens, `context_length` of them with start and end."""

    def __init__(self, merges: Path, context_length: int) -> None:
        """`merges` is the file of them. Raises OSError, EOFError, UnicodeDecodeError where it can't be read."""
        self.merges, self.context_length = merges, context_length
        self._numbers = vocabulary_of(merges)

    def __call__(self, texts: str | list[str], context_length: int | None = None) -> Tensor:
        """Numbers `(n, context_length)` of n texts; of a longer one the beginning, and the end's number."""
        length = context_length or self.context_length
        given = [texts] if isinstance(texts, str) else texts
        numbers = torch.zeros(len(given), length, dtype=torch.long)
        for row, text in zip(numbers, given, strict=True):
            read = [self._numbers[START], *self._read(text), self._numbers[END]]
            if len(read) > length:
                read = [*read[: length - 1], read[-1]]
            row[: len(read)] = torch.tensor(read)
        return numbers

    def _read(self, text: str) -> list[int]:
        words = (found[0] for found in WORDS.finditer(cleaned(text).lower()))
        signs = (sign for word in words for sign in ((word,) if word in (START, END) else signs_of(self.merges, word)))
        return [self._numbers[sign] for sign in signs]
