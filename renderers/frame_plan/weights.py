"""Weights of the loss, and of what frames are held to, that change in time, as they are planned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from manifests.schema import HoldSettings, LossSettings, ManifestRow
from manifests.schema.hold import HOLD_LIMITS
from manifests.schema.palette import colours_in
from manifests.schema.settings import LOSS_LIMITS
from renderers.canonical import differing
from renderers.frame_plan.neutral import NEUTRAL
from renderers.frame_plan.schedules import Schedules, deviating

__all__ = ["Weights", "WeightsInTime", "decided_by", "decided_by_holds", "without_a_start"]

# The weights of a frame that are not 0, by their names in the row's `loss` or `hold`.
Weights = tuple[tuple[str, float], ...]


class WeightsInTime:
    """Those of one video, of one `group` of its settings."""

    def __init__(self, row: ManifestRow, group: str, limits: Mapping[str, tuple[float, float]]) -> None:
        """Of a resolved `row`; `limits` names the weights of the group, and between what each may be."""
        names = deviating(row, group, limits)
        self._schedules = Schedules(row, group, limits, names) if names else None

    @classmethod
    def of_loss(cls, row: ManifestRow) -> WeightsInTime:
        """Of the terms of the loss."""
        return cls(row, "loss", LOSS_LIMITS)

    @classmethod
    def of_holds(cls, row: ManifestRow) -> WeightsInTime:
        """Of what frames are held to."""
        return cls(row, "hold", HOLD_LIMITS)

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


def decided_by_holds(holds: Weights, settings: HoldSettings) -> dict[str, Any]:
    """What of that which a frame is held to a digest holds."""
    found: dict[str, Any] = dict(holds)
    if "init" in found:
        found |= differing({"init_as": settings.init_as, "init_fade": settings.init_fade}, NEUTRAL, "hold.")
    return found


def without_a_start(holds: Weights) -> Weights:
    """What is left of that which a frame is held to, where it starts cold: that is nothing to be held to."""
    return tuple(it for it in holds if it[0] == "init")
