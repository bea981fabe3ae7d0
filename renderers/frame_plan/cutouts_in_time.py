"""Shares of the cutouts that may change in time, from frame to frame and from step to step, as they are planned."""

from __future__ import annotations

from collections import OrderedDict

from manifests.schema import KeyframeError, Keyframes, ManifestRow
from manifests.schema.keyframes import uses_frames, uses_steps
from manifests.schema.settings import CUTOUT_LIMITS
from renderers.canonical import rounded
from renderers.errors import BadInput
from renderers.frame_plan.neutral import text_of
from renderers.frame_plan.schedules import deviating

__all__ = ["CutoutShares", "CutoutsInTime", "share_at"]

# The shares of a frame that are not 0 throughout, by their names in the row's `cutouts`: at each of its steps, or one
# value for all of them.
CutoutShares = tuple[tuple[str, tuple[float, ...]], ...]

# Frames' values that are remembered: most frames share theirs with others.
REMEMBERED = 1024


class CutoutsInTime:
    """Those of one video."""

    def __init__(self, row: ManifestRow) -> None:
        self._video_id = row.video_id
        self._keys = {
            name: Keyframes.parse(text_of(row, f"cutouts.{name}"), row.timeline)
            for name in deviating(row, "cutouts", CUTOUT_LIMITS)
        }
        self._same: dict[tuple[str, int], tuple[float, ...]] = {}  # of what is the same in all frames of so many steps
        self._known: OrderedDict[CutoutShares, CutoutShares] = OrderedDict()

    def at(self, index: int, steps: int) -> CutoutShares:
        """The shares of frame `index`, of so many steps.

        Raises:
            BadInput: one is no number at some step, or not allowed.
        """
        if not self._keys:
            return ()
        found = tuple((name, values) for name in self._keys if any(values := self._values(name, index, steps)))
        known = self._known.setdefault(found, found)  # a million frames hold one object
        if len(self._known) > REMEMBERED:
            self._known.popitem(last=False)
        return known

    def _values(self, name: str, index: int, steps: int) -> tuple[float, ...]:
        keys, (low, high) = self._keys[name], CUTOUT_LIMITS[name]
        if keys.constant is not None:
            return (rounded(keys.constant),)
        if not uses_steps(keys.text):
            steps = 1
        if not uses_frames(keys.text) and (name, steps) in self._same:
            return self._same[name, steps]
        said = f"cutouts.{name} of video '{self._video_id}'"
        try:
            values = tuple(rounded(keys.at(index, step / steps)) for step in range(steps))
        except KeyframeError as error:
            raise BadInput(f"{said} at frame {index}: {error}") from error
        for step, value in enumerate(values):
            if not low <= value <= high:
                raise BadInput(
                    f"{said} is {value:g} at frame {index}, step {step + 1} of {steps}; allowed is {low:g} to {high:g}"
                )
        values = values[:1] if len(set(values)) == 1 else values
        if not uses_frames(keys.text):
            self._same[name, steps] = values
        return values


def share_at(shares: CutoutShares, name: str, step: int, steps: int) -> float:
    """The share `name` at step number `step` of `steps`, from 0. A frame may take other steps than were planned: what
    counts is how many of them are over."""
    for known, values in shares:
        if known == name:
            return values[min(step * len(values) // steps, len(values) - 1)]
    return 0.0
