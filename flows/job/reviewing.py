"""Which limits of scores hold for a video: its row's, as the latest run of its manifest had them, and those of this
process's settings for what the row leaves open."""

from __future__ import annotations

from collections.abc import Mapping

from flows.report.review import LIMITS, Limits
from flows.runs.wanted import Wanted
from infra.settings import InfraSettings
from manifests.schema import ManifestRow

__all__ = ["limits_in", "limits_of", "usual_limits"]


def limits_in(row: ManifestRow) -> dict[str, float]:
    """Return the limits that a row sets, by their names in `review`."""
    return row.review.model_dump(include={*LIMITS}, exclude_none=True)


def usual_limits(settings: InfraSettings) -> dict[str, float]:
    """Return the limits of rows that set none, by their names in `review`."""
    found = {name: getattr(settings, f"review_{name}") for name in LIMITS}
    return {name: limit for name, limit in found.items() if limit is not None}


def limits_of(row: ManifestRow, wants: Wanted, usual: Mapping[str, float]) -> Limits:
    """Return the limits that hold for the video of a stored plan's `row`: the plan is as old as its frames are, and
    what its manifest says of a review may be newer (`wants`)."""
    given = wants.reviews.get(row.video_id)
    return Limits.of(usual, limits_in(row) if given is None else given)
