"""The type of columns that change in time: a number, an expression, or keyframes."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from manifests.schema.keyframes import check_text

__all__ = ["CHECKED_KEYFRAMES", "KeyframeText"]


def _number_to_text(value: Any) -> Any:
    """A Parquet column of floats is a fair way to write constant keyframes."""
    return repr(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _check_keyframes(text: str) -> str:
    check_text(text)
    return text


_ALLOWED_KEYFRAMES = "a number, an expression in time such as 'sin(t/8)', or keyframes such as '0:(1.02), 60:(1.05)'"
CHECKED_KEYFRAMES = AfterValidator(_check_keyframes)  # by which those columns are known
KeyframeText = Annotated[
    str,
    BeforeValidator(_number_to_text),
    Field(max_length=100_000, json_schema_extra={"allowed": _ALLOWED_KEYFRAMES}),
    CHECKED_KEYFRAMES,
]
