"""What became of each key of another tool's settings: every one is in exactly one of four lists."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["FATES", "Account", "Entry", "Fate"]

Fate: TypeAlias = Literal["mapped", "approximated", "dropped", "needs you"]
FATES: tuple[Fate, ...] = ("mapped", "approximated", "dropped", "needs you")


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a key ended: `words` say what it became, by which rule, why it was left out, or what to do. `shows`:
    whether a dropped one would have changed the pictures."""

    fate: Fate
    words: str
    shows: bool = False


class Account:
    """The keys of one source, each with its entry. What is said twice of a key is said together."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}

    def mapped(self, keys: Iterable[str], words: str) -> None:
        """The keys are said by the row exactly."""
        self._add(keys, Entry("mapped", words))

    def approximated(self, keys: Iterable[str], words: str) -> None:
        """The keys are said by the row nearly, by the rule in `words`."""
        self._add(keys, Entry("approximated", words))

    def dropped(self, keys: Iterable[str], words: str, *, shows: bool = True) -> None:
        """The keys are left out, for the reason in `words`."""
        self._add(keys, Entry("dropped", words, shows))

    def needs(self, keys: Iterable[str], words: str) -> None:
        """The keys need a person, who is told what is missing and what to do."""
        self._add(keys, Entry("needs you", words))

    def instead(self, keys: Iterable[str], reason: str) -> None:
        """The keys were thought to be said, and are left out after all."""
        for key in keys:
            self._entries[key] = Entry("dropped", reason, shows=True)

    def fate(self, key: str) -> Fate | None:
        """In which list a key is so far."""
        return self._entries[key].fate if key in self._entries else None

    def of(self, fate: Fate) -> Mapping[str, Entry]:
        """The keys of one list, in their order."""
        return {key: entry for key, entry in self._entries.items() if entry.fate == fate}

    def joined(self, other: Account) -> None:
        """Take over what another account says."""
        for key, entry in other._entries.items():
            self._add([key], entry)

    def ordered(self, keys: Iterable[str]) -> None:
        """Put the keys in the order of the source."""
        order = {key: number for number, key in enumerate(keys)}
        entries = sorted(self._entries.items(), key=lambda it: order.get(it[0], len(order)))
        self._entries = dict(entries)

    def _add(self, keys: Iterable[str], entry: Entry) -> None:
        for key in keys:
            known = self._entries.get(key)
            self._entries[key] = entry if known is None else _both(known, entry)


def _both(one: Entry, other: Entry) -> Entry:
    """What two things that are said of a key come to: needing a person is stronger than all, and what is kept in part
    is approximated."""
    words = one.words if other.words in one.words.split("; ") else f"{one.words}; {other.words}"
    if one.fate == other.fate:
        return Entry(one.fate, words, one.shows or other.shows)
    if "needs you" in (one.fate, other.fate):
        return Entry("needs you", words)
    return Entry("approximated", words)
