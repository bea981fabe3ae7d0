"""How long rows take to render, before they are planned: by the registry's figure, as `nightreel plan` says it."""

from __future__ import annotations

from functools import cache
from typing import Any

from flows.job.preset_files import PresetFiles
from infra.storage.storage import StorageUnavailable
from manifests.schema import ManifestRow
from renderers.errors import RenderError
from renderers.frame_plan.video_plan import VideoPlan
from renderers.registry import Registry

__all__ = ["Estimate"]

#: What the time hangs on. Rows of a combination differ in few of them, so that most have been reckoned before.
_COLUMNS = (
    "model", "preset", "frames", "width", "height", "steps_first", "steps", "steps_keyframe", "keyframe_every",
    "handoff",
)  # fmt: skip
_REMEMBERED = 100_000


class Estimate:
    """Looks at rows one by one. `seconds` are those of one actor; of `unknown` rows nothing can be said, since their
    model is not here, or can't do what they ask for."""

    def __init__(self, registry: Registry, presets: PresetFiles) -> None:
        self.rows = self.frames = self.unknown = 0
        self.seconds = 0.0
        self._entry, self._presets = cache(registry.entry), presets
        self._known: dict[Any, float | None] = {}

    def look(self, row: ManifestRow) -> None:
        """Look at one."""
        self.rows += 1
        self.frames += row.frames
        given = row.model_fields_set
        # with keyframes the scenes' own count, too
        scenes = tuple(scene.at for scene in row.scenes) if row.frames > 1 else ()
        key = (*(getattr(row, column) if column in given else None for column in _COLUMNS), scenes)
        if key not in self._known:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[key] = self._seconds(row)
        seconds = self._known[key]
        if seconds is None:
            self.unknown += 1
        else:
            self.seconds += seconds

    def _seconds(self, row: ManifestRow) -> float | None:
        try:
            filled = self._presets.filled(row)
            if filled.audio is not None and filled.handoff == "auto":
                # its camera may hang on what is heard, which does not decide how long it takes
                filled = filled.model_copy(update={"handoff": "chain"})
            return VideoPlan.of(filled, entry=self._entry(row.model)).all_seconds()
        except (RenderError, StorageUnavailable):
            return None
