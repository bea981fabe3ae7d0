"""Small helpers for sentences to people."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

from manifests.masking import without_secrets

# Of texts of any length so much is looked at behind what is shown: the longest address.
_READ = 5_000


def short(text: str, length: int = 60, *, of: str = "") -> str:
    """`text`, cut to at most `length` characters, and fit for a terminal: a manifest is a stranger's text. What is
    secret goes before the cut, after which an address may not be known for one. `of`: the longer text of which it is a
    part, which may show that it is one of a secret."""
    if of and text.strip() not in without_secrets(of):
        return "***"
    text = without_secrets(text[: length + _READ])
    if not text.isprintable():
        text = "".join(sign if sign.isprintable() else " " for sign in text)
    return text if len(text) <= length else text[: length - 1] + "…"


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`did you mean 'frames'?`, or nothing where no known name is near."""
    near = get_close_matches(name, list(known), 1)
    return f"did you mean '{near[0]}'?" if near else ""


def plural(count: int, one: str, many: str | None = None) -> str:
    """`1 video`, `1,204 videos`."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"
