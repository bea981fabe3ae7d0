"""Rendering the frames of videos: by leased workers, one by one or several together, and again as the failure policy
says."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from flows.job.control import JobControl
from flows.job.events import FailureLog
from flows.job.source import Comparison
from flows.job.state import VideoRun
from flows.planning.ready_frames import ReadyFrames, is_due
from flows.retry_and_quarantine.attempts import Attempts, FirstTry, Work, WorkerLease
from flows.retry_and_quarantine.policy import Decision
from infra import metrics
from infra.workers.pool import PoolWorker
from infra.workers.tasks import FrameReport, FrameTask
from manifests.errors import kind_of
from renderers.errors import FrameCorrupt

__all__ = ["FrameRendering", "frame_task"]

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


def frame_task(run: VideoRun, index: int, how: Decision | None = None, *, replace: bool = False) -> FrameTask:
    """Return what a worker is given of a frame; `replace`: it takes the place of the object that is there."""
    plan, how = run.work.plan, how or Decision(again=True)
    replace = replace or index in run.renewed
    return FrameTask(
        plan.row_of_frames, plan.pictures, run.work.frames[index], how.cutouts_at_once, how.reseeded, replace,
        run.model_digest,
    )  # fmt: skip


class FrameRendering:
    """Renders frames with the workers of `attempts`, for as long as `control` lets it.

    `frame_tried` is called in the thread of a chunk whenever a frame was tried, since others may have waited for it.
    With a `comparison` frames are rendered through it, one after the other.
    """

    def __init__(
        self,
        attempts: Attempts,
        control: JobControl,
        failures: FailureLog,
        frame_tried: Callable[[], None],
        comparison: Comparison | None = None,
    ) -> None:
        self._attempts, self._control, self._failures = attempts, control, failures
        self._frame_tried, self._comparison = frame_tried, comparison
        # they wait for workers that commit frames
        self._threads = ThreadPoolExecutor(MAX_COMMITS, thread_name_prefix="commit")

    def close(self) -> None:
        """Let go of the threads."""
        self._threads.shutdown(wait=False)

    def render(self, lease: WorkerLease, wanted: Iterable[tuple[VideoRun, Iterable[int]]]) -> None:
        """Render frames of several videos, or of several gaps of one, side by side where a worker takes so many; those
        of a pass are committed while the next are rendered. Of each video frames come after those that they need."""
        ready: ReadyFrames[VideoRun] = ReadyFrames()
        for run, frames in wanted:
            ready.add(run, frames)
        committing: list[_Commit] = []
        while not self._control.over:
            self._control.wait_while_held()
            batch = ready.take(self._attempts.pool.max_batch, {(it.run.work.video_id, it.index) for it in committing})
            if batch:
                committing, again = self._render_batch(lease, batch, committing)
                for run, index in again:
                    ready.put_back(run, index)
            elif committing:  # what is left begins from these
                self._finish(lease, committing)
            else:
                break
        lease.stand_by()  # nothing is left to render, unless a commit fails
        self._finish(lease, committing)

    def attempt(
        self,
        lease: WorkerLease,
        run: VideoRun,
        frame: int | None,
        do: Callable[[PoolWorker, Decision], T],
        first_try: FirstTry | None = None,
    ) -> T | None:
        """Do something for a frame (None: for the video), again as the policy says; a frame that can't be read back
        for it is repaired once. Return what `do` does in the end, or None when it failed for good or the job stops."""
        while True:
            done = self._attempts.attempt(
                lease, _work(run, frame), do, partial(self._failures.record, run, frame), first_try
            )
            first_try = None
            run.worked(lease.worker.name)
            if not isinstance(done, Exception):
                return done
            if not (isinstance(done, FrameCorrupt) and self._repair(lease, run, done.frame)):
                break
        run.failed_for_good(str(done))
        if frame is not None:
            self._control.failed_for_good(run.work.video_id, frame)
            metrics.count(metrics.FRAMES_FAILED, kind=kind_of(done))
        return None

    # -- several together ----------------------------------------------------------------------------------------------

    def _render_batch(
        self, lease: WorkerLease, batch: Sequence[tuple[VideoRun, int]], committing: list[_Commit]
    ) -> tuple[list[_Commit], list[tuple[VideoRun, int]]]:
        """Render frames together, finish those of the pass before, `committing`, and begin to commit these. Return
        these, and those to be rendered again because the frame that they began from was. Those that fail are tried
        again alone, as the policy says."""
        if self._comparison is not None:
            for run, index in batch:
                self._render_alone(lease, run, index)
            return [], []
        self._attempts.trade_if_due(lease, _work(*batch[0]), before=partial(self._finish, lease, committing))
        worker, began = lease.worker, time.perf_counter()
        if any(commit.worker is not worker for commit in committing):
            self._finish(lease, committing)  # their states are in another one's memory
        tasks = [frame_task(run, index) for run, index in batch]
        failed: Sequence[Exception | None]
        try:
            failed = worker.render_frames(tasks)
        except Exception as lost:  # the worker, and all of them with it
            failed = [lost] * len(batch)
        seconds = (time.perf_counter() - began) / len(batch)
        tried_again = self._finish(lease, committing)
        commits, again, errors = [], [], []
        for (run, index), task, error in zip(batch, tasks, failed, strict=True):
            if not is_due(run, index):
                continue  # what it began from failed after all
            if (run.work.video_id, run.work.frames[index].start) in tried_again:
                again.append((run, index))
            elif error is not None:
                errors.append((run, index, error))
            else:
                done = self._threads.submit(self._commit, run, task, worker)
                commits.append(_Commit(run, index, worker, seconds, done))
        for run, index, error in errors:
            self._render_alone(lease, run, index, FirstTry(error, worker))
        return commits, again

    def _commit(self, run: VideoRun, task: FrameTask, worker: PoolWorker) -> None:
        _committed(run, worker.commit(task))
        self._frame_tried()

    def _finish(self, lease: WorkerLease, committing: list[_Commit]) -> set[tuple[str, int | None]]:
        """Wait until frames are committed, and take them off the list; try those that failed again. Return these."""
        tried_again: set[tuple[str, int | None]] = set()
        while committing:
            commit = committing.pop(0)
            try:
                commit.done.result()
            except Exception as error:
                tried_again.add((commit.run.work.video_id, commit.index))
                self._render_alone(lease, commit.run, commit.index, FirstTry(error, commit.worker))
            else:
                self._attempts.did(commit.worker, _work(commit.run, commit.index), commit.seconds)
                commit.run.worked(commit.worker.name)
        return tried_again

    # -- one by one ----------------------------------------------------------------------------------------------------

    def _render_alone(self, lease: WorkerLease, run: VideoRun, index: int, first_try: FirstTry | None = None) -> None:
        """Render one frame; `first_try` is one that failed, made together with others."""
        render = partial(self._render_frame, lease, run, index, first_try=first_try)
        if self._comparison is None:
            render()
        else:
            self._comparison(run, index, render)
        self._frame_tried()

    def _render_frame(
        self,
        lease: WorkerLease,
        run: VideoRun,
        index: int,
        *,
        replace: bool = False,
        first_try: FirstTry | None = None,
    ) -> FrameReport | None:
        """Render and commit one frame. Return its report, or None when it failed for good or the job stops."""

        def render(worker: PoolWorker, how: Decision) -> FrameReport:
            return worker.render_frame(frame_task(run, index, how, replace=replace))

        report = self.attempt(lease, run, index, render, first_try)
        if report is not None:
            _committed(run, report)
        return report

    def _repair(self, lease: WorkerLease, run: VideoRun, frame: int | None) -> bool:
        """Render a frame again whose object can't be read, and put it in its place: the same picture, bit for bit, so
        what was made from it stays. Return whether it is there now."""
        if frame is None or not run.begin_repair(frame):
            return False
        report = self._render_frame(lease, run, frame, replace=True)
        if report is None:
            run.lost(frame)
        return report is not None


def _committed(run: VideoRun, report: FrameReport) -> None:
    run.committed(report)
    metrics.count(metrics.FRAMES_COMMITTED)


def _work(run: VideoRun, frame: int | None) -> Work:
    """Return what the records of workers are given of a frame (None: of something for the whole video)."""
    plan = run.work.plan
    seconds = 0.0 if frame is None else run.work.frames[frame].steps * plan.step_seconds
    kind = f"{plan.entry.name} {plan.row.width}x{plan.row.height}"
    return Work(plan.video_id, frame, plan.row.cutouts.number, seconds, kind, plan.row.model)
