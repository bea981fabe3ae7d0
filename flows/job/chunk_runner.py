"""Running one chunk of a job on its pool: its frames are rendered, what is whole is encoded, and videos that became
whole are published."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass

from flows.job.events import FailureLog
from flows.job.frames import FrameRendering
from flows.job.job import RenderJob
from flows.job.publishing import Publisher
from flows.job.segments import SegmentEncoding
from flows.job.state import VideoRun
from flows.planning.chunks import Chunk, Part
from flows.retry_and_quarantine.attempts import Attempts, WorkerLease
from flows.retry_and_quarantine.records import PLANNER
from infra.video.finishing import Finishing
from infra.workers.pool import Pool
from renderers.errors import BadInput

__all__ = ["ChunkCounts", "ChunkRunner"]

# Plans that are put at a time: storage is waited for, not the processor.
MAX_PUTS = 64


@dataclass(frozen=True)
class ChunkCounts:
    """What became of a chunk's frames: `rendered` now, `skipped` since they were there already, and still `missing`."""

    rendered: int
    skipped: int
    missing: int


class ChunkRunner:
    """Runs chunks of a job, several at a time, each in a thread of its own.

    `changed` is called in such a thread when a frame was tried, and when a chunk has nothing left to render: others
    may have waited for that. `_lock` guards `_finishing`.
    """

    def __init__(
        self, job: RenderJob, pool: Pool, publisher: Publisher, failures: FailureLog, changed: Callable[[], None]
    ) -> None:
        self._job, self._pool, self._publisher, self._changed = job, pool, publisher, changed
        self._failures = failures
        self._attempts = job.attempts = Attempts(pool, job.settings, job.control.stopped, self._lacking)
        self._frames = FrameRendering(self._attempts, job.control, failures, changed, job.source.comparison)
        self._segments = SegmentEncoding(self._frames)
        self._puts = ThreadPoolExecutor(MAX_PUTS, thread_name_prefix="plan")
        self._lock = threading.RLock()
        self._finishing = 0

    def close(self) -> None:
        """Let go of threads. The pool is its owner's to close."""
        self._attempts.close()
        self._frames.close()
        self._puts.shutdown(wait=False)

    def _lacking(self, message: str) -> None:
        self._job.lacks = (*self._job.lacks, message)
        self._failures.lacking(message)

    @property
    def finishing(self) -> int:
        """How many chunks only encode or stitch: as many others may render in their place."""
        with self._lock:
            return self._finishing

    def run(self, chunk: Chunk, turn: int = 0) -> ChunkCounts:
        """Render and encode all parts of a chunk; publish the videos that became whole. Of the chunks that wait for a
        worker the one with the lowest `turn` gets it.

        One bad part never stops the next. Raises nothing of a frame's own: what failed is in the runs' records.
        A video that spreads over several chunks is left to the caller, who knows when the last of them is done.
        """
        counts = ChunkCounts(0, 0, 0)
        together = self._pool.max_batch > 1 and len({part.video for part in chunk.parts}) > 1
        for parts in [chunk.parts] if together else [(part,) for part in chunk.parts]:
            missing = [(part, part.missing_of(self._run_of(part).work)) for part in parts]
            self._run_parts(parts, turn)
            for part, frames in missing:
                counts = self._counted(counts, part, frames)
                self._publish_if_whole(chunk, part.video)
        return counts

    def _run_of(self, part: Part) -> VideoRun:
        return self._job.runs[part.video]

    def _counted(self, counts: ChunkCounts, part: Part, frames: Sequence[int]) -> ChunkCounts:
        run = self._run_of(part)
        rendered, missing = run.outcome(frames)
        skipped = 0
        if part.index is not None:
            frame_range = run.work.ranges[part.index]
            skipped = frame_range.stop - frame_range.start - len(frames)
        return ChunkCounts(counts.rendered + rendered, counts.skipped + skipped, counts.missing + missing)

    def _publish_if_whole(self, chunk: Chunk, video: str) -> None:
        run = self._job.runs[video]
        mine = {part.index for part in chunk.parts if part.video == video}
        if mine >= run.work.to_encode and run.ready_to_stitch and not self._job.stopped:
            with self._finishes():
                self._publisher.stitch(run)

    def _run_parts(self, parts: Sequence[Part], turn: int) -> None:
        """Render the frames of `parts`, then encode what is whole; meanwhile others render with the same worker."""
        if self._job.stopped:
            return
        parts = [part for part in parts if part.index is None or part.index in self._run_of(part).ranges_left]
        parts = [part for part in parts if self._has_begun_or_can(self._run_of(part))]
        if not parts:
            return
        # no worker is needed for this; one that fails is tried again below
        wait([self._puts.submit(self._publisher.save_plan, self._job.runs[v]) for v in {part.video for part in parts}])
        with WorkerLease(self._attempts, self._run_of(parts[0]).worker, turn) as lease:
            # no plan, no frames
            parts = [part for part in parts if self._has_plan(lease, self._run_of(part))]
            runs = [(self._run_of(part), part) for part in parts]
            self._frames.render(lease, [(run, part.missing_of(run.work)) for run, part in runs])
            lease.stand_by()  # once more: a commit that failed has rented it again
            with self._finishes():
                for run, part in runs:
                    if self._job.stopped:
                        return
                    if part.index is not None and not Finishing.of(run.work.plan.row).reach:
                        self._segments.encode(lease, run, part.index)
                        continue
                    # wherever they lie: a segment that looks at its neighbours waits for those, and whoever puts the
                    # last of all that it needs encodes it
                    while self._segments.encode_claimed(lease, run):
                        pass

    def _has_begun_or_can(self, run: VideoRun) -> bool:
        """Return False, and say why, where a video continues a frame that this job was to render and has not."""
        parent = run.work.begins_missing
        other = self._job.runs.get(parent.video_id) if parent is not None and not run.has(0) else None
        if parent is None or other is None or other.has(parent.frame):
            return True
        if not self._job.control.over and run.begin_waiting_in_vain():
            error = BadInput(
                f"it continues frame {parent.frame} of video '{parent.video_id}', which is not there: re-run that, "
                "then render again"
            )
            self._failures.record(run, 0, error, 1, PLANNER, 0.0)
            run.failed_for_good(str(error))
        return False

    def _has_plan(self, lease: WorkerLease, run: VideoRun) -> bool:
        if run.plan_saved:
            return True
        return bool(self._frames.attempt(lease, run, None, lambda *_: self._publisher.save_plan(run)))

    @contextmanager
    def _finishes(self) -> Iterator[None]:
        """While a chunk encodes or stitches, another may render in its place."""
        with self._lock:
            self._finishing += 1
        self._changed()
        try:
            yield
        finally:
            with self._lock:
                self._finishing -= 1
