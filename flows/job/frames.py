"""The frames of a job: rendered by leased workers, one by one or several together, and tried again as the failure
policy says; and what holds, stops and ends them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from flows.failures.attempts import Attempts, Failed, Work, WorkerLease
from flows.failures.policy import Decision
from flows.failures.records import FailureRecord, record_failure
from flows.job.planned import PlannedJob, RenderParameters
from flows.job.state import VideoRun
from flows.job.storage_state import save_plan
from flows.planning.chunks import Part
from flows.planning.ready_frames import ReadyFrames, is_due
from infra.settings import InfraSettings
from infra.workers.pool import Pool, PoolWorker
from infra.workers.tasks import FrameReport, FrameTask
from renderers.errors import BadInput, FrameCorrupt

__all__ = ["FrameJob"]

T = TypeVar("T")

# Frames that are committed at a time: one or a few for each worker, who does the work.
MAX_COMMITS = 256


@dataclass(frozen=True)
class _Commit:
    """A frame that was rendered by `worker`, in so many `seconds`, and is being committed."""

    run: VideoRun
    index: int
    worker: PoolWorker
    seconds: float
    done: Future[None]


class FrameJob(PlannedJob):
    """Renders the frames of what was planned."""

    overlaps = True
    """whether a frame may be begun before it is known what became of the one before"""

    def __init__(self, parameters: RenderParameters, settings: InfraSettings) -> None:
        super().__init__(parameters, settings)
        self.began = time.time()
        self.first_frame_at: float | None = None
        self.pool: Future[Pool] = Future()
        self._lock = threading.Lock()
        self.closed = threading.Event()
        self._stopped = threading.Event()
        self._attempts: Attempts | None = None
        self._failed_for_good: set[tuple[str, int]] = set()
        self.aside = 0  # chunks that encode or stitch, and need no place among those that render
        # they wait for workers that commit frames
        self._threads = ThreadPoolExecutor(MAX_COMMITS, thread_name_prefix="commit")
        self._going = threading.Event()  # cleared while the job is held
        self._going.set()
        # Called in the thread of the chunk or stitch that failed; a flow run puts its own here.
        self.on_failure: Callable[[FailureRecord], None] = lambda record: None
        self.log_address: Callable[[], str] = lambda: ""
        # Called in the thread of a chunk when a frame was tried, since others may have waited for it.
        self.on_frame: Callable[[], None] = lambda: None

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

    def _keep_plan(self, run: VideoRun) -> bool:
        """Put the plan, once a job. Also where nothing is rendered: the latest plan is what `status` goes by."""
        if not run.planned:
            save_plan(self.output, run.work)
            run.planned = True
        return True

    def _render_parts(self, attempts: Attempts, lease: WorkerLease, parts: Sequence[Part]) -> None:
        """Render what is missing of `parts`: the next frames of several videos, or of several gaps of one, side by side
        where a worker takes so many, and those of a pass are committed while the next are rendered."""
        lanes: ReadyFrames[VideoRun] = ReadyFrames()
        for part in parts:
            run = self.runs[part.video]
            lanes.add(run, self._frames_of(run, part))
        committing: list[_Commit] = []
        while not (self._stopped.is_set() or self.gave_up):
            self._going.wait()
            batch = lanes.take(attempts.pool.max_batch, {(it.run.work.video_id, it.index) for it in committing})
            if batch:
                committing, again = self._render_batch(attempts, lease, batch, committing)
                for run, index in again:
                    lanes.put_back(run, index)
            elif committing:  # what is left begins from these
                self._finish(attempts, lease, committing)
            else:
                break
        lease.step_aside()  # nothing is left to render, unless a commit fails
        self._finish(attempts, lease, committing)

    def _render_batch(
        self, attempts: Attempts, lease: WorkerLease, batch: Sequence[tuple[VideoRun, int]], committing: list[_Commit]
    ) -> tuple[list[_Commit], list[tuple[VideoRun, int]]]:
        """Render frames together, finish those of the pass before, `committing`, and begin with these; gives them, and
        those to be rendered again because the frame that they began from was. Those that fail are tried again alone,
        as the policy says."""
        if not self.overlaps:
            for run, index in batch:
                self._render_frame(attempts, lease, run, index)
                self.on_frame()
            return [], []
        attempts.settle(lease, self._work(*batch[0]), partial(self._finish, attempts, lease, committing))
        worker, began = lease.worker, time.perf_counter()
        if any(commit.worker is not worker for commit in committing):
            self._finish(attempts, lease, committing)  # their states are in another one's memory
        tasks = [self._task(run, index) for run, index in batch]
        failed: Sequence[Exception | None]
        try:
            failed = worker.render_frames(tasks)
        except Exception as lost:  # the worker, and all of them with it
            failed = [lost] * len(batch)
        seconds = (time.perf_counter() - began) / len(batch)
        tried_again = self._finish(attempts, lease, committing)
        commits, again, errors = [], [], []
        for (run, index), task, error in zip(batch, tasks, failed, strict=True):
            if not is_due(run, index):
                continue  # what it began from failed after all
            if (run.work.video_id, run.work.frames[index].start) in tried_again:
                again.append((run, index))
            elif error is not None:
                errors.append((run, index, error))
            else:
                commits.append(
                    _Commit(run, index, worker, seconds, self._threads.submit(self._commit, run, task, worker))
                )
        for run, index, error in errors:
            self._render_frame(attempts, lease, run, index, failed=Failed(error, worker))
            self.on_frame()
        return commits, again

    def _commit(self, run: VideoRun, task: FrameTask, worker: PoolWorker) -> None:
        self._rendered(run, worker.commit(task))
        self.on_frame()

    def _finish(self, attempts: Attempts, lease: WorkerLease, committing: list[_Commit]) -> set[tuple[str, int | None]]:
        """Wait until frames are committed, and take them off the list; try those that failed again. Gives these."""
        tried_again: set[tuple[str, int | None]] = set()
        while committing:
            commit = committing.pop(0)
            try:
                commit.done.result()
            except Exception as error:
                tried_again.add((commit.run.work.video_id, commit.index))
                self._render_frame(attempts, lease, commit.run, commit.index, failed=Failed(error, commit.worker))
                self.on_frame()
            else:
                attempts.did(commit.worker, self._work(commit.run, commit.index), commit.seconds)
                commit.run.worker = commit.worker.name
        return tried_again

    @staticmethod
    def _frames_of(run: VideoRun, part: Part) -> tuple[int, ...]:
        return part.frames if part.index is None else run.work.ranges[part.index].missing

    def _render_frame(
        self, attempts: Attempts, lease: WorkerLease, run: VideoRun, index: int, *, replace: bool = False,
        failed: Failed | None = None,
    ) -> FrameReport | None:  # fmt: skip
        """Render one frame; gives its report, or None when it failed for good or the job stops. `failed` is a
        first try, made together with others."""

        def render(worker: PoolWorker, how: Decision) -> FrameReport:
            return worker.render_frame(self._task(run, index, how, replace=replace))

        report = self._attempt(attempts, lease, run, index, render, failed)
        if report is not None:
            self._rendered(run, report)
        return report

    @staticmethod
    def _task(run: VideoRun, index: int, how: Decision | None = None, *, replace: bool = False) -> FrameTask:
        plan, how = run.work.plan, how or Decision(again=True)
        replace = replace or index in run.renewed
        return FrameTask(plan.row, plan.images, run.work.frames[index], how.cutouts_at_once, how.reseeded, replace)

    def _rendered(self, run: VideoRun, report: FrameReport) -> None:
        """Note that a frame lies in storage now."""
        with self._lock:
            run.available.add(report.frame)
            run.rendered += 1
            run.reports[report.frame] = report
            if self.first_frame_at is None:
                self.first_frame_at = time.time() - (report.total_seconds or 0.0)

    def _workers(self) -> Attempts:
        """The job's workers; waits until they are up."""
        pool = self.pool.result()
        with self._lock:
            if self._attempts is None:
                self._attempts = Attempts(pool, self.settings, self._stopped)
            return self._attempts

    def _attempt(
        self, attempts: Attempts, lease: WorkerLease, run: VideoRun, frame: int | None,
        do: Callable[[PoolWorker, Decision], T],
        failed: Failed | None = None,
    ) -> T | None:  # fmt: skip
        """What `do` gives in the end, or None when it failed for good or the job stops."""
        while True:
            done = attempts.attempt(lease, self._work(run, frame), do, partial(self._failed, run, frame), failed)
            failed = None
            run.worker = lease.worker.name
            if not isinstance(done, Exception):
                return done
            if not (isinstance(done, FrameCorrupt) and self._mend(attempts, lease, run, done.frame)):
                break
        run.reason = str(done)
        if frame is not None:
            with self._lock:
                self._failed_for_good.add((run.work.video_id, frame))
        return None

    @staticmethod
    def _work(run: VideoRun, frame: int | None) -> Work:
        plan = run.work.plan
        seconds = 0.0 if frame is None else run.work.frames[frame].steps * plan.step_seconds
        kind = f"{plan.entry.name} {plan.row.width}x{plan.row.height}"
        return Work(plan.video_id, frame, plan.row.cutouts.number, seconds, kind)

    def _mend(self, attempts: Attempts, lease: WorkerLease, run: VideoRun, frame: int | None) -> bool:
        """Render a frame anew whose object can't be read, and put it in its place: the same picture, bit for bit, so
        what was made from it stays. Gives whether it is there; a frame that was mended once is not mended again."""
        if frame is None or frame in run.mended:
            return False
        run.mended.add(frame)
        report = self._render_frame(attempts, lease, run, frame, replace=True)
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
        if self._attempts is not None:
            self._attempts.close()
        if self.pool.done() and not self.pool.exception():
            self.pool.result().close()
        self.closed.set()
