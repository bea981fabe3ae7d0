"""A render job at work: what was planned (flows/job/planned.py) is rendered, encoded and stitched, and failures dealt
with.

Prefect's tasks (flows/render_manifest.py) are thin: they call `run_chunk` and `stitch_video` here from threads. Nothing
in this module knows Prefect or Ray, so the whole job also runs, and is tested, on a `LocalPool`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import wait
from contextlib import contextmanager
from dataclasses import replace

from flows.failures.attempts import Attempts, WorkerLease
from flows.failures.policy import Attempt, decide
from flows.job.frames import FrameJob
from flows.job.state import JobProgress, VideoRun
from flows.job.stitching import Published, encode_damaged, stitch
from flows.planning.chunks import Chunk, Part
from infra.video.errors import VideoDefect
from infra.workers.tasks import SegmentTask, WorkerProgress
from manifests.errors import ErrorKind, kind_of

__all__ = ["RenderJob"]


class RenderJob(FrameJob):
    """Does what was planned: renders, chunk by chunk, encodes and stitches."""

    def plan_again(self) -> bool:
        """After all chunks: whether what was rendered has changed the plan, so that there is more to do."""
        return False

    def run_chunk(self, chunk: Chunk, turn: int = 0) -> dict[str, int]:
        """Render and encode all parts of a chunk; publish the videos that became whole. Returns counts. Of the chunks
        that wait for a worker the one with the lowest `turn` gets it.

        One bad part never stops the next. Raises nothing of a frame's own: what failed is in the runs' records.
        A video that spreads over several chunks is left to the caller, who knows when the last of them is done.
        """
        counts = {"rendered": 0, "skipped": 0, "failed": 0}
        attempts = self._workers()
        several = attempts.pool.max_batch > 1 and len({part.video for part in chunk.parts}) > 1
        for parts in [chunk.parts] if several else [(part,) for part in chunk.parts]:
            wanted = [(part, self._frames_of(self.runs[part.video], part)) for part in parts]
            self._run_parts(attempts, parts, turn)
            for part, frames in wanted:
                run = self.runs[part.video]
                counts["rendered"] += len([i for i in frames if i in run.reports])
                counts["failed"] += len([i for i in frames if i not in run.available])
                if part.index is not None:
                    piece = run.work.ranges[part.index]
                    counts["skipped"] += piece.stop - piece.start - len(frames)
                mine = {other.index for other in chunk.parts if other.video == part.video}
                if mine >= run.work.to_encode and self.ready(part.video) and not self._stopped.is_set():
                    with self._aside():
                        self.stitch_video(part.video)
        return counts

    def can_begin(self, chunk: Chunk) -> bool:
        """Whether all frames are there without which a chunk can do nothing."""
        return not chunk.needs or self.runs[chunk.parts[0].video].available.issuperset(chunk.needs)

    def ready(self, video: str) -> bool:
        """Whether every segment of a video lies in storage and it waits to be stitched."""
        run = self.runs[video]
        waits = run.published is None and not run.unstitchable and not run.work.complete
        return waits and not run.missing and not run.ranges_left

    def stitch_video(self, video: str) -> Published | None:
        """Stitch and publish one video; a failure is recorded and tells why, and None is returned."""
        run = self.runs[video]
        failures: list[Attempt] = []
        damaged = False
        while True:
            began = time.perf_counter()
            try:
                self._keep_plan(run)
                if damaged:
                    encode_damaged(self.output, run.work)
                run.published = stitch(self.output, run.work, force=self.parameters.force)
                return run.published
            except Exception as error:
                failures.append(Attempt(kind_of(error), "stitch"))
                self._failed(run, None, error, len(failures), "stitch", time.perf_counter() - began)
                decision = decide(failures, self.settings, workers=1, cutouts=1)
                if isinstance(error, VideoDefect) and not damaged and not self._stopped.is_set():
                    damaged = True
                    continue
                # a join that failed once fails again, unless it was the storage's fault
                again = failures[-1].kind in (ErrorKind.INFRASTRUCTURE, ErrorKind.STORAGE) and decision.again
                if not again or self._stopped.is_set():
                    run.reason, run.unstitchable = str(error), True
                    return None
                self._stopped.wait(decision.wait)

    def _run_parts(self, attempts: Attempts, parts: Sequence[Part], turn: int) -> None:
        """Render the frames of `parts`, then encode what is whole; meanwhile others render with the same worker."""
        parts = [part for part in parts if part.index is None or part.index in self.runs[part.video].ranges_left]
        if not parts or self._stopped.is_set():
            return
        # no worker is needed for this; one that fails is tried again below
        wait([self._threads.submit(self._keep_plan, self.runs[video]) for video in {part.video for part in parts}])
        with WorkerLease(attempts, self.runs[parts[0].video].worker, turn) as lease:
            # no plan, no frames
            parts = [part for part in parts if self._has_plan(attempts, lease, self.runs[part.video])]
            self._render_parts(attempts, lease, parts)
            lease.step_aside()  # once more: a commit that failed has rented it again
            with self._aside():
                for part in parts:
                    run = self.runs[part.video]
                    if self._stopped.is_set():
                        return
                    if part.index is not None:
                        self._encode(attempts, lease, run, part.index)
                        continue
                    while (whole := self._claim(run)) is not None:
                        self._encode(attempts, lease, run, whole)

    def _has_plan(self, attempts: Attempts, lease: WorkerLease, run: VideoRun) -> bool:
        return run.planned or bool(self._attempt(attempts, lease, run, None, lambda *_: self._keep_plan(run)))

    @contextmanager
    def _aside(self) -> Iterator[None]:
        """While a chunk encodes or stitches, another may render in its place."""
        with self._lock:
            self.aside += 1
        self.on_frame()
        try:
            yield
        finally:
            with self._lock:
                self.aside -= 1

    def _claim(self, run: VideoRun) -> int | None:
        """A range whose frames are all there, for the caller to encode: nobody else gets it."""
        with self._lock:
            for index in sorted(run.ranges_left - run.claimed):
                if run.whole(index):
                    run.claimed.add(index)
                    return index
        return None

    def _encode(self, attempts: Attempts, lease: WorkerLease, run: VideoRun, index: int) -> None:
        """Encode range number `index`, if all its frames are there."""
        if not run.whole(index):
            return
        piece = run.work.ranges[index]
        frames = run.work.frames[piece.start : piece.stop]
        reports = tuple(run.reports[f.index] for f in frames if f.index in run.reports)
        before = run.work.frames[piece.start - 1].digest if piece.start else ""
        after = run.work.frames[piece.stop].digest if piece.stop < run.work.plan.frames else ""
        segment = SegmentTask(run.work.plan.row, frames, reports, run.renews(piece), before, after)
        done = self._attempt(attempts, lease, run, None, lambda worker, _: worker.encode_segment(segment))
        if done is not None:
            with self._lock:
                run.ranges_left.discard(index)
                run.reports.update((it.frame, it) for it in done.frames if it.frame in run.reports)
                if done.change_after is not None and piece.stop in run.reports:
                    changed = replace(run.reports[piece.stop], change=done.change_after)
                    run.reports[piece.stop] = changed

    def progress(self) -> JobProgress:
        """Where the job is now. Safe to call from any thread."""
        with self._lock:
            runs = list(self.runs.values())
            frames = sum(run.work.plan.frames for run in runs)
            done = sum(len(run.available) for run in runs)
            rendered = sum(run.rendered for run in runs)
            failed = len({(f.video_id, f.frame) for run in runs if not run.done for f in run.failures
                          if f.frame not in run.available})  # fmt: skip
            videos_done = sum(run.done for run in runs)
        workers: tuple[WorkerProgress, ...] = ()
        if self.pool.done() and not self.pool.exception() and not self._stopped.is_set():
            workers = tuple(self.pool.result().progress())
        elapsed = time.time() - (self.first_frame_at or self.began)
        eta = elapsed * (frames - done) / rendered if rendered else None
        return JobProgress(
            frames, done, rendered, failed, len(runs), videos_done, time.time() - self.began, eta, workers
        )
