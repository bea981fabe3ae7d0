"""What the expressions of a row cost: each is computed for every frame that it counts in.

A frame of an expression takes up to 0.07 microseconds a character (`noise(t)` over and over; measured), so that a row
within the bound costs some fifteen seconds at most, whoever wrote it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from manifests.schema.base import SettingsError
from manifests.schema.keyframes import Keyframes
from manifests.schema.timeline import Timeline

__all__ = ["MOST_WORK", "Computed", "check_effort"]

MOST_WORK = 200_000_000
"""Characters times frames: 10^6 frames have 200 characters of expressions, 10^4 have more than columns can hold."""


class Computed(NamedTuple):
    """A text of `column` that is computed for `frames` frames; `name` says of what it is there."""

    column: str
    name: str
    text: str
    frames: int


def check_effort(values: Sequence[Computed], timeline: Timeline) -> None:
    """Raise SettingsError, in the column that costs most, if all expressions of a row with this `timeline` are more
    than `MOST_WORK`, each as if its longest held at all its frames."""
    if sum(len(value.text) * value.frames for value in values) <= MOST_WORK:
        return  # nearly every row
    longest = {value: Keyframes.parse(value.text, timeline).longest for value in values}
    total = sum(longest[value] * value.frames for value in values)
    if total > MOST_WORK:
        most = max(values, key=lambda value: longest[value] * value.frames)
        raise SettingsError(
            most.column,
            f"{most.name}: an expression of {longest[most]:,} characters is computed for {most.frames:,} "
            f"frames, and with the row's others that makes {total:,} characters times frames; allowed are "
            f"{MOST_WORK:,}: write it shorter, or give the video fewer frames",
        )
