"""Running a planned job as a Prefect flow run: its chunks become task runs, its end a state, a report and artifacts.

Every flow that renders (`render-manifest`, `rerun-frames`, `nightly`) is a form in front of `conduct`. One task run is
one chunk (or one stitch of a long video), never a frame. Tasks are not cached: a retried run plans from storage and
submits only what is missing.
"""

import logging
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

from prefect import State, get_run_logger, runtime, task
from prefect.cache_policies import NO_CACHE
from prefect.exceptions import Abort, CancelledRun, FailedRun, Pause, TerminationSignal
from prefect.futures import PrefectFuture
from prefect.states import Cancelled, Completed, Crashed, Failed
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner
from prefect.utilities.annotations import quote
from prefect.utilities.urls import url_for

from flows.job.dispatch import MAX_THREADS, ChunkRun, StitchRun, run_job
from flows.job.events import JobEvents
from flows.job.job import RenderJob
from flows.job.outcome import outcome
from flows.job.output_videos import LATEST_RUNS
from flows.job.report_keeper import ReportKeeper, reporting
from flows.job.run_documents import RunDocuments, RunIdentity, documenting
from flows.orchestration.artifacts import LAST, ProgressArtifact, create_artifacts, remove_artifacts
from flows.orchestration.cancelled import leave_words
from flows.orchestration.endings import CancelSignal
from flows.orchestration.live import link_live_page
from flows.orchestration.run_logs import tidy_task_logs
from flows.orchestration.sealed import sealed
from flows.orchestration.watch import RunWatch, leave, watching
from flows.report.wording import first_of
from flows.retry_and_quarantine.records import FailureRecord
from flows.runs.stored import stored_runs
from flows.runs.summed import earlier_attempts
from infra.storage.storage import StorageError
from infra.workers.pool import Pool
from manifests.errors import ErrorKind, NightreelError

__all__ = ["conduct", "invalid_input", "leave_if_ended", "opaque", "take_back_sigterm", "threads"]

T = TypeVar("T")


# How a run ends that can't begin, where its message says all there is to know; other errors end it with a stack trace.
REFUSALS = {
    ErrorKind.BAD_INPUT: "InputInvalid",
    ErrorKind.ENVIRONMENT: "EnvironmentUnusable",
    ErrorKind.INFRASTRUCTURE: "EnvironmentUnusable",
    ErrorKind.STORAGE: "EnvironmentUnusable",
}


def threads() -> TaskRunner[Any]:
    """Return the task runner of a flow that conducts a job."""
    return cast("TaskRunner[Any]", ThreadPoolTaskRunner(max_workers=MAX_THREADS))


@contextmanager
def invalid_input() -> Iterator[list[State[Any]]]:
    """Turn an error that a person can do something about into a state, which the list then holds."""
    refused: list[State[Any]] = []
    try:
        with sealed():
            yield refused
    except NightreelError as error:
        if error.kind not in REFUSALS:
            raise
        refused.append(Failed(name=REFUSALS[error.kind], message=str(error)))


def conduct(job: RenderJob) -> State[Any]:
    """Run a planned job whose pool is starting (flows.orchestration.handover) to its end, and return how it ended.

    A job that is cancelled, or broken, leaves no actor working.

    Raises:
        Pause: the run was suspended; it goes on from storage when it is resumed.
        Abort: the run is no longer this process's; its state is not touched.
    """
    logging.getLogger("prefect.flow_runs").addFilter(_is_news)
    tidy_task_logs()
    logger = get_run_logger()
    remove_artifacts()
    link_live_page(job.output)
    job.record_refused()
    for problem in job.problems.lines():
        logger.warning("row not rendered: %s", problem)
    for line in (*first_of(job.damaged), *job.warnings.lines()):
        logger.warning("%s", line)
    for line in first_of(f"video '{row.video_id}' not rendered: {reason}" for row, reason in job.refused):
        logger.warning("%s", line)
    logger.info("%d frames to render in %d of %d videos", job.frames_to_render, len(job.pending), len(job.runs))
    with sealed(), documenting(job, _identity()) as documents:
        _take_up_priority(job, documents)
        state = _run(job, documents)
        documents.end(state.name or state.type.value, state.message or "")
    return state


def _identity() -> RunIdentity:
    run = runtime.flow_run
    return RunIdentity(run.flow_name, run.name, run.id, run.run_count, run.ui_url or "")


def _take_up_priority(job: RenderJob, documents: RunDocuments) -> None:
    """Go on with the priority that a person gave an earlier attempt: after Resume, or a retry."""
    try:
        before = earlier_attempts(stored_runs(job.output, latest=LATEST_RUNS), runtime.flow_run.id, documents.run)
    except StorageError as error:
        get_run_logger().warning("the priority of the run's earlier attempts can't be read: %s", error)
        return
    if before and before[-1].priority != job.priority:
        get_run_logger().info("priority %d, as in the attempt before", before[-1].priority)
        job.prioritise(before[-1].priority)


def _run(job: RenderJob, documents: RunDocuments) -> State[Any]:
    with reporting(job, documents) as keeper:
        try:
            watch = _render(job, keeper)
        except CancelSignal:
            _say_cancelled(job, keeper, documents)
            raise
        leave_if_ended(watch)
        cancelled = watch.ended is not None
        try:
            return _conclude(job, keeper, cancelled=cancelled)
        except TerminationSignal as error:  # Prefect ends the process as well, a moment after the run has heard of it
            if not cancelled:
                raise
            _say_cancelled(job, keeper, documents)
            raise CancelSignal(error.signal) from None


def _render(job: RenderJob, keeper: ReportKeeper) -> RunWatch:
    """Render what is missing, and return what was done to the run meanwhile.

    Raises:
        CancelSignal: a person has cancelled the run, and Prefect ends its process.
    """
    with watching(job) as watch:
        try:
            progress = ProgressArtifact(job)
            pool = _pool(job, progress) if job.needs_workers else None
            events = JobEvents(_log_failure, _log_address, _log_lack, progress.update_now_and_then)
            keeper.actors = run_job(job, pool, _submit, events).actors
            progress.update()
        except TerminationSignal as error:  # so ends a cancelled run's process, and one that is stopped otherwise
            raise CancelSignal(error.signal) if watch.is_cancelled() else error from None
        finally:
            job.close()
        return watch


def _say_cancelled(job: RenderJob, keeper: ReportKeeper, documents: RunDocuments) -> None:
    """Leave what every run leaves: in numbers how far it came, its report, its artifacts. Prefect gives the process
    half a minute."""
    message = outcome(job, keeper.rendered_before).message
    documents.end("Cancelled", message)  # first, since it is quick
    leave_words(message)
    if not keeper.quick:
        return
    try:
        remove_artifacts(LAST)  # those of an end that was broken off
        _conclude(job, keeper, cancelled=True)
    except Exception:  # a server that is being stopped too; the run ends as cancelled all the same
        logging.getLogger("nightreel").debug("a cancelled run's end is not told in full", exc_info=True)


def leave_if_ended(watch: RunWatch) -> None:
    """End this process's part in a flow run that was suspended, or taken away; a cancelled one is the caller's to end.

    Raises:
        Pause: the run was suspended; it goes on when it is resumed.
        Abort: the run is no longer this process's; its state is not touched.
    """
    if watch.lost:
        raise Abort("the run is no longer this process's: it was given a final state, or was begun again elsewhere")
    if watch.ended is not None and watch.ended.is_paused():
        leave()
        raise Pause(state=watch.ended)


def _pool(job: RenderJob, progress: ProgressArtifact) -> Pool:
    """Wait for the job's workers, and say so."""
    while True:
        try:
            pool = job.pool.result(timeout=1)
            take_back_sigterm()
            return pool
        except TimeoutError:
            if job.pool.done():
                raise
            progress.update_now_and_then()


def take_back_sigterm() -> None:
    """Put Python's handler back in the place of the one that Ray has put before it: Ray's sets an alarm that kills the
    process after three seconds, in which nobody leaves a report, and prints a stack trace [seen with Ray's driver; it
    is absl's FailureSignalHandler, `alarm_on_failure_secs`]."""
    if threading.current_thread() is threading.main_thread() and (handler := signal.getsignal(signal.SIGTERM)):
        signal.signal(signal.SIGTERM, handler)


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


def _log_lack(message: str) -> None:
    get_run_logger().warning("%s", message)


@task(name="render", task_run_name="{name}", cache_policy=NO_CACHE, persist_result=False)
def render_chunk(name: str, run: ChunkRun) -> State[Any]:
    """Render one chunk of frames; ends Failed when some of them could not be rendered."""
    began = time.perf_counter()
    with sealed():
        counts = run()
    seconds = time.perf_counter() - began
    message = f"{counts.rendered} rendered, {counts.skipped} there already, {counts.missing} missing, {seconds:.1f} s"
    get_run_logger().info("%s: %s", name, message)
    if counts.missing:
        return Cancelled(message=message) if run.job.stopped else Failed(name="FramesMissing", message=message)
    return Completed(message=message)


@task(name="stitch", task_run_name="{name}", cache_policy=NO_CACHE, persist_result=False)
def stitch_video(name: str, run: StitchRun) -> State[Any]:
    """Join the segments of one video and publish it."""
    with sealed():
        published = run()
    if published is None:
        return Failed(message=run.job.runs[run.video].reason)
    return Completed(message=f"{published.bytes:,} bytes in {published.seconds:.1f} s")


def _submit(run: ChunkRun | StitchRun) -> PrefectFuture[Any]:
    """Begin a chunk or a stitch as a task run."""
    if isinstance(run, ChunkRun):
        return render_chunk.submit(run.name, opaque(run))
    return stitch_video.submit(run.name, opaque(run))


def opaque(value: T) -> T:
    """`value` for a task's parameter, to be passed as it is: Prefect would search it for futures otherwise."""
    return cast("T", quote(value))  # Prefect unwraps it before the task sees it


def _conclude(job: RenderJob, keeper: ReportKeeper, *, cancelled: bool) -> State[Any]:
    """Publish the report and the artifacts, and return how the job ended."""
    end = outcome(job, keeper.rendered_before)
    concluded = keeper.conclude("Cancelled" if cancelled else end.name, end.message)
    videos = {*job.runs, *(row.video_id for row, _ in job.refused)}
    create_artifacts(concluded, end.message, job.parameters.output, videos)
    if cancelled:
        return Cancelled(message=end.message)
    if job.lost:  # as a process that dies with its cluster: the server starts the run again, where it is one of its own
        return Crashed(message=end.message)
    return Completed(message=end.message) if end.complete else Failed(name=end.name, message=end.message)
