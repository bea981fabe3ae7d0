"""Whether there is anything to say of a prompt's text: where it ends for a model, or words that this does not know.

A manifest may have a million prompts of a few thousand words, and of most there is nothing to say: so what each word
comes to is remembered. What there is to say, `renderers.prompt_length` and `renderers.unknown_words` say.
"""

from __future__ import annotations

from typing import NamedTuple

from renderers.prompt_length import TokenCounter, tokens_in, unread_text
from renderers.registry import ModelEntry
from renderers.unknown_words import tables_of, unknown_words_of
from renderers.word_table import words_of

__all__ = ["PromptChecks", "Said"]

_REMEMBERED = 100_000  # words
_LONGEST = 1000  # characters of a text that is taken apart here


class Said(NamedTuple):
    """What is said of a text, None where nothing is: where a model's reading ends, and which words it does not know."""

    unread: str | None = None
    unknown: str | None = None


class _Word(NamedTuple):
    """What stands between two blanks: no token and no word is part of two."""

    unknown: bool
    tokens: tuple[int, ...]  # for each of the counters


class _Template(NamedTuple):
    """Where a text comes in a template: what it is joined to `before` and `behind`, without a blank, and how many
    tokens all else has."""

    length: int
    before: str
    behind: str
    others: int


class PromptChecks:
    """Looks at texts for one model; safe to share by threads."""

    def __init__(self, entry: ModelEntry) -> None:
        self._entry = entry
        self._tables = tables_of(entry)
        self._counters = tokens_in(entry)
        self._words: dict[str, _Word] = {}
        self._templates = [[_taken_apart(it, counter) for it in counter.templates] for counter in self._counters or ()]
        self._simple = self._counters is not None and all(None not in each for each in self._templates)

    def say(self, text: str, *, in_full: bool = True) -> Said:
        """Return what is said of a text; unless it is wanted `in_full`, '' for something that may be."""
        words = self._words_of(text)
        if words:
            unread = self._is_long(text, words)
            unknown = any([word.unknown for word in words])  # noqa: C419 - a third of the time
            if not in_full:
                return Said("" if unread else None, "" if unknown else None)
            if not unread:
                return Said(None, unknown_words_of(text, self._entry)) if unknown else Said()
        return Said(unread_text(text, self._entry), unknown_words_of(text, self._entry))

    def _words_of(self, text: str) -> list[_Word]:
        """What a text comes to, word by word; nothing where that is not what the whole comes to."""
        if not self._simple or len(text) > _LONGEST or not text.isascii() or not text.isprintable() or "&" in text:
            return []
        known = self._words
        return [known.get(word) or self._word(word) for word in text.lower().split()]

    def _is_long(self, text: str, words: list[_Word]) -> bool:
        for number, counter in enumerate(self._counters or ()):
            own: int | None = None
            for template in self._templates[number]:
                # a token has one sign at least
                if template is None or template.length + len(text) <= counter.limit:
                    continue
                if own is None:
                    own = sum([word.tokens[number] for word in words])
                if own + template.others + self._joined(template, text, words, number) > counter.limit:
                    return True
        return False

    def _joined(self, template: _Template, text: str, words: list[_Word], number: int) -> int:
        """How many tokens more there are since the first and the last word are joined to a template's."""
        first, last = words[0], words[-1]
        if not template.before and not template.behind:
            return 0
        split = text.lower().split()
        if len(split) == 1:
            return self._word(template.before + split[0] + template.behind).tokens[number] - first.tokens[number]
        more = 0
        if template.before:
            more += self._word(template.before + split[0]).tokens[number] - first.tokens[number]
        if template.behind:
            more += self._word(split[-1] + template.behind).tokens[number] - last.tokens[number]
        return more

    def _word(self, word: str) -> _Word:
        known = self._words.get(word)
        if known is None:
            if len(self._words) >= _REMEMBERED:
                self._words.clear()
            unknown = self._tables is not None and any(
                all(not table.knows(it, nearness) for table, nearness in self._tables) for it in words_of(word)
            )
            known = _Word(unknown, tuple(counter.count(word) for counter in self._counters or ()))
            self._words[word] = known
        return known


def _taken_apart(template: str, counter: TokenCounter) -> _Template | None:
    """A template's parts; None for one that is not a text with `{}` in it once."""
    before, hole, behind = template.lower().partition("{}")
    if not hole or {"{", "}"} & {*before, *behind}:
        return None
    head, tail = before.split(), behind.split()
    glued_before = head.pop() if head and not before[-1].isspace() else ""
    glued_behind = tail.pop(0) if tail and not behind[0].isspace() else ""
    return _Template(len(template), glued_before, glued_behind, sum(map(counter.count, (*head, *tail))))
