"""The type of columns that change in time: a number, an expression, or keyframes."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from manifests.schema.keyframes import check_text

__all__ = ["CHECKED_KEYFRAMES", "CHECKED_STEPS", "KeyframeText", "StepText"]


def _number_to_text(value: Any) -> Any:
    """A Parquet column of floats is a fair way to write constant keyframes."""
    return repr(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _check_keyframes(text: str) -> str:
    check_text(text)
    return text


def _check_steps(text: str) -> str:
    check_text(text, steps=True)
    return text


_ALLOWED_KEYFRAMES = "a number, an expression in time such as 'sin(t/8)', or keyframes such as '0:(1.02), 60:(1.05)'"
# by which those columns are known
CHECKED_KEYFRAMES, CHECKED_STEPS = AfterValidator(_check_keyframes), AfterValidator(_check_steps)
KeyframeText = Annotated[
    str,
    BeforeValidator(_number_to_text),
    Field(max_length=100_000, json_schema_extra={"allowed": _ALLOWED_KEYFRAMES}),
    CHECKED_KEYFRAMES,
]
# One that may change from step to step, too.
StepText = Annotated[
    str,
    BeforeValidator(_number_to_text),
    Field(
        max_length=100_000,
        json_schema_extra={"allowed": f"{_ALLOWED_KEYFRAMES}; u is how much of a frame's steps is over, 0 to below 1"},
    ),
    CHECKED_STEPS,
]
