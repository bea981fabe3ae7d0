"""A render job: everything that one run of a manifest wants, knows and has done so far.

Prefect's tasks (flows/render_manifest.py) are thin: they call `run_chunk` and `stitch_video` here from threads. Nothing
in this module knows Prefect or Ray, so the whole job also runs, and is tested, on a `LocalPool`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TypeVar

from flows.failures import allowed_attempts, back_off, classify, record_failure
from flows.planning import Chunk, Part, VideoWork, chunks_of
from flows.report import FailureRecord
from flows.stitching import Published, stitch, would_overwrite
from flows.storage_state import list_video, load_work, save_plan
from infra.pool import Pool, PoolWorker
from infra.settings import InfraSettings
from infra.storage import Storage, manifest_files
from infra.worker import FrameReport, FrameTask, SegmentTask, WorkerProgress
from manifests.reading import read_rows
from manifests.results import GoodRow, ManifestError, RowProblem
from manifests.schema import ManifestRow

__all__ = ["JobProgress", "RenderJob", "RenderParameters", "VideoRun"]

T = TypeVar("T")


@dataclass(frozen=True)
class RenderParameters:
    """What a user asks for: `manifest` and `output` are URIs or paths; see the command's help for the rest."""

    manifest: str
    output: str
    strict: bool = False
    force: bool = False
    range_frames: int | None = None


@dataclass
class VideoRun:
    """One video in progress. Fields are guarded by the job's lock; `available` are frames that lie in storage."""

    work: VideoWork
    available: set[int]
    ranges_left: set[int]
    rendered: int = 0
    reports: dict[int, FrameReport] = field(default_factory=dict)
    failures: list[FailureRecord] = field(default_factory=list)
    worker: str | None = None
    published: Published | None = None
    reason: str = ""

    @property
    def missing(self) -> int:
        """Frames that are not in storage."""
        return self.work.plan.frames - len(self.available)

    @property
    def done(self) -> bool:
        """Whether every frame and the video are in storage."""
        return not self.missing and (self.published is not None or self.work.complete)


@dataclass(frozen=True)
class JobProgress:
    """A moment of the job: frames and videos `done` of all, `rendered` by this run, and what the workers are doing."""

    frames: int
    frames_done: int
    rendered: int
    failed: int
    videos: int
    videos_done: int
    elapsed: float
    eta: float | None
    workers: tuple[WorkerProgress, ...]


class RenderJob:
    """Plans a manifest against storage, then renders, chunk by chunk, and stitches."""

    def __init__(self, parameters: RenderParameters, settings: InfraSettings) -> None:
        self.parameters, self.settings = parameters, settings
        self.output = Storage(parameters.output)
        self.problems: list[RowProblem] = []
        self.refused: list[tuple[ManifestRow, str]] = []
        self.runs: dict[str, VideoRun] = {}
        self.began = time.time()
        self.first_frame_at: float | None = None
        self.pool: Future[Pool] = Future()
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    # -- planning ------------------------------------------------------------------------------------------------

    def read(self, *, write: bool = True) -> None:
        """Read the manifest and plan every good row against storage. `write` False promises to leave no trace.

        Raises:
            ManifestError: no row can be trusted, or a row is bad and the job is `strict`.
            StorageError: manifest or output can't be used.
        """
        self.output.check(write=write)
        self._plan(self._good_rows())
        if self.parameters.strict and (self.problems or self.refused):
            told = [str(problem) for problem in self.problems] + [reason for _, reason in self.refused]
            raise ManifestError("not rendered, since --strict: " + "; ".join(told))

    def _good_rows(self) -> Iterable[ManifestRow]:
        for result in read_rows(manifest_files(self.parameters.manifest)):
            if isinstance(result, GoodRow):
                yield result.row
            else:
                self.problems.append(result)

    def _plan(self, rows: Iterable[ManifestRow]) -> None:
        chosen = {"chunk_seconds": self.settings.chunk_seconds, "range_frames": self.parameters.range_frames}
        for result in load_work(self.output, rows, **chosen):  # type: ignore[arg-type]
            if isinstance(result, tuple):
                row, error = result
                self.refused.append((row, str(error)))
                continue
            clash = None
            if not self.parameters.force and not result.published:
                clash = would_overwrite(result, list_video(self.output, result.video_id).content)
            if clash is not None:
                self.refused.append((result.plan.row, str(clash)))
                continue
            missing = {frame for piece in result.ranges for frame in piece.missing}
            left = {index for index, piece in enumerate(result.ranges) if piece.encode}
            if result.complete:
                left = set()
            self.runs[result.video_id] = VideoRun(result, set(range(result.plan.frames)) - missing, left)

    @property
    def pending(self) -> list[VideoWork]:
        """Videos with something to do."""
        return [run.work for run in self.runs.values() if not run.work.complete]

    @property
    def frames_to_render(self) -> int:
        """Frames that are not in storage, of the rows that can be rendered."""
        return sum(run.work.missing for run in self.runs.values())

    @property
    def needs_workers(self) -> bool:
        """Whether anything is to be rendered or encoded."""
        return any(run.ranges_left for run in self.runs.values())

    @property
    def frames_missing(self) -> tuple[int, int]:
        """Frames that are still missing, of all frames wanted (rows that could not be planned count whole)."""
        refused = sum(row.frames for row, _ in self.refused)
        missing = sum(run.missing for run in self.runs.values()) + refused
        return missing, sum(run.work.plan.frames for run in self.runs.values()) + refused

    @property
    def complete(self) -> bool:
        """Whether every row was good and every video is there."""
        return not self.problems and not self.refused and all(run.done for run in self.runs.values())

    def chunks(self, actors: int) -> tuple[Chunk, ...]:
        """The work, cut for `actors`."""
        return chunks_of((run.work for run in self.runs.values()), actors=actors, chunk_seconds=self.settings.chunk_seconds)

    def record_refused(self) -> None:
        """Leave a failure record for every row that could not be planned, so that `status` can tell."""
        for row, reason in self.refused:
            record_failure(
                self.output, ValueError(reason), video=row.video_id, frame=None, digest="0" * 16, attempt=1,
                worker="planner", seconds=0.0,
            )  # fmt: skip

    # -- rendering -----------------------------------------------------------------------------------------------

    def run_chunk(self, chunk: Chunk) -> dict[str, int]:
        """Render and encode all parts of a chunk; publish the videos that became whole. Returns counts.

        One bad part never stops the next. Raises nothing of a frame's own: what failed is in the runs' records.
        """
        counts = {"rendered": 0, "skipped": 0, "failed": 0}
        for part in chunk.parts:
            run = self.runs[part.video]
            before = run.rendered
            if self._stopped.is_set():
                break
            self._run_part(run, part)
            piece = run.work.ranges[part.index]
            done = run.rendered - before
            counts["rendered"] += done
            counts["failed"] += len([i for i in piece.missing if i not in run.available])
            counts["skipped"] += piece.stop - piece.start - len(piece.missing)
            if len(run.work.ranges) == 1 and self.ready(part.video):
                self.stitch_video(part.video)
        return counts

    def ready(self, video: str) -> bool:
        """Whether every segment of a video lies in storage and it waits to be stitched."""
        run = self.runs[video]
        return not run.missing and not run.ranges_left and run.published is None and not run.work.complete

    def stitch_video(self, video: str) -> Published | None:
        """Stitch and publish one video; a failure is recorded and tells why, and None is returned."""
        run = self.runs[video]
        began = time.perf_counter()
        try:
            run.published = stitch(self.output, run.work, force=self.parameters.force)
        except Exception as error:
            self._failed(run, error, None, 1, "stitch", began)
            run.reason = str(error)
            return None
        return run.published

    def _run_part(self, run: VideoRun, part: Part) -> None:
        save_plan(self.output, run.work)
        piece = run.work.ranges[part.index]
        pool = self.pool.result()
        with _Lease(pool, run) as lease:
            for index in piece.missing:
                if self._stopped.is_set():
                    return
                if index and index - 1 not in run.available:
                    continue  # the frame that it starts from failed; it waits for a re-run with it
                frame = run.work.frames[index]
                task = FrameTask(run.work.plan.row, run.work.plan.images, frame)
                report = self._attempt(lease, run, index, frame.digest, lambda worker, task=task: worker.render_frame(task))
                if report is not None:
                    with self._lock:
                        run.available.add(index)
                        run.rendered += 1
                        run.reports[index] = report
                        if self.first_frame_at is None:
                            self.first_frame_at = time.time() - (report.total_seconds or 0.0)
            frames = run.work.frames[piece.start : piece.stop]
            if all(frame.index in run.available for frame in frames):
                reports = tuple(run.reports[f.index] for f in frames if f.index in run.reports)
                segment = SegmentTask(run.work.plan.row, frames, reports)
                encoded = self._attempt(lease, run, None, frames[-1].digest, lambda worker: worker.encode_segment(segment))
                if encoded is not None:
                    with self._lock:
                        run.ranges_left.discard(part.index)

    def _attempt(  # one place for retries, whatever the work
        self, lease: _Lease, run: VideoRun, frame: int | None, digest: str, work: Callable[[PoolWorker], T]
    ) -> T | None:
        failures: dict[str, int] = {}
        while not self._stopped.is_set():
            began = time.perf_counter()
            try:
                return work(lease.worker)
            except Exception as error:  # every failure is classed and recorded; none may end the other videos
                kind = classify(error)
                if kind == "cancelled":
                    return None
                failures[kind] = failures.get(kind, 0) + 1
                self._failed(run, error, frame, sum(failures.values()), lease.worker.name, began)
                if failures[kind] >= allowed_attempts(kind, self.settings):
                    run.reason = str(error)
                    return None
                self._stopped.wait(back_off(kind, failures[kind]))
                lease.renew()
        return None

    def _failed(
        self, run: VideoRun, error: Exception, frame: int | None, attempt: int, worker: str, began: float
    ) -> None:
        digest = run.work.content if frame is None else run.work.frames[frame].digest
        record = record_failure(
            self.output, error, video=run.work.video_id, frame=frame, digest=digest, attempt=attempt,
            worker=worker, seconds=time.perf_counter() - began,
        )  # fmt: skip
        with self._lock:
            run.failures.append(record)

    # -- watching ------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Stop between two steps; frames in progress are dropped, committed ones stay."""
        self._stopped.set()
        if self.pool.done() and not self.pool.exception():
            self.pool.result().stop()

    def progress(self) -> JobProgress:
        """Where the job is now. Safe to call from any thread."""
        with self._lock:
            runs = list(self.runs.values())
            frames = sum(run.work.plan.frames for run in runs)
            done = sum(len(run.available) for run in runs)
            rendered = sum(run.rendered for run in runs)
            failed = len({(f.video_id, f.frame) for run in runs for f in run.failures if f.frame not in run.available})
            videos_done = sum(run.done for run in runs)
        workers: tuple[WorkerProgress, ...] = ()
        if self.pool.done() and not self.pool.exception() and not self._stopped.is_set():
            workers = tuple(self.pool.result().progress())
        elapsed = time.time() - (self.first_frame_at or self.began)
        eta = elapsed * (frames - done) / rendered if rendered else None
        return JobProgress(
            frames, done, rendered, failed, len(runs), videos_done, time.time() - self.began, eta, workers
        )


class _Lease:
    """A rented worker that can be traded for another after a failure."""

    def __init__(self, pool: Pool, run: VideoRun) -> None:
        self._pool, self._run, self._stack = pool, run, ExitStack()

    def __enter__(self) -> _Lease:
        self._rent(self._run.worker)
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def renew(self) -> None:
        """Give the worker back and rent one anew: another, where one is free."""
        self._stack.close()
        self._rent(None)

    def _rent(self, prefer: str | None) -> None:
        self.worker = self._stack.enter_context(self._pool.lease(prefer))
        self._run.worker = self.worker.name
