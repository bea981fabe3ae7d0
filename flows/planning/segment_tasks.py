"""What a worker is given of a frame range whose frames are all there. Pure, as in flows/planning/remaining.py."""

from __future__ import annotations

from flows.planning.remaining import VideoWork, pasted_into, upscaler_of
from infra.workers.tasks import FrameReport, SegmentTask

__all__ = ["segment_task"]


def segment_task(
    work: VideoWork, number: int, reports: tuple[FrameReport, ...] = (), *, replace: bool = True
) -> SegmentTask:
    """Return the task that encodes range `number` of a video; `reports` are of its frames, see `SegmentTask`."""
    frame_range = work.ranges[number]
    frames = work.frames[frame_range.start : frame_range.stop]
    before = work.frames[frame_range.start - 1].digest if frame_range.start else ""
    following = work.plan.following(frame_range.stop - 1)
    after = "" if following is None else work.frames[following].digest
    leading, trailing = (
        tuple((index, work.frames[index].digest) for index in it) for it in (frame_range.before, frame_range.behind)
    )
    return SegmentTask(
        work.plan.row_of_frames, frames, reports, replace, before, after, leading, trailing, upscaler_of(work.plan),
        pasted_into(work.plan),
    )  # fmt: skip
