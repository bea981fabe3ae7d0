"""Weights of the loss that change in time, as they are planned."""

from __future__ import annotations

from typing import Any

from manifests.schema import LossSettings, ManifestRow
from manifests.schema.palette import colours_in
from manifests.schema.settings import LOSS_LIMITS
from renderers.canonical import differing
from renderers.frame_plan.neutral import NEUTRAL
from renderers.frame_plan.schedules import Schedules, deviating

__all__ = ["Weights", "WeightsInTime", "decided_by"]

# The weights of a frame that are not 0, by their names in the row's `loss`.
Weights = tuple[tuple[str, float], ...]


class WeightsInTime:
    """Those of one video."""

    def __init__(self, row: ManifestRow) -> None:
        """Of a resolved `row`."""
        names = deviating(row, "loss", LOSS_LIMITS)
        self._schedules = Schedules(row, "loss", LOSS_LIMITS, names) if names else None

    def at(self, index: int) -> Weights:
        """The weights of frame `index`.

        Raises:
            BadInput: one is no number there, or not allowed.
        """
        if self._schedules is None:
            return ()
        return tuple((name, value) for name, value in self._schedules.at(index).items() if value)


def decided_by(weights: Weights, settings: LossSettings) -> dict[str, Any]:
    """What of a frame's `weights`, and of the settings that terms with a weight look at, a digest holds."""
    found: dict[str, Any] = dict(weights)
    if "palette" in found:
        found["palette_colours"] = [list(colour) for colour in colours_in(settings.palette_colours)]
    if "colour" in found:
        found |= differing({"colour_target": settings.colour_target}, NEUTRAL, "loss.")
    return found
