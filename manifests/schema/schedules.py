"""The columns of a row that change in time."""

from __future__ import annotations

from pydantic import BaseModel

from manifests.schema.keyframe_text import CHECKED_KEYFRAMES, CHECKED_STEPS
from manifests.schema.keyframes import Keyframes
from manifests.schema.row import ManifestRow
from manifests.schema.timeline import Timeline

__all__ = ["schedules"]


def schedules(row: ManifestRow) -> dict[str, Keyframes]:
    """Every column of `row` that holds keyframes, by its dotted name, those that never change among them; and the
    weights and stops of its prompts that are no plain numbers."""
    found = _found(row, row.timeline, "")
    for value in row.changing_values():
        found.setdefault(value.name, value.keyframes(row.timeline))
    return found


def _found(settings: BaseModel, timeline: Timeline, prefix: str) -> dict[str, Keyframes]:
    found: dict[str, Keyframes] = {}
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        if CHECKED_KEYFRAMES in field.metadata or CHECKED_STEPS in field.metadata:
            found[prefix + name] = Keyframes.parse(value, timeline)
        elif isinstance(value, BaseModel):
            found |= _found(value, timeline, f"{prefix}{name}.")
    return found
