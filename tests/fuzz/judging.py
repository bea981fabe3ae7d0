"""What a reader of strangers' bytes may say."""

from __future__ import annotations

from manifests.errors import ErrorKind, NightreelError

__all__ = ["Finding", "refused", "said"]

LONGEST_MESSAGE = 4_000


class Finding(AssertionError):
    """A reader did what it must not do."""


def refused(error: NightreelError) -> None:
    """Look at a refusal: words for people, of a kind that somebody has thought of."""
    if error.kind == ErrorKind.APPLICATION:
        raise Finding(f"{type(error).__name__} is of no kind: {error}") from error
    said(str(error))


def said(message: str) -> None:
    """Look at a message."""
    if not message.strip():
        raise Finding("an empty message")
    if len(message) > LONGEST_MESSAGE:
        raise Finding(f"a message of {len(message)} characters: {message[:200]}")
