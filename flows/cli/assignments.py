"""What `--set column=value` says."""

from __future__ import annotations

from typing import Any

import yaml

from manifests.schema.texts import short
from renderers.errors import BadInput

__all__ = ["assigned"]

# What PyYAML raises for values that look like dates or numbers and are none, or are nested without end.
_BROKEN = (yaml.YAMLError, ValueError, TypeError, LookupError, OverflowError, AttributeError, RecursionError)


def assigned(assignment: str, example: str) -> tuple[str, Any]:
    """Return the column, dotted if nested, and its value, a YAML scalar; `example` is one for people.

    Raises:
        BadInput: it is no assignment; what is shown of it holds no secret.
    """
    column, equals, text = assignment.partition("=")
    if not equals or not column.strip():
        raise BadInput(f"--set '{short(assignment, 200)}': give column=value, such as {example}")
    try:
        return column.strip(), yaml.safe_load(text)
    except _BROKEN as error:
        raise BadInput(
            f"--set '{short(assignment, 200)}': the value is not valid YAML; put quotes around a text"
        ) from error
