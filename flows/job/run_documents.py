"""Keeping the documents of a job's run in storage up to date while it lives; flows/runs says what they hold."""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
import uuid
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from heapq import nlargest
from importlib.metadata import version
from itertools import islice

from flows.job.job import RenderJob
from flows.job.outcome import outcome_of_error
from flows.job.reviewing import limits_in
from flows.job.state import VideoRun
from flows.job.workers import carry_out, worker_states
from flows.runs.record import (
    FailedFrame,
    LatestFrame,
    Phase,
    RefusedVideo,
    RequestOutcome,
    RunRecord,
    RunState,
    RunVideo,
    VideoPhase,
)
from flows.runs.stored import put_record, put_state, read_requests
from infra.storage.layout import frame_key
from infra.storage.storage import StorageError
from manifests.masking import address_without_secrets, without_secrets
from manifests.schema import ManifestRow

__all__ = ["RunDocuments", "RunIdentity", "documenting"]

logger = logging.getLogger(__name__)

# Between two looks of whoever watches; a job of very many videos, whose state is long, is put as much less often.
STATE_SECONDS = 5.0
STATE_BYTES = 100_000
LATEST_FRAMES = 12
FAILURES = 200
MESSAGE_CHARACTERS = 600
OUTCOMES = 20
HOSTS = 200


@dataclass(frozen=True)
class RunIdentity:
    """Who runs a job: the flow, and Prefect's name, id, attempt and page of its run ('' without Prefect)."""

    flow: str
    name: str = ""
    flow_run: str = ""
    attempt: int = 1
    link: str = ""


class RunDocuments:
    """The documents of one run. Storage that does not take them is logged: it must not end a job by itself."""

    def __init__(self, job: RenderJob, identity: RunIdentity) -> None:
        self._job, self._identity = job, identity
        began = datetime.fromtimestamp(job.began, UTC)
        # the order of names is that of runs, also of two that begin in one second
        self.run = f"{began:%Y%m%dT%H%M%S%f}-{uuid.uuid4().hex[:8]}"
        self._began = began
        self._recorded: object = None
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._ended = False
        self._actors = 0
        self._outcomes: deque[RequestOutcome] = deque(maxlen=OUTCOMES)
        self._heard = set[str]()

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Keep them up to date until the block ends, in a thread; the caller puts the end (`end`)."""
        self.put()
        thread = threading.Thread(target=self._keep, name="run documents", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join(timeout=30)

    def end(self, result: str, message: str = "") -> None:
        """Put how the run ended: the name of its final state, and what it says."""
        self._put(self.state("ended", result, message))

    @property
    def ended(self) -> bool:
        """Whether it was said how the run ended."""
        with self._lock:
            return self._ended

    def put(self) -> int:
        """Put where the run stands now; return the size in bytes."""
        return self._put(self.state(self._phase()))

    def _put(self, state: RunState) -> int:
        with self._lock:
            if self._ended and state.phase != "ended":
                return 0  # it was made before the end, by the other thread, and waited for the lock
            self._ended = state.phase == "ended"
            try:
                if self._recorded is not self._job.runs:
                    put_record(self._job.output, self.record())
                    self._recorded = self._job.runs
                return put_state(self._job.output, state)
            except StorageError as error:
                logger.warning("where the run stands can't be put into storage: %s", error)
                return 0

    def _hear(self) -> None:
        """Carry out what people have asked for since the last time."""
        try:
            asked = read_requests(self._job.output, self.run, self._heard)
        except StorageError as error:
            logger.warning("what is asked of the run can't be read from storage: %s", error)
            return
        for stamp, request in asked:
            self._heard.add(stamp)
            if request is None:
                continue  # not one of ours
            refused = carry_out(self._job, request)
            outcome = RequestOutcome(
                stamp=stamp, kind=request.kind, worker=request.worker, priority=request.priority, refused=refused,
                at=datetime.now(UTC),
            )  # fmt: skip
            self._outcomes.append(outcome)
            logger.info("asked for: %s %s%s", request.kind, request.worker, f": not done, {refused}" if refused else "")

    def record(self) -> RunRecord:
        """Return what the run is to do."""
        job, identity = self._job, self._identity
        return RunRecord(
            schema=1,
            run=self.run,
            flow=identity.flow,
            name=without_secrets(identity.name),
            flow_run=identity.flow_run,
            attempt=identity.attempt,
            link=identity.link,
            host=f"{socket.gethostname()}:{os.getpid()}",
            manifest=address_without_secrets(job.parameters.manifest),
            part=job.parameters.part or 0,
            videos_per_run=(job.parameters.part and job.parameters.videos_per_run) or 0,
            parts=job.parts_in_all,
            output=without_secrets(job.output.root),
            priority=job.parameters.priority,
            began=self._began,
            version=version("nightreel"),
            videos=tuple(RunVideo(video_id=it.video_id, frames=it.settings.frames) for it in job.works),
            refused=tuple(_refused(row, reason) for row, reason in job.refused),
            problems=tuple(job.problems),
            bad_rows=job.problems.rows,
            problem_kinds=job.problems.kinds,
            reviews=_reviews(job) if job.of_manifest else None,
        )

    def state(self, phase: Phase, result: str = "", message: str = "") -> RunState:
        """Return where the run stands."""
        job, progress = self._job, self._job.progress()
        runs = list(job.runs.values())
        now = time.time()
        ended = datetime.now(UTC) if phase == "ended" else None
        self._actors = max(self._actors, len(progress.workers))
        return RunState(
            schema=1,
            run=self.run,
            phase=phase,
            result=result,
            message=without_secrets(message),
            updated=datetime.now(UTC),
            ended=ended,
            frames=progress.frames,
            frames_done=progress.frames_done,
            rendered=progress.rendered,
            failed=progress.failed,
            videos=progress.videos,
            videos_done=progress.videos_done,
            eta=progress.eta if phase == "rendering" else None,
            elapsed=progress.elapsed,
            start_up_seconds=(job.first_frame_at or now) - job.began,
            render_seconds=sum(run.render_seconds for run in runs),
            actors=self._actors,
            gpus_per_actor=job.gpus_per_actor,
            priority=job.priority,
            done=tuple(run.work.settings.frames - run.missing for run in runs),
            phases="".join(_video_phase(job, run) for run in runs),
            workers=worker_states(job, progress.workers),
            latest=_latest(runs),
            failures=tuple(islice(_failures(job, runs), FAILURES)),
            requests=tuple(self._outcomes),
            hosts=tuple(without_secrets(it)[:MESSAGE_CHARACTERS] for it in job.lacks[:HOSTS]),
        )  # fmt: skip

    def _phase(self) -> Phase:
        job = self._job
        if job.stopped:
            return "stopping"
        if job.held:
            return "paused"
        return "starting" if job.needs_workers and job.first_frame_at is None else "rendering"

    def _keep(self) -> None:
        size = 0
        while not self._over.wait(STATE_SECONDS * max(1.0, size / STATE_BYTES)):
            try:
                self._hear()
                size = self.put()
            except Exception:  # a look at workers that are going away: the next one tells
                logger.debug("where the run stands can't be said", exc_info=True)


@contextmanager
def documenting(job: RenderJob, identity: RunIdentity) -> Iterator[RunDocuments]:
    """Keep the documents of a planned job's run until the block ends; the block says how it ended, by `end`. A block
    that is left by an exception, and has not said, has ended in that."""
    documents = RunDocuments(job, identity)
    try:
        with documents.kept():
            yield documents
    except BaseException as error:
        if not documents.ended:
            documents.end(*outcome_of_error(error))
        raise


def _refused(row: ManifestRow, reason: str) -> RefusedVideo:
    # a size that the row leaves open would be its model's, and that is perhaps what is not known
    given = {name: getattr(row, name) for name in ("width", "height") if name in row.model_fields_set}
    return RefusedVideo(
        video_id=row.video_id, frames=row.frames, reason=without_secrets(reason),
        prompt=without_secrets(row.shown_prompts),
        model=without_secrets(row.model), **given,  # an address perhaps, in the wrong column
    )  # fmt: skip


def _reviews(job: RenderJob) -> dict[str, dict[str, float]]:
    """The limits of the rows that set some, by their videos."""
    found = {work.video_id: limits_in(work.settings) for work in job.works}
    return {video: limits for video, limits in found.items() if limits}


def _video_phase(job: RenderJob, run: VideoRun) -> VideoPhase:
    if run.done:
        return "d"
    if job.has_failed(run):  # what is tried again has not: a worker may be at it now
        return "f"
    if run.ready_to_stitch:
        return "s"
    return "r" if run.rendered or run.plan_saved else "w"


def _latest(runs: list[VideoRun]) -> tuple[LatestFrame, ...]:
    found = ((latest, run) for run in runs if (latest := run.latest) is not None)
    newest = nlargest(LATEST_FRAMES, found, key=lambda it: it[0])
    return tuple(
        LatestFrame(
            video_id=run.work.video_id,
            frame=frame,
            key=frame_key(run.work.video_id, frame, run.work.frames[frame].digest),
        )
        for (_, frame), run in newest
    )


def _failures(job: RenderJob, runs: list[VideoRun]) -> Iterator[FailedFrame]:
    for run in runs:
        failing, given_up = run.failing_frames(), job.given_up(run)
        if not failing:
            continue
        last = {record.frame: record for record in run.failures if record.frame in failing}
        for frame, record in sorted(last.items(), key=lambda item: -1 if item[0] is None else item[0]):
            yield FailedFrame(
                video_id=run.work.video_id,
                frame=frame,
                kind=record.kind,
                message=without_secrets(record.message)[:MESSAGE_CHARACTERS],
                worker=record.worker,
                attempts=record.attempt,
                when=record.when,
                log=record.log,
                final=frame in given_up,
            )
