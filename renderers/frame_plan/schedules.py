"""Nested settings that may change in time, as they are planned: what each comes to at each frame."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from manifests.schema import KeyframeError, Keyframes, ManifestRow
from renderers.canonical import rounded
from renderers.errors import BadInput
from renderers.frame_plan.neutral import NEUTRAL, constant_of, text_of

__all__ = ["Schedules", "deviating"]


def deviating(row: ManifestRow, group: str, names: Iterable[str]) -> tuple[str, ...]:
    """Those of the settings `names` of a `group` such as renew that are not neutral throughout."""
    if not getattr(row, group).model_fields_set:
        return ()  # as nearly all rows
    return tuple(name for name in names if constant_of(row, f"{group}.{name}") != NEUTRAL[f"{group}.{name}"])


class Schedules:
    """Settings of one video that may change in time."""

    def __init__(
        self, row: ManifestRow, group: str, limits: Mapping[str, tuple[float, float]], names: Iterable[str]
    ) -> None:
        """`names` of a resolved `row`'s `group`, each of which may be what `limits` say."""
        self._video_id, self._group, self._limits = row.video_id, group, limits
        self._values: dict[str, float | Keyframes] = {}
        for name in names:
            constant = constant_of(row, f"{group}.{name}")
            keys = Keyframes.parse(text_of(row, f"{group}.{name}"), row.timeline)
            self._values[name] = keys if constant is None else rounded(constant)

    def at(self, index: int) -> dict[str, float]:
        """What each comes to at frame `index`.

        Raises:
            BadInput: one is no number there, or not allowed.
        """
        return {name: self._value(name, index) for name in self._values}

    def _value(self, name: str, index: int) -> float:
        value = self._values[name]
        if not isinstance(value, Keyframes):
            return value
        said = f"{self._group}.{name} of video '{self._video_id}'"
        try:
            number = rounded(value.at(index))
        except KeyframeError as error:
            raise BadInput(f"{said} at frame {index}: {error}") from error
        low, high = self._limits[name]
        if not low <= number <= high:  # validation of long videos looks at a sample of the frames
            raise BadInput(f"{said} is {number:g} at frame {index}; allowed is {low:g} to {high:g}")
        return number
