"""The film that a video is drawn over, as it is planned: which of its frames decide a frame, and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from manifests.schema import ManifestRow
from manifests.schema.source import SOURCE_HOLDS, SOURCE_LIMITS
from renderers.canonical import differing
from renderers.errors import BadInput
from renderers.frame_plan.neutral import NEUTRAL
from renderers.frame_plan.schedules import Schedules
from renderers.frame_plan.weights import Weights, WeightsInTime

__all__ = ["SourceFrame", "SourcePictures", "Sources"]


@dataclass(frozen=True, slots=True)
class SourceFrame:
    """What of the film a frame is made of: the film's own frame of that number, `now`, and the one `before` it, by
    which it is known how what the frame starts from moves; '' where nothing is moved, since the frame starts from `now`
    alone, or from the frame before as it was. Both are hashes of pixels. `blend` is the share of `now` in what it
    starts from, `occluded` what it starts from where the film shows what it did not show before; `holds` are the
    weights by which it is held to `now`."""

    now: str
    before: str = ""
    blend: float = 0.05
    occluded: str = "source"
    holds: Weights = ()

    def decides(self) -> dict[str, Any]:
        """What of it a digest holds."""
        if not self.before:
            return {"now": self.now, **dict(self.holds)}
        how = differing({"blend": self.blend, "occluded": self.occluded}, NEUTRAL, "source.")
        return {"now": self.now, "before": self.before, **how, **dict(self.holds)}


@dataclass(frozen=True)
class SourcePictures:
    """The pictures of a `SourceFrame`, `(height, width, 3)` uint8 RGB; `before` is None where it has none."""

    now: NDArray[np.uint8]
    before: NDArray[np.uint8] | None = None


class Sources:
    """Those of one video."""

    def __init__(self, row: ManifestRow) -> None:
        """Of a resolved `row` that names a film.

        Raises:
            BadInput: nobody has prepared the film.
        """
        found = row.source.found
        if found is None:
            raise BadInput(
                f"video '{row.video_id}' is drawn over a film, which a job prepares before it plans the video: use "
                "`nightreel render`, or run_job in Python"
            )
        self._found, self._flows, self._occluded = found, row.source.mode == "flow", row.source.occluded
        self._blend = Schedules(row, "source", SOURCE_LIMITS, ["blend"])
        self._holds = WeightsInTime(row, "source", SOURCE_HOLDS)

    @classmethod
    def of(cls, row: ManifestRow) -> Sources | None:
        """Those of a resolved `row`; None if it names no film."""
        return cls(row) if row.source.video is not None else None

    def at(self, index: int) -> SourceFrame:
        """What of the film frame `index` is made of.

        Raises:
            BadInput: a value is not there, or not allowed.
        """
        now, holds = self._found.hash_of(index), self._holds.at(index)
        if not (index and self._flows):
            return SourceFrame(now, holds=holds)
        before, blend = self._found.hash_of(index - 1), self._blend.at(index)["blend"]
        return SourceFrame(now, before, blend, self._occluded, holds)
