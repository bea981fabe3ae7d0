"""Byte-pair encoding (Sennrich et al. 2016) as CLIP uses it: the very tokens of open_clip's `SimpleTokenizer`, without
open_clip, which takes seconds to import."""

from __future__ import annotations

import gzip
import html
from collections.abc import Iterator
from functools import cache, lru_cache
from itertools import pairwise
from pathlib import Path

import regex

__all__ = ["END", "START", "WORDS", "cleaned", "ranks_of", "signs_of", "vocabulary_of"]

MERGES = 49152 - 256 - 2
START, END = "<start_of_text>", "<end_of_text>"
#: What is encoded by itself: a word, a number's digit, signs in a row.
WORDS = regex.compile(
    rf"{START}|{END}|'s|'t|'re|'ve|'m|'ll|'d|[\p{{L}}]+|[\p{{N}}]|[^\s\p{{L}}\p{{N}}]+", regex.IGNORECASE
)


def cleaned(text: str) -> str:
    """A text as open_clip cleans it for all its tokenizers."""
    if not text.isascii() or not text.isprintable():
        import ftfy  # a fifth of a second, and most texts do without

        text = ftfy.fix_text(text)
    return " ".join(html.unescape(html.unescape(text)).split())


@cache
def ranks_of(merges: Path) -> dict[tuple[str, str], int]:
    """The pairs of signs in the file `merges`, gzipped text, each with its place: which is joined first.

    Raises:
        OSError, EOFError, UnicodeDecodeError: it can't be read.
    """
    return {(pair[0], pair[1]): rank for rank, pair in enumerate(_pairs(merges)) if len(pair) == 2}


@cache
def vocabulary_of(merges: Path) -> dict[str, int]:
    """The number of each token that the file `merges` makes: a byte's sign, one at a word's end, each pair joined,
    start and end. Raises as `ranks_of`."""
    signs = [*_BYTES.values()]
    joined = ["".join(pair) for pair in _pairs(merges)]
    words = [*signs, *(f"{sign}</w>" for sign in signs), *joined, START, END]
    return {word: number for number, word in enumerate(words)}


@lru_cache(100_000)
def signs_of(merges: Path, word: str) -> tuple[str, ...]:
    """The tokens of a word of `WORDS`: of the pairs that stand in it the first to be learnt is joined, again and
    again."""
    ranks = ranks_of(merges)
    signs = [_BYTES[byte] for byte in word.encode()]
    signs[-1] += "</w>"
    while len(signs) > 1:
        best = min(pairwise(signs), key=lambda pair: ranks.get(pair, len(ranks)))
        if best not in ranks:
            break
        signs = list(_joined(signs, best))
    return tuple(signs)


def _pairs(merges: Path) -> list[tuple[str, ...]]:
    lines = gzip.decompress(merges.read_bytes()).decode().split("\n")[1 : MERGES + 1]
    return [tuple(line.split()) for line in lines]


def _joined(signs: list[str], pair: tuple[str, str]) -> Iterator[str]:
    place = 0
    while place < len(signs):
        if place + 1 < len(signs) and (signs[place], signs[place + 1]) == pair:
            yield pair[0] + pair[1]
            place += 2
        else:
            yield signs[place]
            place += 1


def _signs_of_bytes() -> dict[int, str]:
    """A sign for each byte, as GPT-2 has them: printable ones for themselves, the others from 256 on."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in plain]
    return {**{byte: chr(byte) for byte in plain}, **{byte: chr(256 + place) for place, byte in enumerate(others)}}


_BYTES = _signs_of_bytes()
