"""Where a prompt ends for the perceptors that judge it: they read so many tokens, and nothing of what follows.

Without torch and open_clip, which take seconds to import, and without weights: commands that only look say it too. The
tokens are those of open_clip's `SimpleTokenizer` (byte-pair encoding, Sennrich et al. 2016, as CLIP uses it), or of a
tokenizer of Hugging Face's that is on this machine (renderers/hub_tokenizer.py); of others nothing is known, or said.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from manifests.schema import ManifestRow
from manifests.schema.texts import short
from renderers.byte_pairs import END, START, WORDS, cleaned, ranks_of, signs_of
from renderers.errors import ModelFilesBroken
from renderers.hub_tokenizer import HubTokenizer, hub_tokenizer
from renderers.registry import ModelEntry, PerceptorEntry
from renderers.word_table import WordTable, plain_text, read_words

__all__ = ["TextEnd", "TokenCounter", "text_end", "tokens_in", "unread_text", "unread_texts"]

CONTEXT = 77  # tokens, start and end included, where a config does not say
SHOWN = 40  # characters of what is read
# Of a longer word, or text, the rest is beyond every context.
LONGEST_WORD, LONGEST_TEXT = 1000, 20_000


@dataclass(frozen=True)
class TextEnd:
    """How many tokens of a text are `read`, of how many at least, and the end of what is read."""

    read: int
    tokens: int
    tail: str


@dataclass(frozen=True)
class _WholeWords:
    """The tokenizer of a perceptor that reads so many whole words."""

    table: WordTable
    limit: int

    def cleaned(self, text: str) -> str:
        return plain_text(text)

    def count(self, text: str) -> tuple[int, int]:
        return self.table.read(text, self.limit)


def unread_texts(row: ManifestRow, entry: ModelEntry) -> list[str]:
    """Say of each text of a row's prompts that is longer than the model `entry` reads where it ends for it."""
    texts = dict.fromkeys(prompt.text for scene in row.all_scenes for prompt in scene.prompts)
    return [said for text in texts if (said := unread_text(text, entry)) is not None]


def unread_text(text: str, entry: ModelEntry) -> str | None:
    """Say where a prompt's `text` ends for the model `entry`; None where it reads all of it."""
    ends = [end for perceptor in entry.perceptors if (end := text_end(text, perceptor)) is not None]
    if not ends:
        return None
    end = min(ends, key=lambda it: it.read / it.tokens)
    return (
        f"prompt '{short(text, 40)}' is longer than model '{entry.name}' reads, {end.read} of {end.tokens} "
        f"tokens: for it the text ends after '{short(end.tail, 60)}'"
    )


def text_end(text: str, perceptor: PerceptorEntry) -> TextEnd | None:
    """Return where `text` ends for a perceptor that does not read all of it; None for one that does, and where that is
    not known here."""
    known = _tokenizer(perceptor)
    if known is None:
        return None
    limit = known[1] if isinstance(known, tuple) else known.limit
    shortest: TextEnd | None = None
    for template in perceptor.templates:
        # a token has one byte at least
        if len(template) + 4 * len(text) <= limit:
            continue
        given = template.format(text[:LONGEST_TEXT])
        end = _end_of(given, *known) if isinstance(known, tuple) else _end_for(given, known)
        if end is not None and (shortest is None or end.read / end.tokens < shortest.read / shortest.tokens):
            shortest = end
    return shortest


@dataclass(frozen=True)
class TokenCounter:
    """How many tokens a perceptor reads of a text in one of its `templates`, and how many each word of that is: what
    stands between blanks, of plain signs in lower case, without an `&`."""

    templates: tuple[str, ...]
    limit: int
    count: Callable[[str], int]


def tokens_in(entry: ModelEntry) -> tuple[TokenCounter, ...] | None:
    """Return the counters of those perceptors of a model of which it is known how they read; None where tokens are not
    counted word by word."""
    found = []
    for perceptor in entry.perceptors:
        known = _tokenizer(perceptor)
        if known is None:
            continue
        if isinstance(known, HubTokenizer) or not all(it.isascii() and "&" not in it for it in perceptor.templates):
            return None
        if isinstance(known, tuple):
            found.append(TokenCounter(perceptor.templates, known[1], partial(_count, known[0])))
        else:
            found.append(TokenCounter(perceptor.templates, known.limit, partial(_count_words, known)))
    return tuple(found)


def _count(merges: Path, text: str) -> int:
    return sum(_parts(merges, word[0]) for word in WORDS.finditer(text))


def _count_words(words: _WholeWords, text: str) -> int:
    return words.count(text)[0]


def _parts(merges: Path, word: str) -> int:
    return 1 if word in (START, END) else len(signs_of(merges, word[:LONGEST_WORD]))


def _end_of(text: str, merges: Path, limit: int) -> TextEnd | None:
    text = cleaned(text).lower()
    count, stop = 0, 0
    for word in WORDS.finditer(text):
        if count < limit:
            stop = word.end()
        count += _parts(merges, word[0])
    return TextEnd(limit, count, _tail(text[:stop])) if count > limit else None


def _end_for(text: str, tokenizer: HubTokenizer | _WholeWords) -> TextEnd | None:
    text = tokenizer.cleaned(cleaned(text))
    count, stop = tokenizer.count(text)
    return TextEnd(tokenizer.limit, count, _tail(text[:stop])) if count > tokenizer.limit else None


def _tail(read: str) -> str:
    return read if len(read) <= SHOWN else "…" + read[-SHOWN:].partition(" ")[2]


@cache
def _tokenizer(perceptor: PerceptorEntry) -> tuple[Path, int] | HubTokenizer | _WholeWords | None:
    """The merges of a perceptor, and how many tokens of a text it reads; or its tokenizer of Hugging Face's, or of
    whole words."""
    try:
        package = Path(str(distribution("open_clip_torch").locate_file("open_clip")))
        if perceptor.architecture is None:
            file = perceptor.path / "open_clip_config.json"
            if not file.is_file():  # a pipe would be waited for
                return None
            config = json.loads(file.read_text())["model_cfg"]
        else:
            config = json.loads((package / "model_configs" / f"{perceptor.architecture}.json").read_text())
        settings = config["text_cfg"]
        context = int(settings.get("context_length", CONTEXT))
        if perceptor.words:
            return _WholeWords(read_words(perceptor.path / perceptor.words), context - 1)
        if settings.get("hf_tokenizer_name"):
            return hub_tokenizer(perceptor, settings, context)
        if settings.get("tokenizer_kwargs") or "siglip" in str(perceptor.architecture).lower():
            return None
        merges = package / "bpe_simple_vocab_16e6.txt.gz"
        if perceptor.architecture is None and perceptor.merges:
            merges = perceptor.path / perceptor.merges
        ranks_of(merges)
        return merges, context - 2
    except (
        OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, EOFError, PackageNotFoundError,
        ModelFilesBroken,
    ):  # fmt: skip
        return None  # whoever loads it says what is wrong with it
