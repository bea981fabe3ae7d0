"""An output as a render leaves it, made without rendering: for tests of what only looks."""

from __future__ import annotations

import json

from flows.job.load_work import load_work
from flows.job.storage_state import save_plan
from flows.planning.remaining import VideoWork
from infra.storage.layout import PROVENANCE, frame_key, video_key
from infra.storage.storage import Storage
from manifests.schema import ManifestRow
from renderers.registry import Registry

__all__ = ["put_finished_still"]


def put_finished_still(output: Storage, row: ManifestRow) -> VideoWork:
    """Put the objects of a still of one frame, the pictures among them empty but for their keys."""
    (work,) = load_work(output, [row], Registry(), chunk_seconds=60, range_frames=None)
    assert not isinstance(work, tuple)
    video = video_key(row.video_id, "png")
    for key in (frame_key(row.video_id, 0, work.frames[0].digest), work.ranges[0].segment, video):
        output.put(key, b"-")
    provenance = {"video": video.removeprefix(f"{row.video_id}/"), "content": work.content}
    output.put(f"{row.video_id}/{PROVENANCE}", json.dumps(provenance).encode())
    save_plan(output, work)
    return work
