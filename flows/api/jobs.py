"""Whole jobs from Python: a manifest in, an output with frames, videos and a report out, without a Prefect server."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Literal

from flows.api.manifest import Manifest
from flows.job.dispatch import run_job as drive
from flows.job.events import JobEvents
from flows.job.job import JobProgress, RenderJob
from flows.job.outcome import outcome
from flows.job.output_videos import VideoStatus, stored_status
from flows.job.parameters import RenderParameters
from flows.job.report_keeper import reporting
from flows.job.row_warnings import Warnings
from flows.job.run_documents import RunIdentity, documenting
from flows.job.state import VideoRun
from flows.orchestration.handover import start_pool
from infra.settings import InfraSettings, load_settings
from infra.storage.layout import video_key
from infra.storage.storage import Storage
from infra.video.encoding import Encoding
from infra.workers.local_pool import LocalPool
from manifests.building import write_parquet
from manifests.problems import Problems
from manifests.results import GoodRow, ManifestError
from manifests.schema import ManifestRow
from manifests.schema.texts import plural
from renderers.registry import Registry

__all__ = ["JobSummary", "VideoSummary", "run_job", "status"]

GIVEN_IN_PYTHON = "rows given in Python"


@dataclass(frozen=True)
class VideoSummary:
    """What became of one video: `missing` of its `frames`, those `rendered` by this run, the `reason` if it failed, and
    the URI of the finished `video`."""

    video_id: str
    state: Literal["done", "failed"]
    frames: int
    missing: int
    rendered: int
    reason: str
    video: str | None


@dataclass(frozen=True)
class JobSummary:
    """How a job ended. `complete`: every row was good and every video is there. `gave_up` says why no more frames were
    tried, if so; `report` is the URI of its page; `warnings` are of good rows that may surprise."""

    output: str
    complete: bool
    frames: int
    missing: int
    rendered: int
    seconds: float
    report: str
    videos: tuple[VideoSummary, ...]
    problems: Problems
    gave_up: str = ""
    warnings: Warnings = field(default_factory=Warnings)

    def __str__(self) -> str:
        done = sum(video.state == "done" for video in self.videos)
        lines = [
            f"{plural(self.rendered, 'frame')} rendered in {self.seconds:.0f} s, {self.missing} of {self.frames} "
            f"missing; {done} of {plural(len(self.videos), 'video')} done"
        ]
        lines += [f"gave up: {self.gave_up}"] if self.gave_up else []
        lines += [f"video '{video.video_id}': {video.reason}" for video in self.videos if video.state == "failed"]
        lines += [f"row not rendered: {problem}" for problem in self.problems.lines()]
        lines += self.warnings.lines()
        return "\n".join([*lines, f"report: {self.report}"])


def run_job(
    manifest: str | Path | Iterable[ManifestRow],
    output: str | Path,
    *,
    on: Literal["process", "ray"] = "process",
    workers: int | None = None,
    strict: bool = False,
    force: bool = False,
    range_frames: int | None = None,
    priority: int = 0,
    on_progress: Callable[[JobProgress], None] | None = None,
) -> JobSummary:
    """Render a manifest into `output`, as `nightreel render` does, and return how it ended.

    What is in the output already is not rendered again. `manifest` is a Parquet file, folder or glob, or rows. `on`
    says where: in this process, by `workers` threads (1 unless given), or on Ray, on the cluster that
    NIGHTREEL_RAY_ADDRESS names or one of this machine's own, by at most so many actors. `on_progress` hears about once
    a second how far it is. The rest is as for the command. Ctrl-C stops it; committed frames stay.

    Example:
        >>> rows = [nightreel.ManifestRow(video_id="apple", prompt="a red apple", frames=12, zoom="1.02")]
        >>> print(nightreel.run_job(rows, "out"))

    Raises:
        ManifestError: no row can be trusted, or one is bad and the job is `strict`.
        StorageError: manifest or output can't be used.
        RayUnavailable: no cluster answers, or it has no room.
    """
    began = time.monotonic()
    settings = load_settings()
    if on == "ray" and workers is not None:
        settings = settings.model_copy(update={"actors": workers})
    parameters = RenderParameters(str(manifest), str(output), strict, force, range_frames, priority)
    problems = Problems()
    if isinstance(manifest, str | Path):
        job = _planned(parameters.in_full(), settings)
    else:
        job, problems = _planned_rows(manifest, parameters, settings)
    job.record_refused()
    with documenting(job, RunIdentity("python")) as documents, reporting(job, documents) as keeper:
        try:
            if job.needs_workers and on == "ray":
                start_pool(job, settings)
            elif job.needs_workers:
                job.pool.set_result(_local_pool(job, settings, workers or 1))
            pool = job.pool.result() if job.needs_workers else None
            events = JobEvents(tick=partial(_report_progress, job, on_progress))
            keeper.actors = drive(job, pool, events=events).actors
            _report_progress(job, on_progress)
        finally:
            job.close()
        end = outcome(job)
        page = keeper.conclude(end.name, end.message).page
        documents.end(end.name, end.message)
    return _summary(job, problems.joined(job.problems), page, time.monotonic() - began)


def status(output: str | Path) -> tuple[VideoStatus, ...]:
    """Return the state of every video that was ever rendered into `output`, from storage alone, by name.

    Example:
        >>> [(video.video_id, video.state, video.missing) for video in nightreel.status("s3://bucket/night")]

    Raises:
        StorageError: the output can't be read.
    """
    return tuple(
        sorted(
            stored_status(Storage(str(output)), Registry(load_settings().models_folder)),
            key=lambda video: video.video_id,
        )
    )


def _planned(parameters: RenderParameters, settings: InfraSettings) -> RenderJob:
    job = RenderJob(parameters, settings)
    job.read()
    return job


def _planned_rows(
    rows: Iterable[ManifestRow], parameters: RenderParameters, settings: InfraSettings
) -> tuple[RenderJob, Problems]:
    """A planned job of rows that stand in no file, and the problems of those that were left out when they were read."""
    problems = rows.problems if isinstance(rows, Manifest) else Problems()
    if problems and parameters.strict:
        raise ManifestError("not rendered, since strict: " + "; ".join(problems.lines()))
    with tempfile.TemporaryDirectory(prefix="nightreel-") as folder:
        file = Path(folder, "rows.parquet")
        write_parquet((GoodRow(row, GIVEN_IN_PYTHON, number) for number, row in enumerate(rows, start=1)), file)
        job = _planned(replace(parameters, manifest=str(file)), settings)
    job.parameters = replace(parameters, manifest=GIVEN_IN_PYTHON)  # what the report calls it
    return job, problems


def _local_pool(job: RenderJob, settings: InfraSettings, workers: int) -> LocalPool:
    return LocalPool(
        job.output,
        size=workers,
        device=settings.device,
        threads=settings.threads,
        batch=settings.batch,
        registry=Registry(settings.models_folder),
        source=settings.models_source,
        precision=settings.precision,
        graphs=settings.graphs,
        reading=job.reading,
    )


def _report_progress(job: RenderJob, on_progress: Callable[[JobProgress], None] | None) -> None:
    if on_progress is not None:
        on_progress(job.progress())


def _summary(job: RenderJob, problems: Problems, report: str, seconds: float) -> JobSummary:
    missing, frames = job.frames_missing
    videos = [_video_summary(job.output, video_id, run) for video_id, run in job.runs.items()]
    videos += [
        VideoSummary(row.video_id, "failed", row.frames, row.frames, 0, reason, None) for row, reason in job.refused
    ]
    return JobSummary(
        output=job.parameters.output,
        complete=job.complete and not problems,
        frames=frames,
        missing=missing,
        rendered=sum(run.rendered for run in job.runs.values()),
        seconds=seconds,
        report=report,
        videos=tuple(videos),
        problems=problems,
        gave_up=job.gave_up,
        warnings=job.warnings,
    )


def _video_summary(output: Storage, video_id: str, run: VideoRun) -> VideoSummary:
    row = run.work.plan.row
    extension = Encoding.of(row).file_type(row.frames).extension
    video = output.uri(video_key(video_id, extension)) if run.done else None
    state: Literal["done", "failed"] = "done" if run.done else "failed"
    return VideoSummary(video_id, state, row.frames, run.missing, run.rendered, run.reason, video)
