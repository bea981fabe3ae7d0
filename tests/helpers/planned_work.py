"""Videos' work as the planner makes it, of a model whose frames take a second each."""

from __future__ import annotations

from collections.abc import Collection

from flows.planning.remaining import VideoWork, plan_video
from manifests.schema import ManifestRow
from renderers.frame_plan.video_plan import VideoPlan
from renderers.registry import Registry

__all__ = ["plan_of", "work_of"]

# One step is a tenth of a second, so a frame of ten steps is one second.
ENTRY = Registry().entry("embedded").model_copy(update={"seconds_per_step": 0.1, "defaults": {}})


def plan_of(video_id: str, frames: int, **columns: object) -> VideoPlan:
    row = {"video_id": video_id, "prompt": "a reef", "frames": frames, "steps": 10, "steps_first": 10, **columns}
    return VideoPlan(ManifestRow.model_validate(row), ENTRY, {})


def work_of(
    video_id: str, frames: int, size: int | None = None, *, missing: Collection[int] | None = None,
    segments: Collection[int] = (), published: bool = False, **columns: object,
) -> VideoWork:  # fmt: skip
    """A video's work where `missing` frames (None: all) are not in storage, and the ranges number `segments` are."""
    plan = plan_of(video_id, frames, **columns)

    def planned(present: Collection[int], keys: Collection[str], content: str | None) -> VideoWork:
        return plan_video(plan, present, keys, published_content=content, chunk_seconds=120, range_frames=size)

    bare = planned((), (), None)
    present = set(range(frames)) - set(range(frames) if missing is None else missing)
    return planned(present, {bare.ranges[i].segment for i in segments}, bare.content if published else None)
