"""Running a planned job as a Prefect flow run: its chunks become task runs, its end a state, a report and artifacts.

Every flow that renders (`render-manifest`, `rerun-frames`, `nightly`) is a form in front of `conduct`. One task run is
one chunk (or one stitch of a long video), never a frame. Tasks are not cached: a retried run plans from storage and
submits only what is missing.
"""

import logging
import queue
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, TypeVar, cast

from prefect import get_run_logger, runtime, task
from prefect.artifacts import (
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)
from prefect.cache_policies import NO_CACHE
from prefect.exceptions import Abort, CancelledRun, FailedRun, Pause
from prefect.futures import PrefectFuture
from prefect.states import Cancelled, Completed, Failed, State
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner
from prefect.utilities.annotations import quote
from prefect.utilities.urls import url_for

from flows.failures.records import FailureRecord
from flows.job.job import RenderJob
from flows.job.report_data import frame_reports, job_report, publish_report
from flows.orchestration.links import rerun_address
from flows.orchestration.watch import watching
from flows.planning.chunks import Chunk
from flows.planning.order import Schedule
from flows.report import failure_table, summary_markdown
from flows.report.wording import plural
from infra.workers.pool import Pool
from manifests.errors import ErrorKind, NightreelError

__all__ = ["conduct", "invalid_input", "opaque", "threads"]

T = TypeVar("T")

# Threads wait on actors, so there may be many more of them than cores: two for each actor, and those that encode.
MAX_THREADS = 1024
# An artifact's update is a row on the server.
PROGRESS_SECONDS = 5.0
# How a run ends that can't begin, where its message says all there is to know; other errors end it with a stack trace.
REFUSALS = {
    ErrorKind.BAD_INPUT: "InputInvalid",
    ErrorKind.ENVIRONMENT: "EnvironmentUnusable",
    ErrorKind.INFRASTRUCTURE: "EnvironmentUnusable",
    ErrorKind.STORAGE: "EnvironmentUnusable",
}


def threads() -> TaskRunner[Any]:
    """The task runner of a flow that conducts a job."""
    return cast("TaskRunner[Any]", ThreadPoolTaskRunner(max_workers=MAX_THREADS))


@contextmanager
def invalid_input() -> Iterator[list[State[Any]]]:
    """Turn an error that a person can do something about into a state, which the list then holds."""
    refused: list[State[Any]] = []
    try:
        yield refused
    except NightreelError as error:
        if error.kind not in REFUSALS:
            raise
        refused.append(Failed(name=REFUSALS[error.kind], message=str(error)))


def conduct(job: RenderJob) -> State[Any]:
    """Run a planned job whose pool is starting (flows.orchestration.handover) to its end, and say how it ended.

    A job that is cancelled, or broken, leaves no actor working.

    Raises:
        Pause: the run was suspended; it goes on from storage when it is resumed.
        Abort: the run is no longer this process's; its state is not touched.
    """
    logging.getLogger("prefect.flow_runs").addFilter(_is_news)
    logger = get_run_logger()
    job.log_address, job.on_failure = _log_address, _log_failure
    job.record_refused()
    for problem in job.problems:
        logger.warning("row not rendered: %s", problem)
    for row, reason in job.refused:
        logger.warning("video '%s' not rendered: %s", row.video_id, reason)
    logger.info("%d frames to render in %d of %d videos", job.frames_to_render, len(job.pending), len(job.runs))

    actors, gpus = 0, 0.0
    with watching(job) as watch:
        try:
            pool = job.pool.result() if job.needs_workers else None
            gpus = getattr(pool, "gpus_per_actor", 0.0)
            actors = _render(job, pool)
            while job.plan_again():
                actors = max(actors, _render(job, pool))
        except BaseException:
            job.stop()  # cancelled, or broken: no actor goes on alone
            raise
        finally:
            job.close()
    if watch.lost:
        raise Abort("the run is no longer this process's: it was given a final state, or was begun anew elsewhere")
    if watch.ended is not None and watch.ended.is_paused():
        raise Pause(state=watch.ended)
    state = _conclude(job, actors or None, gpus)
    return Cancelled(message=state.message) if watch.ended is not None else state


def _is_news(record: logging.LogRecord) -> bool:
    """Prefect's engine logs a stack trace of its own for every run that ends in a failed state. The state says it all,
    and an operator who sees a trace takes it for a bug."""
    return not (record.exc_info and isinstance(record.exc_info[1], (FailedRun, CancelledRun)))


def _log_address() -> str:
    identity = runtime.task_run.id
    return (url_for("task-run", obj_id=identity) if identity else "") or ""


def _log_failure(record: FailureRecord) -> None:
    frame = "" if record.frame is None else f" frame {record.frame}"
    get_run_logger().warning(
        "video '%s'%s failed on %s (%s, attempt %d): %s",
        record.video_id, frame, record.worker, record.kind, record.attempt, record.message,
    )  # fmt: skip


@task(name="render", task_run_name="{name}", cache_policy=NO_CACHE, persist_result=False)
def render_chunk(name: str, job: RenderJob, chunk: Chunk, turn: int) -> State[Any]:
    """Render one chunk of frames; ends Failed when some of them could not be rendered."""
    began = time.perf_counter()
    counts = job.run_chunk(chunk, turn)
    seconds = time.perf_counter() - began
    told = (
        f"{counts['rendered']} rendered, {counts['skipped']} there already, {counts['failed']} missing, {seconds:.1f} s"
    )
    get_run_logger().info("%s: %s", name, told)
    if counts["failed"]:
        return Cancelled(message=told) if job.stopped else Failed(name="FramesMissing", message=told)
    return Completed(message=told)


@task(name="stitch", task_run_name="{name}", cache_policy=NO_CACHE, persist_result=False)
def stitch_video(name: str, job: RenderJob, video: str) -> State[Any]:
    """Join the segments of one video and publish it."""
    published = job.stitch_video(video)
    if published is None:
        return Failed(message=job.runs[video].reason)
    return Completed(message=f"{published.bytes:,} bytes in {published.seconds:.1f} s")


def _render(job: RenderJob, pool: Pool | None) -> int:
    """Run all chunks, each once an actor is near and the chunk it starts from is done; stitch as videos complete. Gives
    the most actors that it had at a time: other runs make them fewer, their end more."""
    schedule = Schedule(job.chunks(pool.capacity, pool.max_batch) if pool else job.chunks(1), job.can_begin)
    actors = 0
    finished: queue.Queue[Chunk | None] = queue.Queue()  # None: a frame, for which a chunk may have waited
    job.on_frame = partial(finished.put, None)
    rendering: dict[str, PrefectFuture[Any]] = {}
    stitching: list[PrefectFuture[Any]] = []
    stitched: set[str] = set()

    def stitch_what_is_whole(videos: set[str]) -> None:
        for video in videos - stitched:
            if job.ready(video):
                stitched.add(video)
                stitching.append(stitch_video.submit(f"{video} stitch", opaque(job), video))

    # segments that an earlier run left behind unstitched
    stitch_what_is_whole(set(job.runs))
    progress = create_progress_artifact(0.0, key="progress", description=_headline(job))
    shown = time.monotonic()
    schedule.look()
    while (schedule and not job.gave_up and not job.stopped) or rendering:
        size = pool.size if pool else 0
        actors = max(actors, size)
        # two for each actor: where all end at once, a server that begins 20 task runs a second would keep most waiting.
        while schedule and len(rendering) - job.aside <= 2 * size and not job.gave_up and not job.stopped:
            turn, chunk = schedule.next(size)
            future = render_chunk.submit(chunk.name, opaque(job), opaque(chunk), turn)
            rendering[chunk.name] = future
            future.add_done_callback(partial(_tell, finished, chunk))
        if pool is not None:
            pool.want(len(schedule) + len(rendering))
        with suppress(queue.Empty):
            done = finished.get(timeout=1.0)
            if done is not None:
                rendering.pop(done.name)
                schedule.ended(done)
                stitch_what_is_whole({part.video for part in done.parts})
            schedule.look()
            if not schedule and not rendering:
                schedule.look(all_of_them=True)  # what they wait for has failed: they say so themselves
        if time.monotonic() - shown > PROGRESS_SECONDS:
            update_progress_artifact(progress, _percent(job), description=_headline(job))  # type: ignore[arg-type]
            shown = time.monotonic()
    for future in stitching:
        future.wait()
    update_progress_artifact(progress, _percent(job), description=_headline(job))  # type: ignore[arg-type]
    return actors


def opaque(value: T) -> T:
    """`value` for a task's parameter, to be passed as it is: Prefect would search it for futures otherwise."""
    return cast("T", quote(value))  # Prefect unwraps it before the task sees it


def _tell(finished: queue.Queue[Chunk | None], chunk: Chunk, _: object) -> None:
    finished.put(chunk)


def _percent(job: RenderJob) -> float:
    missing, frames = job.frames_missing
    return 100.0 * (frames - missing) / frames if frames else 100.0


def _headline(job: RenderJob) -> str:
    missing, frames = job.frames_missing
    return (
        f"{frames - missing} of {frames} frames, {sum(run.done for run in job.runs.values())} of {len(job.runs)} videos"
    )


def _conclude(job: RenderJob, actors: int | None, gpus: float) -> State[Any]:
    """Publish the report and the artifacts, and say how the job ended."""
    report = job_report(job, actors=actors, gpus_per_actor=gpus)
    page = publish_report(job.output, report, frame_reports(job))
    rerun = rerun_address(job.parameters.output)
    create_markdown_artifact(summary_markdown(report, rerun), key="summary", description=f"report: {page}")
    table = failure_table(report, rerun)
    if table:
        create_table_artifact(
            table, key="failed-frames", description="Frames that failed, those that still stand first"
        )
    missing, frames = job.frames_missing
    if job.gave_up:
        return Failed(name="TooManyFailures", message=f"{missing}/{frames} frames missing; gave up: {job.gave_up}")
    if missing:
        return Failed(name="FramesMissing", message=f"{missing}/{frames} frames missing")
    unfinished = [run for run in job.runs.values() if not run.done]
    if unfinished:
        told = plural(len(unfinished), "video")
        return Failed(name="VideosMissing", message=f"{told} not published: {unfinished[0].reason}")
    if job.problems:
        rows = {(problem.file, problem.row) for problem in job.problems}
        told = plural(len(rows), "row of the manifest is", "rows of the manifest are")
        return Failed(name="RowsInvalid", message=f"{told} invalid; all others are rendered")
    rendered = sum(run.rendered for run in job.runs.values())
    return Completed(message=f"{frames} frames, {len(job.runs)} videos; {rendered} frames rendered by this run")
