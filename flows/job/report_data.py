"""From an output to its report: what the page, the artifacts and `report/frames.parquet` are drawn from.

The report shows every video of the output, whichever run rendered it, so whoever puts it puts the same: two runs on one
output lose nothing of each other.
"""

from __future__ import annotations

import io
import json
import logging
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from flows.job.job import RenderJob
from flows.job.known_frames import known_frames
from flows.job.output_videos import LATEST_RUNS, StoredVideo, current_failures, stored_video
from flows.job.reviewing import limits_of, usual_limits
from flows.job.run_documents import RunDocuments, RunIdentity
from flows.job.state import VideoRun, VideoSnapshot
from flows.job.storage_state import VideoListing, read_failures
from flows.job.video_report import FRAMES, frames_table, planned_report, unplanned_report
from flows.report.document import summary_document
from flows.report.grid import render_grid
from flows.report.html import render_html
from flows.report.model import JobReport, VideoReport
from flows.report.posters import share
from flows.report.review import Limits
from flows.retry_and_quarantine.records import FailureRecord
from flows.runs.record import RunState
from flows.runs.stored import StoredRun, read_run, run_names
from flows.runs.summed import earlier_attempts, summed
from flows.runs.wanted import Turn, Wanted, wanted
from infra.storage.storage import PlaceForbidden, Storage, StorageError
from infra.video.ffmpeg import ffmpeg_version
from manifests.masking import address_without_secrets
from manifests.schema import may_be_video
from renderers.errors import RenderError
from renderers.registry import Registry

__all__ = [
    "FRAMES_TABLE",
    "GRID_PAGE",
    "REPORT_PAGE",
    "SUMMARY",
    "GatheredReport",
    "OutputReport",
    "publish_report",
]

logger = logging.getLogger(__name__)

REPORT_FOLDER = "report"
REPORT_PAGE = "report/index.html"
GRID_PAGE = "report/grid.html"
FRAMES_TABLE = "report/frames.parquet"
SUMMARY = "report/summary.json"
# Reads wait on the network, not on the processor; videos are gathered side by side, and so are the records of one.
PARALLEL_VIDEOS = 8
PARALLEL_RECORDS = 16
RERUN = "rerun-frames"


@dataclass(frozen=True)
class GatheredReport:
    """The report of an output, and the table of all its frames that lie in storage."""

    report: JobReport
    frames: pa.Table


class _Gathered(NamedTuple):
    """A video as it was gathered last, and what it was then: the same again need not be read again."""

    mark: object
    report: VideoReport
    table: pa.Table


class OutputReport:
    """Gathers the report of a job's output, again and again while the job runs: what has not changed is not read again.

    The job's own videos are known in memory. Others are read from storage once, and again where another run has them.
    For one thread at a time.
    """

    def __init__(self, job: RenderJob, documents: RunDocuments | None = None) -> None:
        self._job, self._output = job, job.output
        self._documents = documents or RunDocuments(job, RunIdentity(""))
        self._registry = Registry(job.settings.models_folder)
        self._videos: dict[str, _Gathered] = {}
        self._runs: dict[str, StoredRun] = {}
        self._earlier: dict[str, tuple[FailureRecord, ...]] = {}
        self._looks: dict[str, tuple[RunState | None, bool]] = {}
        self._usual = usual_limits(job.settings)

    def gather(
        self, *, actors: int | None, gpus_per_actor: float = 0.0, ended: tuple[str, str] | None = None
    ) -> GatheredReport:
        """Return the report as of now. `ended` is how the job's run ended and what it says, None while it runs;
        `actors` the most that it had, None: as far as they were seen."""
        now = datetime.now(UTC)
        mine = StoredRun(
            self._documents.record(),
            self._documents.state("ended", *ended) if ended else self._documents.state("rendering"),
        )
        runs = self._read_runs(mine)
        wants = wanted(runs, now)
        names = self._names(wants)
        self._forget(runs, now)
        unread = 0
        with (
            ThreadPoolExecutor(PARALLEL_RECORDS, thread_name_prefix="records") as records,
            ThreadPoolExecutor(PARALLEL_VIDEOS, thread_name_prefix="report") as threads,
        ):

            def one(name: str) -> _Gathered | StorageError | None:
                try:
                    return self._video(name, wants, share(len(names)), records)
                except StorageError as error:
                    return error

            videos: dict[str, _Gathered] = {}
            for name, found in zip(names, threads.map(one, names), strict=True):
                if isinstance(found, StorageError):
                    unread += name != REPORT_FOLDER
                    logger.warning("video '%s' is left out of the report: %s", name, found)
                elif found is not None:
                    videos[name] = found
        self._videos = videos
        report = self._report(mine, runs, wants, [video.report for video in videos.values()], actors, gpus_per_actor)
        tables = [FRAMES.empty_table(), *(video.table for video in videos.values())]
        return GatheredReport(_with_unread(report, unread), pa.concat_tables(tables))

    @property
    def rendered_before(self) -> int:
        """How many frames the earlier attempts of the job's flow run have rendered."""
        record = self._documents.record()
        if record.attempt < 2:
            return 0
        runs = self._read_runs(StoredRun(record, None))
        return sum(state.rendered for state in earlier_attempts(runs, record.flow_run, record.run))

    # -- runs ----------------------------------------------------------------------------------------------------------

    def _read_runs(self, mine: StoredRun) -> list[StoredRun]:
        """Return the output's runs, oldest first, this one among them whether storage takes its documents or not."""
        try:
            names = [name for name in run_names(self._output)[-LATEST_RUNS:] if name != mine.record.run]
            unknown = [name for name in names if name not in self._runs or not self._runs[name].ended]
            with ThreadPoolExecutor(PARALLEL_RECORDS, thread_name_prefix="runs") as threads:
                found = threads.map(lambda name: read_run(self._output, name), unknown)
                self._runs.update((run.record.run, run) for run in found if run is not None)
        except StorageError as error:
            logger.warning("the output's runs can't be read: %s", error)
        runs = [*self._runs.values(), mine]
        return sorted(runs, key=lambda run: run.record.run)

    def _names(self, wants: Wanted) -> tuple[str, ...]:
        """Return every video of the output, and folders that may be none: in the order of the manifests' rows."""
        try:
            folders = self._output.folders()
        except StorageError as error:
            logger.warning("the output's folders can't be listed: %s", error)
            folders = ()
        return tuple(dict.fromkeys((*wants.videos, *self._job.runs, *folders)))

    def _forget(self, runs: Iterable[StoredRun], now: datetime) -> None:
        """Forget the videos of other runs that may have changed: those of runs that live, and of those that were
        heard of, or fell silent, since the last look. No clock of theirs is compared with ours."""
        for run in runs:
            alive, was = run.alive(now), self._looks.get(run.record.run)
            self._looks[run.record.run] = (run.state, alive)
            if run.record.run == self._documents.run or (not alive and was == (run.state, alive)):
                continue
            videos = {video.video_id for video in run.record.videos}
            videos |= {video.video_id for video in run.record.refused}
            for video in videos - self._job.runs.keys():
                self._videos.pop(video, None)

    # -- videos --------------------------------------------------------------------------------------------------------

    def _video(self, name: str, wants: Wanted, poster_bytes: int, records: ThreadPoolExecutor) -> _Gathered | None:
        turn, run = wants.turns.get(name), self._job.runs.get(name)
        if run is not None and name not in wants.refused:
            return self._own_video(run, turn, poster_bytes, limits_of(run.work.plan.row, wants, self._usual), records)
        mark = (turn, name in wants.refused, wants.reviews.get(name))
        known = self._videos.get(name)
        if known is not None and known.mark == mark:
            return known
        try:
            stored = stored_video(self._output, self._registry, name, wants)
        except (RenderError, PlaceForbidden) as error:  # a model that is not known here, another account's folder
            if isinstance(error, PlaceForbidden) and name not in wants.frames and not may_be_video(name):
                return None
            return _Gathered(mark, _not_understood(name, wants, str(error)), FRAMES.empty_table())
        if stored is None:
            return None
        if stored.work is None:
            return _Gathered(mark, unplanned_report(stored, wants), FRAMES.empty_table())
        frames = known_frames(self._output, stored.work, {}, records)
        limits = limits_of(stored.work.plan.row, wants, self._usual)
        report = planned_report(self._output, stored.work, stored.was, frames, turn, poster_bytes, limits)
        return _Gathered(mark, report, frames_table(frames))

    def _own_video(
        self, run: VideoRun, turn: Turn | None, poster_bytes: int, limits: Limits, records: ThreadPoolExecutor
    ) -> _Gathered:
        was, name = run.snapshot(), run.work.video_id
        mark = (
            turn, len(was.available), was.rendered, len(was.failures), was.reason, was.published, len(run.ranges_left),
            limits,
        )  # fmt: skip
        known = self._videos.get(name)
        if known is not None and known.mark == mark:
            return known
        was = self._with_earlier_failures(run, was)
        frames = known_frames(self._output, run.work, was.reports, records)
        report = planned_report(self._output, run.work, was, frames, turn, poster_bytes, limits)
        return _Gathered(mark, report, frames_table(frames))

    def _with_earlier_failures(self, run: VideoRun, was: VideoSnapshot) -> VideoSnapshot:
        """Add the failures of earlier runs, which are read once."""
        name = run.work.video_id
        if name not in self._earlier:
            try:
                keys = [info.key for info in self._output.list(f"{name}/failures")]
                current = list(current_failures(keys, run.work.plan))
                self._earlier[name] = read_failures(self._output, VideoListing({}, None), name, keys=current)
            except StorageError:
                return was
        failures = {(it.frame, it.when): it for it in (*self._earlier[name], *was.failures)}
        return VideoSnapshot(
            was.available, was.rendered, was.reports, tuple(sorted(failures.values(), key=lambda it: it.when)),
            was.reason, was.published,
        )  # fmt: skip

    # -- the whole -----------------------------------------------------------------------------------------------------

    def _report(
        self, mine: StoredRun, runs: list[StoredRun], wants: Wanted, videos: list[VideoReport], actors: int | None,
        gpus_per_actor: float,
    ) -> JobReport:  # fmt: skip
        job, now = self._job, time.time()
        before = earlier_attempts(runs, mine.record.flow_run, mine.record.run)
        assert mine.state is not None
        output = address_without_secrets(job.parameters.output)
        manifests = dict.fromkeys(
            run.record.manifest for run in reversed(runs) if run.record.flow != RERUN and run.record.manifest
        ) or {address_without_secrets(job.parameters.manifest): None}
        return JobReport(
            title=_last_part(next(iter(manifests)) if len(manifests) == 1 else output),
            manifest=", ".join(list(manifests)[:10]),
            output=output,
            started=datetime.fromtimestamp(job.began, UTC),
            finished=datetime.fromtimestamp(now, UTC),
            wall_seconds=now - job.began + sum(state.elapsed for state in before),
            start_up_seconds=mine.state.start_up_seconds + sum(state.start_up_seconds for state in before),
            render_seconds=mine.state.render_seconds + sum(state.render_seconds for state in before),
            versions={"nightreel": version("nightreel"), "torch": version("torch"), "ffmpeg": ffmpeg_version()},
            videos=tuple(videos),
            problems=wants.problems,
            actors=actors or mine.state.actors or None,
            gpus_per_actor=gpus_per_actor,
            runs=summed(runs),
            running=any(run.alive() for run in runs),
            rendered_before=sum(state.rendered for state in before),
            hosts=_hosts(runs),
        )


def _hosts(runs: Sequence[StoredRun]) -> tuple[str, ...]:
    """What machines lack, as far as it counts now: found by runs that are at work, or by the latest one."""
    found = (run.state for run in runs if run.state is not None and (run is runs[-1] or run.alive()))
    return tuple(dict.fromkeys(host for state in found for host in state.hosts))


def publish_report(output: Storage, gathered: GatheredReport) -> str:
    """Put the page, its numbers as JSON and the table of frames in the place of earlier ones; return the page's URI."""
    table = io.BytesIO()
    pq.write_table(gathered.frames, table)
    output.put(FRAMES_TABLE, table.getvalue(), existing="replace")
    summary = json.dumps(summary_document(gathered.report), indent=1, ensure_ascii=False, allow_nan=False)
    output.put(SUMMARY, summary.encode(), existing="replace")
    if (grid := render_grid(gathered.report)) is not None:
        output.put(GRID_PAGE, grid.encode(), existing="replace")
    output.put(REPORT_PAGE, render_html(gathered.report).encode(), existing="replace")
    return output.uri(REPORT_PAGE)


def _with_unread(report: JobReport, unread: int) -> JobReport:
    return replace(report, unread=unread) if unread else report


def _not_understood(name: str, wants: Wanted, reason: str) -> VideoReport:
    was = VideoSnapshot(frozenset(), 0, {}, (), reason, published=False)
    return unplanned_report(StoredVideo(name, wants.frames.get(name, 0), None, was), wants)


def _last_part(place: str) -> str:
    return place.rstrip("/").rsplit("/", 1)[-1]
