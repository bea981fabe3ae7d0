"""A render job: what is to be done (a `WorkSource` plans it), how far it is (a `VideoRun` each), whether it goes on
(`JobControl`) and who does it (a pool).

`run_job` (flows/job/dispatch.py) does the work. Nothing in flows/job knows Prefect or Ray: Prefect's tasks are thin,
and a whole job also runs, and is tested, on a `LocalPool`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass

from flows.job.control import JobControl
from flows.job.manifest_source import ManifestSource
from flows.job.parameters import RenderParameters
from flows.job.row_warnings import Warnings
from flows.job.source import JobPlan, WorkSource
from flows.job.state import VideoRun
from flows.planning.chunks import Chunk, chunks_of
from flows.planning.remaining import VideoWork
from flows.retry_and_quarantine.attempts import Attempts
from flows.retry_and_quarantine.records import PLANNER, record_failure
from infra.models.bringing import bring_entries
from infra.settings import InfraSettings
from infra.storage.storage import Storage
from infra.workers.pool import Pool
from infra.workers.tasks import WorkerProgress
from manifests.problems import Problems
from manifests.schema import ManifestRow
from renderers.errors import BadInput
from renderers.registry import Registry

__all__ = ["JobProgress", "RenderJob"]


@dataclass(frozen=True)
class JobProgress:
    """A moment of the job: frames and videos `done` of all, `rendered` by this run, and what the workers are doing.

    Rows that can't be rendered count whole, as videos that failed. `failed` are frames that are not tried again.
    `starting` says what is still to come up before the first frame, '' once it is there."""

    frames: int
    frames_done: int
    rendered: int
    failed: int
    videos: int
    videos_done: int
    elapsed: float
    eta: float | None
    workers: tuple[WorkerProgress, ...]
    starting: str = ""
    videos_failed: int = 0
    bad_rows: int = 0


class RenderJob:
    """The videos of a job, good rows and bad. `read` plans it; `pool` is resolved by whoever starts its workers.

    Safe to use from any thread once it is planned: a plan is replaced whole, and its runs guard themselves.
    """

    def __init__(self, parameters: RenderParameters, settings: InfraSettings, source: WorkSource | None = None) -> None:
        """Make a job of the rows of the manifest that `parameters` name, or of another `source`."""
        self.reading = settings.reading()
        self.parameters, self.settings = parameters, settings
        self.output = Storage(parameters.output)
        self.source: WorkSource = source or ManifestSource(parameters, settings)
        self.control = JobControl(settings.failure_share)
        self.pool: Future[Pool] = Future()
        self.attempts: Attempts | None = None  # of the chunks that run now
        self.priority = parameters.priority
        self.closed = threading.Event()
        self.lacks: tuple[str, ...] = ()  # a sentence for each machine whose workers can't do their part
        self.began = time.time()
        self._plan = JobPlan()

    @property
    def of_manifest(self) -> bool:
        """Whether it renders the rows of a manifest, and not what lies in storage already once more."""
        return isinstance(self.source, ManifestSource)

    # -- what is to be done --------------------------------------------------------------------------------------------

    def confine(self) -> None:
        """Have rows name only what lies below the manifest's folder, the output or the configured roots, since whoever
        wrote them may be somebody else than whose account this is. Before `read`."""
        self.reading = self.settings.reading((*self.source.folders(self.output), self.output.root))

    def read(self, *, write: bool = True) -> None:
        """Plan the job against storage. `write` False promises to leave no trace.

        Raises what the source's `read` raises.
        """
        bring_entries(Registry(self.settings.models_folder), self.settings.models_source)
        self._admit(self.source.read(self.output, write=write, reading=self.reading))

    def parts(self, most: int) -> int:
        """Return into how many parts of at most `most` videos its manifest is cut; 0 where it need not be.

        Raises what `ManifestSource.cut` raises.
        """
        return ManifestSource(self.parameters, self.settings).cut(most, self.reading).many

    def plan_again(self) -> bool:
        """Return, after all chunks, whether what was rendered has changed the plan, so that there is more to do."""
        if self.stopped:
            return False
        plan = self.source.plan_again(self.output, self._plan)
        if plan is not None:
            self._admit(plan)
        return plan is not None

    def _admit(self, plan: JobPlan) -> None:
        self._plan = plan
        self.control.expect(plan.frames_missing[1])

    @property
    def runs(self) -> Mapping[str, VideoRun]:
        """Where each video stands."""
        return self._plan.runs

    @property
    def problems(self) -> Problems:
        """What is wrong with the rows of the manifest that are no good rows."""
        return self._plan.problems

    @property
    def refused(self) -> tuple[tuple[ManifestRow, str], ...]:
        """Good rows that can't be rendered, each with the reason."""
        return self._plan.refused

    @property
    def parts_in_all(self) -> int:
        """How many parts its manifest has, where it renders one of them; else 0."""
        return self._plan.parts

    @property
    def warnings(self) -> Warnings:
        """What is good in the manifest's rows and may still surprise."""
        return self._plan.warnings

    @property
    def damaged(self) -> tuple[str, ...]:
        """Documents in the output that can't be read: which, why, and what to do. Those that the job replaces are not
        among them, unless it only looks."""
        return self._plan.damaged

    @property
    def summary(self) -> str:
        """A sentence for people: what will be rendered."""
        return self.source.summary(self._plan)

    @property
    def pending(self) -> list[VideoWork]:
        """Videos with something to do, as they were planned."""
        return [work for work in self._plan.works if not work.complete]

    @property
    def frames_to_render(self) -> int:
        """Frames that were not in storage when the job was planned, of the rows that can be rendered."""
        return sum(work.missing for work in self._plan.works)

    @property
    def needs_workers(self) -> bool:
        """Whether anything is to be rendered or encoded."""
        return any(run.ranges_left for run in self.runs.values())

    def chunks(self, actors: int, max_batch: int = 1) -> tuple[Chunk, ...]:
        """Return the work, cut for `actors` that render up to `max_batch` frames at a time."""
        return chunks_of(
            self._plan.works, actors=actors, chunk_seconds=self.settings.chunk_seconds, max_batch=max_batch
        )

    def record_refused(self) -> None:
        """Leave a failure record for every row that could not be planned, so that `status` can tell."""
        for row, reason in self.refused:
            error = self._plan.errors.get(row.video_id, BadInput(reason))
            record_failure(
                self.output, error, video=row.video_id, frame=None, digest="0" * 16, attempt=1,
                worker=PLANNER, seconds=0.0,
            )  # fmt: skip

    # -- how far it is -------------------------------------------------------------------------------------------------

    @property
    def frames_missing(self) -> tuple[int, int]:
        """Frames that are still missing, of all frames wanted (rows that could not be planned count whole)."""
        return self._plan.frames_missing

    @property
    def complete(self) -> bool:
        """Whether every row was good and every video is there."""
        return not self.problems and not self.refused and all(run.done for run in self.runs.values())

    @property
    def videos_failed(self) -> int:
        """How many videos have failed: of their frames some, or their stitch; and rows that can't be rendered."""
        return sum(map(self.has_failed, self.runs.values())) + len(self.refused)

    @property
    def frames_failed(self) -> int:
        """How many frames have failed, and are not tried again; all those of rows that can't be rendered."""
        given_up = sum(len(self.given_up(run)) for run in self.runs.values())
        return given_up + sum(row.frames for row, _ in self.refused)

    def has_failed(self, run: VideoRun) -> bool:
        """Return whether something of a video failed and is not tried again by this job."""
        return not run.done and bool(run.reason or self.given_up(run))

    def given_up(self, run: VideoRun) -> set[int | None]:
        """Return the frames of a video (None: a segment or the stitch) that failed and are not tried again."""
        failing = run.failing_frames()
        if self.control.over:
            return failing
        video = run.work.video_id
        return {it for it in failing if (bool(run.reason) if it is None else self.control.given_up(video, it))}

    @property
    def bad_rows(self) -> int:
        """How many rows of the manifest are no good rows; one may have several problems."""
        return self.problems.rows

    @property
    def starting(self) -> str:
        """What is still to come up before the first frame, or before the next where all machines have gone; '' while
        frames are rendered, or none is to be."""
        if not self.needs_workers or self.stopped:
            return ""
        pool = self.pool_if_up()
        if pool is not None and pool.waiting:
            return pool.waiting
        if self.first_frame_at is not None:
            return ""
        return "loading models" if pool is not None else "starting actors"

    @property
    def first_frame_at(self) -> float | None:
        """When the first frame was begun (Unix time); None before its end."""
        moments = [at for run in self.runs.values() if (at := run.first_frame_at) is not None]
        return min(moments, default=None)

    def progress(self) -> JobProgress:
        """Return where the job is now."""
        runs = list(self.runs.values())
        missing, frames = self.frames_missing
        done = frames - missing
        estimates = [run.estimates(self.given_up(run)) for run in runs]
        estimated, to_come = (sum(part) for part in zip(*estimates, strict=True)) if estimates else (0.0, 0.0)
        now = time.time()
        elapsed = now - (self.first_frame_at or self.began)
        return JobProgress(
            frames=frames,
            frames_done=done,
            rendered=sum(run.rendered for run in runs),
            failed=self.frames_failed,
            videos=len(runs) + len(self.refused),
            videos_done=sum(run.done for run in runs),
            elapsed=now - self.began,
            eta=elapsed * to_come / estimated if estimated else None,
            workers=self._workers_progress(),
            starting=self.starting,
            videos_failed=self.videos_failed,
            bad_rows=self.bad_rows,
        )

    def _workers_progress(self) -> tuple[WorkerProgress, ...]:
        pool = self.pool_if_up()
        return tuple(pool.progress()) if pool is not None and not self.stopped else ()

    @property
    def gpus_per_actor(self) -> float:
        """The share of a GPU that each worker holds; 0 on CPUs, and while there are none."""
        return float(getattr(self.pool_if_up(), "gpus_per_actor", 0.0))

    # -- whether it goes on --------------------------------------------------------------------------------------------

    @property
    def gave_up(self) -> str:
        """Why no more frames are begun, '' while they are."""
        return self.control.gave_up

    @property
    def lost(self) -> str:
        """Why there are no workers any more, where that has ended the job before its time; '' otherwise."""
        return self.control.lost

    @property
    def stopped(self) -> bool:
        """Whether the job was stopped before its end."""
        return self.control.stopped.is_set()

    @property
    def held(self) -> bool:
        """Whether no further frame is begun for the moment."""
        return self.control.held

    def hold(self) -> None:
        """Begin no further frame until `go_on`; frames in progress are finished."""
        self.control.hold()

    def go_on(self) -> None:
        """Go on after `hold`."""
        self.control.go_on()

    def prioritise(self, priority: int) -> None:
        """Compete with other jobs under another priority from now on."""
        self.priority = priority
        pool = self.pool_if_up()
        if pool is not None:
            pool.prioritise(priority)

    def stop(self) -> None:
        """Stop between two steps; frames in progress are dropped, committed ones stay."""
        self.control.stop()
        pool = self.pool_if_up()
        if pool is not None:
            pool.stop()

    def close(self) -> None:
        """Let go of the workers."""
        pool = self.pool_if_up()
        if pool is not None:
            pool.close()
        self.closed.set()

    def pool_if_up(self) -> Pool | None:
        """Return the pool, None before its workers are resolved and where they can't be had."""
        return self.pool.result() if self.pool.done() and not self.pool.exception() else None
