"""The JSON documents of an output, as they may be: an older version's, a newer one's, damaged, or anybody's."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TypeVar

from infra.storage.storage import SourceRefused, Storage
from manifests.errors import first_line
from manifests.schema.texts import short
from renderers.errors import BadInput

__all__ = ["DAMAGE", "MOST_BYTES", "DocumentDamaged", "parse", "read_document"]

T = TypeVar("T")

#: A plan has some kilobytes, the record of a segment 100 bytes a loss; JSON unfolds to thirty times its size in memory.
MOST_BYTES = 16 << 20
#: What a document of another shape than the one expected raises, wherever that shows first.
DAMAGE = (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError, ArithmeticError, RecursionError)


class DocumentDamaged(BadInput):
    """A stored document is none of ours, or no longer. The message names its key and what to do."""


def read_document(output: Storage, key: str, make: Callable[[Any], T], what: str, remedy: str) -> T:
    """Return what `make` makes of the JSON under `key`; `what` says what it is to people, and `remedy` what to do.

    Raises:
        DocumentDamaged: it is none that can be read.
        ObjectMissing, StorageUnavailable: as `Storage.read`.
    """
    try:
        return make(parse(output.read(key, most=MOST_BYTES)))
    except (SourceRefused, *DAMAGE) as error:
        why = error.message if isinstance(error, SourceRefused) else short(_reason(error), 200)
        raise DocumentDamaged(f"{what}, '{key}', is damaged ({why}): {remedy}") from error


def parse(data: bytes) -> Any:
    """Return the JSON of a document. Raises ValueError where it is none, or nested too deeply."""
    try:
        return json.loads(data)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _reason(error: BaseException) -> str:
    if isinstance(error, KeyError):
        return f"it has no {error}"
    return first_line(error)
