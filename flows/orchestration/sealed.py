"""What leaves a flow or a task for Prefect's tables: its log lines, and the text of the exception that ends it, which
becomes the message of its state."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from infra.masked_logs import mask_logs
from manifests.errors import NightreelError
from manifests.masking import without_secrets

__all__ = ["Unforeseen", "sealed"]


class Unforeseen(NightreelError):
    """An error of a library that held a secret in its text."""


@contextmanager
def sealed() -> Iterator[None]:
    """Let no secret out of the block, neither in a line of any logger nor in an exception."""
    mask_logs()
    try:
        yield
    except NightreelError:
        raise
    except Exception as error:
        text = str(error)
        if without_secrets(text) == text:
            raise
        # as the cause it is in the log, which is masked
        raise Unforeseen(f"{type(error).__name__}: {text}") from error
