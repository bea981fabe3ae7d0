"""A render job at work: what was planned (flows/planned_job.py) is rendered, encoded and stitched, and failures dealt
with.

Prefect's tasks (flows/render_manifest.py) are thin: they call `run_chunk` and `stitch_video` here from threads. Nothing
in this module knows Prefect or Ray, so the whole job also runs, and is tested, on a `LocalPool`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from typing import TypeVar

from flows.crew import Crew, Lease, Work
from flows.failure_policy import Attempt, Decision, decide
from flows.failures import classify, record_failure
from flows.job_state import JobProgress, VideoRun
from flows.planned_job import PlannedJob, RenderParameters
from flows.planning import Chunk, Part
from flows.report import FailureRecord
from flows.stitching import Published, encode_damaged, stitch
from flows.storage_state import save_plan
from infra.ffmpeg import VideoDefect
from infra.pool import Pool, PoolWorker
from infra.settings import InfraSettings
from infra.worker import FrameReport, FrameTask, SegmentTask, WorkerProgress
from renderers.errors import BadInput, FrameCorrupt

__all__ = ["RenderJob"]

T = TypeVar("T")


class RenderJob(PlannedJob):
    """Does what was planned: renders, chunk by chunk, encodes and stitches."""

    def __init__(self, parameters: RenderParameters, settings: InfraSettings) -> None:
        super().__init__(parameters, settings)
        self.began = time.time()
        self.first_frame_at: float | None = None
        self.pool: Future[Pool] = Future()
        self._lock = threading.Lock()
        self.closed = threading.Event()
        self._stopped = threading.Event()
        self._crew: Crew | None = None
        self._failed_for_good: set[tuple[str, int]] = set()
        self._going = threading.Event()  # cleared while the job is held
        self._going.set()
        # Called in the thread of the chunk or stitch that failed; a flow run puts its own here.
        self.on_failure: Callable[[FailureRecord], None] = lambda record: None
        self.log_address: Callable[[], str] = lambda: ""
        # Called in the thread of a chunk when a frame was tried, since others may have waited for it.
        self.on_frame: Callable[[], None] = lambda: None

    def plan_again(self) -> bool:
        """After all chunks: whether what was rendered has changed the plan, so that there is more to do."""
        return False

    @property
    def gave_up(self) -> str:
        """Why no more frames are begun, '' while they are."""
        failed = len(self._failed_for_good)
        if not self.budget.spent(failed):
            return ""
        return (
            f"{failed} frames failed for good, more than the {self.budget.allowed} that NIGHTREEL_FAILURE_SHARE="
            f"{self.settings.failure_share:g} allows"
        )

    def record_refused(self) -> None:
        """Leave a failure record for every row that could not be planned, so that `status` can tell."""
        for row, reason in self.refused:
            record_failure(
                self.output, BadInput(reason), video=row.video_id, frame=None, digest="0" * 16, attempt=1,
                worker="planner", seconds=0.0,
            )  # fmt: skip

    # -- rendering -----------------------------------------------------------------------------------------------

    def run_chunk(self, chunk: Chunk) -> dict[str, int]:
        """Render and encode all parts of a chunk; publish the videos that became whole. Returns counts.

        One bad part never stops the next. Raises nothing of a frame's own: what failed is in the runs' records.
        A video that spreads over several chunks is left to the caller, who knows when the last of them is done.
        """
        counts = {"rendered": 0, "skipped": 0, "failed": 0}
        for part in chunk.parts:
            run = self.runs[part.video]
            if not self._stopped.is_set() and (part.index is None or part.index in run.ranges_left):
                counts["rendered"] += self._run_part(run, part)
            wanted = self._frames_of(run, part)
            counts["failed"] += len([i for i in wanted if i not in run.available])
            if part.index is not None:
                piece = run.work.ranges[part.index]
                counts["skipped"] += piece.stop - piece.start - len(wanted)
            mine = {other.index for other in chunk.parts if other.video == part.video}
            if mine >= run.work.to_encode and self.ready(part.video) and not self._stopped.is_set():
                self.stitch_video(part.video)
        return counts

    def can_begin(self, chunk: Chunk) -> bool:
        """Whether all frames are there without which a chunk can do nothing."""
        return not chunk.needs or self.runs[chunk.parts[0].video].available.issuperset(chunk.needs)

    @staticmethod
    def _frames_of(run: VideoRun, part: Part) -> tuple[int, ...]:
        return part.frames if part.index is None else run.work.ranges[part.index].missing

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
                failures.append(Attempt(classify(error), "stitch"))
                self._failed(run, None, error, len(failures), "stitch", time.perf_counter() - began)
                decision = decide(failures, self.settings, workers=1, cutouts=1)
                if isinstance(error, VideoDefect) and not damaged and not self._stopped.is_set():
                    damaged = True
                    continue
                # a join that failed once fails again, unless it was the storage's fault
                again = failures[-1].kind in ("infrastructure", "storage") and decision.again
                if not again or self._stopped.is_set():
                    run.reason, run.unstitchable = str(error), True
                    return None
                self._stopped.wait(decision.wait)

    def _keep_plan(self, run: VideoRun) -> bool:
        """Put the plan, once a job. Also where nothing is rendered: the latest plan is what `status` goes by."""
        if not run.planned:
            save_plan(self.output, run.work)
            run.planned = True
        return True

    def _run_part(self, run: VideoRun, part: Part) -> int:
        """Render the frames of a part, then encode what is whole; returns how many frames were rendered."""
        crew = self._workers()
        rendered = 0
        with Lease(crew, run.worker) as lease:
            if not self._attempt(crew, lease, run, None, lambda *_: self._keep_plan(run)):
                return rendered
            for index in self._frames_of(run, part):
                self._going.wait()
                if self._stopped.is_set() or self.gave_up:
                    return rendered
                if index in run.available:
                    continue  # this chunk runs for the second time
                if not run.available.issuperset(run.work.frames[index].needs):
                    continue  # a frame that it starts from failed; it waits for a re-run with that one
                if run.wanted(index):
                    rendered += self._render_frame(crew, lease, run, index) is not None
                    self.on_frame()
            if part.index is not None:
                self._encode(crew, lease, run, part.index)
                return rendered
            while (whole := self._claim(run)) is not None:
                self._encode(crew, lease, run, whole)
        return rendered

    def _claim(self, run: VideoRun) -> int | None:
        """A range whose frames are all there, for the caller to encode: nobody else gets it."""
        with self._lock:
            for index in sorted(run.ranges_left - run.claimed):
                if run.whole(index):
                    run.claimed.add(index)
                    return index
        return None

    def _encode(self, crew: Crew, lease: Lease, run: VideoRun, index: int) -> None:
        """Encode range number `index`, if all its frames are there."""
        if not run.whole(index):
            return
        piece = run.work.ranges[index]
        frames = run.work.frames[piece.start : piece.stop]
        reports = tuple(run.reports[f.index] for f in frames if f.index in run.reports)
        before = run.work.frames[piece.start - 1].digest if piece.start else ""
        after = run.work.frames[piece.stop].digest if piece.stop < run.work.plan.frames else ""
        segment = SegmentTask(run.work.plan.row, frames, reports, run.renews(piece), before, after)
        done = self._attempt(crew, lease, run, None, lambda worker, _: worker.encode_segment(segment))
        if done is not None:
            with self._lock:
                run.ranges_left.discard(index)
                run.reports.update((it.frame, it) for it in done.frames if it.frame in run.reports)
                if done.change_after is not None and piece.stop in run.reports:
                    changed = replace(run.reports[piece.stop], change=done.change_after)
                    run.reports[piece.stop] = changed

    def _render_frame(
        self, crew: Crew, lease: Lease, run: VideoRun, index: int, *, replace: bool = False
    ) -> FrameReport | None:
        """Render one frame; gives its report, or None when it failed for good or the job stops."""
        plan, frame = run.work.plan, run.work.frames[index]
        replace = replace or index in run.renewed

        def render(worker: PoolWorker, how: Decision) -> FrameReport:
            task = FrameTask(plan.row, plan.images, frame, how.cutouts_at_once, how.reseeded, replace)
            return worker.render_frame(task)

        report = self._attempt(crew, lease, run, index, render)
        if report is not None:
            with self._lock:
                run.available.add(index)
                run.rendered += 1
                run.reports[index] = report
                if self.first_frame_at is None:
                    self.first_frame_at = time.time() - (report.total_seconds or 0.0)
        return report

    def _workers(self) -> Crew:
        """The job's workers; waits until they are up."""
        pool = self.pool.result()
        with self._lock:
            if self._crew is None:
                self._crew = Crew(pool, self.settings, self._stopped)
            return self._crew

    def _attempt(
        self, crew: Crew, lease: Lease, run: VideoRun, frame: int | None, do: Callable[[PoolWorker, Decision], T]
    ) -> T | None:
        """What `do` gives in the end, or None when it failed for good or the job stops."""
        plan = run.work.plan
        seconds = 0.0 if frame is None else run.work.frames[frame].all_steps * plan.step_seconds
        kind = f"{plan.entry.name} {plan.row.width}x{plan.row.height}"
        what = Work(plan.video_id, frame, plan.row.cutouts.number, seconds, kind)
        while True:
            done = crew.attempt(lease, what, do, partial(self._failed, run, frame))
            run.worker = lease.worker.name
            if not isinstance(done, Exception):
                return done
            if not (isinstance(done, FrameCorrupt) and self._mend(crew, lease, run, done.frame)):
                break
        run.reason = str(done)
        if frame is not None:
            with self._lock:
                self._failed_for_good.add((run.work.video_id, frame))
        return None

    def _mend(self, crew: Crew, lease: Lease, run: VideoRun, frame: int | None) -> bool:
        """Render a frame anew whose object can't be read, and put it in its place: the same picture, bit for bit, so
        what was made from it stays. Gives whether it is there; a frame that was mended once is not mended again."""
        if frame is None or frame in run.mended:
            return False
        run.mended.add(frame)
        report = self._render_frame(crew, lease, run, frame, replace=True)
        with self._lock:
            if report is None:
                run.available.discard(frame)
        return report is not None

    def _failed(
        self, run: VideoRun, frame: int | None, error: Exception, attempt: int, worker: str, seconds: float
    ) -> None:
        digest = run.work.content if frame is None else run.work.frames[frame].digest
        record = record_failure(
            self.output, error, video=run.work.video_id, frame=frame, digest=digest, attempt=attempt,
            worker=worker, seconds=seconds, log=self.log_address(),
        )  # fmt: skip
        with self._lock:
            run.failures.append(record)
        self.on_failure(record)

    # -- watching ------------------------------------------------------------------------------------------------

    def hold(self) -> None:
        """Begin no further frame until `go_on`; frames in progress are finished."""
        self._going.clear()

    def go_on(self) -> None:
        """Go on after `hold`."""
        self._going.set()

    @property
    def stopped(self) -> bool:
        """Whether the job was stopped before its end."""
        return self._stopped.is_set()

    def stop(self) -> None:
        """Stop between two steps; frames in progress are dropped, committed ones stay."""
        self._stopped.set()
        self._going.set()
        if self.pool.done() and not self.pool.exception():
            self.pool.result().stop()

    def close(self) -> None:
        """Let go of the workers."""
        if self._crew is not None:
            self._crew.close()
        if self.pool.done() and not self.pool.exception():
            self.pool.result().close()
        self.closed.set()

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
