"""The words that a small perceptor knows: a table of English words, each with the nearest of those that it was taught
with pictures.

A file of one line a word (gzip, tab-separated: word, its nearest taught word, how near in hundredths). Where a
perceptor reads whole words, a word's number is its line. Without torch: commands that only look say what is unknown.
"""

from __future__ import annotations

import difflib
import gzip
import unicodedata
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

import regex

from renderers.errors import ModelFilesBroken

__all__ = ["BUCKETS", "KNOWN", "WordTable", "plain_text", "read_words", "table_text", "tail_bucket", "words_of"]

FIRST_LINE = "# words, the nearest of those that were taught with pictures, how near"
BUCKETS = 512  # numbers for words that are not in a table, by their last letters
TAIL = 4  # of them
KNOWN = 42  # hundredths of nearness from which on a word means what its nearest taught one does
NEAR = 38  # from which on its nearest taught word is worth naming
LIKENESS = 0.82  # of letters, from which on a word may be a slip of the pen
LONGEST_WORD = 40  # letters of a word for which others like it are looked for
LONGEST_TEXT = 20_000  # characters that are looked at
MOST_BYTES = 16 << 20
_WORD = regex.compile(r"\p{L}+(?:['’]\p{L}+)*|\p{N}+")  # fmt: skip
_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


@dataclass(frozen=True)
class WordTable:
    """Words, the word that was `taught` and is nearest to each, and how near it is, in hundredths of a cosine."""

    words: tuple[str, ...]
    taught: tuple[str, ...]
    nearness: tuple[int, ...]

    @cached_property
    def numbers(self) -> dict[str, int]:
        """The number of each word, from 0."""
        return {word: i for i, word in enumerate(self.words)}

    @cached_property
    def _taught(self) -> tuple[str, ...]:
        return tuple(word for word, nearest in zip(self.words, self.taught, strict=True) if word == nearest)

    def found(self, word: str) -> tuple[int, ...]:
        """The numbers that stand for a word of lower case: its own, that of its singular or stem, or of the two
        that it is made of; none where it is not in the table."""
        for form in _forms(word):
            if form in self.numbers:
                return (self.numbers[form],)
        for cut in range(3, len(word) - 2):
            if word[:cut] in self.numbers and (rest := self._stem(word[cut:])) is not None:
                return (self.numbers[word[:cut]], rest)
        return ()

    def _stem(self, word: str) -> int | None:
        return next((self.numbers[form] for form in _forms(word) if form in self.numbers), None)

    def ids(self, text: str) -> list[int]:
        """What a perceptor reads of `text`: the numbers of its words, and for a word that is not in the table one by
        its last letters."""
        numbers: list[int] = []
        for word in words_of(text):
            numbers += self.found(word) or (len(self.words) + tail_bucket(word),)
        return numbers

    def read(self, text: str, limit: int) -> tuple[int, int]:
        """How many numbers a `plain_text` is, and how many of its characters the first `limit` of them have."""
        count = stop = 0
        for word in _WORD.finditer(text):
            if count < limit:
                stop = word.end()
            count += max(1, len(self.found(word[0])))
        return count, stop

    def unknown(self, text: str, known: int = KNOWN) -> dict[str, str | None]:
        """The words of `text` that mean nothing to the perceptor, each with the one that it was taught and that is
        nearest in meaning or, for a word that is not in the table, in letters; None where none is near. A word means
        something that is as near as `known` to a taught one."""
        said: dict[str, str | None] = {}
        for word in words_of(text):
            if self.knows(word, known):
                continue
            numbers = self.found(word)
            if not numbers and word not in said:
                said[word] = _like(word, self._taught)
            for number in numbers:
                if self.nearness[number] < known:
                    said[word] = self.taught[number] if self.nearness[number] >= NEAR else None
        return said

    def knows(self, word: str, known: int = KNOWN) -> bool:
        """Whether one of `words_of` a text means something, or is too short to mean anything."""
        if len(word) == 1:
            return True  # a letter: of "t-shirt", or of nothing
        numbers = self.found(word)
        return bool(numbers) and all(self.nearness[number] >= known for number in numbers)


def plain_text(text: str) -> str:
    """A text, not all of one that is endless, without accents and in lower case."""
    if text.isascii():
        return text[:LONGEST_TEXT].lower()
    plain = unicodedata.normalize("NFKD", text[:LONGEST_TEXT]).lower()
    return "".join(sign for sign in plain if not unicodedata.combining(sign))


def words_of(text: str) -> Iterator[str]:
    """Yield the words of a text, without accents, in lower case; small numbers in words, as captions have them."""
    for word in _WORD.findall(plain_text(text)):
        if word.isdecimal() and len(word) < 3 and int(word) < len(_DIGITS):
            yield _DIGITS[int(word)]
        else:
            yield word.replace("’", "'")


def _forms(word: str) -> Iterator[str]:
    """A word and what it may be a form of, the likeliest first."""
    yield word
    word = word.removesuffix("'s").replace("'", "")
    yield word
    if word.endswith("ies"):
        yield word[:-3] + "y"
    for ending in ("s", "es", "ed", "d", "ing", "er", "ly", "est", "ness"):
        stem = word.removesuffix(ending)
        if stem == word or len(stem) < 3:
            continue
        yield stem
        if ending in ("ed", "ing", "er", "est"):
            if stem[-1] == stem[-2]:
                yield stem[:-1]
            yield stem + "e"


@lru_cache(10_000)
def _like(word: str, known: tuple[str, ...]) -> str | None:
    """The known word that `word` may be a slip of."""
    return next(iter(difflib.get_close_matches(word[:LONGEST_WORD], known, 1, LIKENESS)), None)


def tail_bucket(word: str) -> int:
    """The bucket, from 0, of a word that is not in a table: words with the same last letters are alike in kind."""
    return zlib.crc32(word[-TAIL:].encode()) % BUCKETS


def table_text(words: Sequence[str], taught: Sequence[str], nearness: Sequence[int]) -> bytes:
    """The file of a table, byte for byte the same for the same table."""
    lines = (f"{word}\t{nearest}\t{near}\n" for word, nearest, near in zip(words, taught, nearness, strict=True))
    return gzip.compress(f"{FIRST_LINE}\n{''.join(lines)}".encode(), mtime=0)


def read_words(path: Path) -> WordTable:
    """The table in the file `path`.

    Raises:
        ModelFilesBroken: it can't be read, or is none.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise ModelFilesBroken(f"'{path}' is no table of words: {error}") from error
    return _read(path, status.st_mtime_ns, status.st_size)


@lru_cache(8)
def _read(path: Path, changed: int, size: int) -> WordTable:
    """The table in a file, read once per version of it."""
    try:
        with gzip.open(path) as file:
            text = file.read(MOST_BYTES + 1)
        if len(text) > MOST_BYTES:
            raise ValueError(f"it unfolds to more than {MOST_BYTES:,} bytes")
        first, *lines = text.decode().splitlines()
        if first != FIRST_LINE:
            raise ValueError("its first line is not that of a table of words")
        words, taught, nearness = zip(*(line.split("\t") for line in lines), strict=True)
        table = WordTable(words, taught, tuple(map(int, nearness)))
        if len(table.numbers) < len(words) or not set(taught) <= table.numbers.keys():
            raise ValueError("a word stands in it twice, or the nearest of one does not stand in it")
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise ModelFilesBroken(f"'{path}' is no table of words: {error}") from error
    return table
