"""Encoding the ranges of a video whose frames are all there into segments."""

from __future__ import annotations

from flows.job.frames import FrameRendering
from flows.job.state import VideoRun
from flows.planning.segment_tasks import segment_task
from flows.retry_and_quarantine.attempts import WorkerLease

__all__ = ["SegmentEncoding"]


class SegmentEncoding:
    """Encodes segments with leased workers. Frames that turn out to be damaged are repaired by `frames`."""

    def __init__(self, frames: FrameRendering) -> None:
        self._frames = frames

    def encode_claimed(self, lease: WorkerLease, run: VideoRun) -> bool:
        """Encode one range that nobody else has taken, if there is any whose frames are all there."""
        number = run.claim()
        if number is None:
            return False
        self.encode(lease, run, number)
        return True

    def encode(self, lease: WorkerLease, run: VideoRun, number: int) -> None:
        """Encode range `number` of a video, if all its frames are there."""
        if not run.whole(number):
            return
        frame_range = run.work.ranges[number]
        reports = run.reports_of(range(frame_range.start, frame_range.stop))
        task = segment_task(run.work, number, reports, replace=run.renews(frame_range))
        done = self._frames.attempt(lease, run, None, lambda worker, _: worker.encode_segment(task))
        if done is not None:
            run.encoded(number, done)
