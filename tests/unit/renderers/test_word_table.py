"""Tables of words: what stands for a word, what is unknown and what is near it, and files that are no tables."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from renderers.errors import ModelFilesBroken
from renderers.word_table import BUCKETS, FIRST_LINE, WordTable, plain_text, read_words, table_text, words_of

WORDS = ("a", "baby", "boat", "cat", "happy", "philosophy", "red", "run", "snow", "two", "vessel", "wave")
TAUGHT = ("a", "baby", "boat", "cat", "happy", "cat", "red", "run", "snow", "two", "boat", "wave")
NEARNESS = (100, 100, 100, 100, 100, 20, 100, 100, 100, 100, 71, 100)


@pytest.fixture
def table() -> WordTable:
    return WordTable(WORDS, TAUGHT, NEARNESS)


def test_words_of_a_text() -> None:
    assert list(words_of("Two CATS, a t-shirt; 2 cafés’ — isn’t 2026!")) == [
        "two", "cats", "a", "t", "shirt", "two", "cafes", "isn't", "2026",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("word", "stands_for"),
    [
        ("cat", ["cat"]), ("cats", ["cat"]), ("cat's", ["cat"]), ("babies", ["baby"]), ("waves", ["wave"]),
        ("waving", ["wave"]), ("running", ["run"]), ("runner", ["run"]), ("happily", []), ("snowcats", ["snow", "cat"]),
        ("vessels", ["vessel"]), ("ca", []), ("猫", []),
    ],
)  # fmt: skip
def test_forms_stand_for_what_they_are_forms_of(table: WordTable, word: str, stands_for: list[str]) -> None:
    assert [table.words[number] for number in table.found(word)] == stands_for


def test_numbers_of_a_text(table: WordTable) -> None:
    numbers = table.ids("two red Cats")
    assert [table.words[number] for number in numbers] == ["two", "red", "cat"]
    strange, like_it, other = (table.ids(text) for text in ("fantastication", "revivification", "gnu"))
    assert strange == like_it  # by their last letters
    assert strange != other
    assert all(len(WORDS) <= number < len(WORDS) + BUCKETS for number in (*strange, *other))


def test_what_is_unknown_is_named_with_what_is_near(table: WordTable) -> None:
    said = table.unknown("a red vessel, two wavez, the philosophy of xyzzy")
    assert said == {"wavez": "wave", "the": None, "philosophy": None, "of": None, "xyzzy": None}
    assert table.unknown("a vessel", known=100) == {"vessel": "boat"}
    assert table.unknown("two snowcats") == {}


def test_where_the_reading_ends(table: WordTable) -> None:
    text = plain_text("two red snowcats run")
    assert table.read(text, 100) == (5, len(text))
    count, stop = table.read(text, 3)
    assert (count, text[:stop]) == (5, "two red snowcats")


def test_a_table_is_written_and_read(tmp_path: Path, table: WordTable) -> None:
    content = table_text(table.words, table.taught, table.nearness)
    assert content == table_text(table.words, table.taught, table.nearness)
    (tmp_path / "words.tsv.gz").write_bytes(content)
    assert read_words(tmp_path / "words.tsv.gz") == table
    (tmp_path / "words.tsv.gz").write_bytes(table_text(("cat",), ("cat",), (100,)))
    assert read_words(tmp_path / "words.tsv.gz").words == ("cat",)  # another file in its place is another table


def packed(text: str) -> bytes:
    return gzip.compress(text.encode(), mtime=0)  # the tests' names have it in them


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"cat", "no table of words"),
        (packed("cat\tcat\t100\n"), "first line"),
        (packed(f"{FIRST_LINE}\ncat\tcat\n"), "no table of words"),
        (packed(f"{FIRST_LINE}\n"), "no table of words"),
        (packed(f"{FIRST_LINE}\ncat\tdog\t90\n"), "the nearest of one does not stand in it"),
        (packed(f"{FIRST_LINE}\ncat\tcat\t100\ncat\tcat\t100\n"), "stands in it twice"),
        (packed(f"{FIRST_LINE}\ncat\tcat\tnear\n"), "no table of words"),
        (packed(FIRST_LINE)[:-9], "no table of words"),
        (gzip.compress(bytes(17 << 20), mtime=0), "unfolds to more than 16,777,216 bytes"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "words.tsv.gz").write_bytes(content)
    with pytest.raises(ModelFilesBroken, match=message):
        read_words(tmp_path / "words.tsv.gz")


def test_a_missing_one_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ModelFilesBroken, match=r"words\.tsv\.gz' is no table of words"):
        read_words(tmp_path / "words.tsv.gz")


@pytest.mark.timeout(20)
def test_no_text_takes_long(table: WordTable) -> None:
    for text in ("a" * 100_000, "猫" * 100_000, "ab " * 50_000, "wavez" * 10_000):
        assert table.unknown(text)
        assert table.ids(text)
