"""From a job and its storage to a report: what the page, the artifacts and `report/frames.parquet` are drawn from."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import version

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from flows.failures.records import FailureRecord
from flows.job.job import RenderJob
from flows.job.state import VideoRun
from flows.planning.remaining import VideoWork
from flows.report import JobReport, State, VideoReport, render_html, summary_document
from infra.storage.errors import without_secrets
from infra.storage.layout import CONTACT_SHEET, frame_key
from infra.storage.storage import ObjectMissing, Storage, StorageError
from infra.video.contact_sheet import poster
from infra.video.encoding import Encoding
from infra.video.ffmpeg import ffmpeg_version
from infra.workers.tasks import FrameReport
from manifests.errors import ErrorKind
from manifests.schema import ManifestRow, format_prompts
from renderers.frames.seams import seam_scores
from renderers.picture_errors import PICTURE_ERRORS

__all__ = ["FRAMES_TABLE", "REPORT_PAGE", "SUMMARY", "frame_reports", "job_report", "publish_report", "video_report"]

REPORT_PAGE = "report/index.html"
FRAMES_TABLE = "report/frames.parquet"
SUMMARY = "report/summary.json"
POSTER_SIDE = 320

_FRAMES = pa.schema(
    [
        ("video_id", pa.string()),
        ("frame", pa.int32()),
        ("loss", pa.float32()),
        ("steps", pa.int32()),
        ("seconds", pa.float32()),
        ("worker", pa.string()),
        ("change", pa.float32()),
    ]
)


def job_report(job: RenderJob, *, actors: int | None, gpus_per_actor: float = 0.0) -> JobReport:
    """The report of a job as it stands now, read back from storage where other runs did the work."""
    now, manifest = time.time(), without_secrets(job.parameters.manifest)
    videos = [_video_report(job, run) for run in job.runs.values()]
    videos += [_refused_report(row, reason) for row, reason in job.refused]
    rendered = [report for run in job.runs.values() for report in run.reports.values()]
    return JobReport(
        title=manifest.rstrip("/").rsplit("/", 1)[-1],
        manifest=manifest,
        output=without_secrets(job.parameters.output),
        started=datetime.fromtimestamp(job.began, UTC),
        finished=datetime.fromtimestamp(now, UTC),
        wall_seconds=now - job.began,
        start_up_seconds=(job.first_frame_at or now) - job.began,
        render_seconds=sum(report.seconds or 0.0 for report in rendered),
        versions={"nightreel": version("nightreel"), "torch": version("torch"), "ffmpeg": ffmpeg_version()},
        videos=tuple(videos),
        problems=tuple(job.problems),
        actors=actors,
        gpus_per_actor=gpus_per_actor,
    )


def publish_report(output: Storage, report: JobReport, reports: Iterator[FrameReport]) -> str:
    """Put the page, its numbers as JSON and the table of frames; returns the page's URI. They tell of the latest run:
    replaced."""
    columns: dict[str, list[object]] = {name: [] for name in _FRAMES.names}
    for frame in reports:
        for name in _FRAMES.names:
            columns[name].append(getattr(frame, name))
    table = io.BytesIO()
    pq.write_table(pa.table(columns, schema=_FRAMES), table)
    output.put(FRAMES_TABLE, table.getvalue(), existing="replace")
    summary = json.dumps(summary_document(report), indent=1, ensure_ascii=False, allow_nan=False)
    output.put(SUMMARY, summary.encode(), existing="replace")
    output.put(REPORT_PAGE, render_html(report).encode(), existing="replace")
    return output.uri(REPORT_PAGE)


def frame_reports(job: RenderJob) -> Iterator[FrameReport]:
    """What is known of every frame of the job that lies in storage."""
    for run in job.runs.values():
        yield from _known_frames(job.output, run.work, run.reports)


def video_report(
    output: Storage, work: VideoWork, *, available: int, failures: tuple[FailureRecord, ...], reason: str = "",
    rendered: int = 0, reports: dict[int, FrameReport] | None = None, published: bool,
) -> VideoReport:  # fmt: skip
    """One video's report. `available` counts its frames in storage; `reports` are those of this very run."""
    row = work.plan.row
    known = sorted(_known_frames(output, work, reports or {}), key=lambda report: report.frame)
    state: State = (
        "done" if published and available == work.plan.frames else "failed" if failures or reason else "missing"
    )
    if state == "failed" and not reason:
        reason = failures[-1].message
    file = Encoding.of(row).file_type(row.frames)
    first = next((report for report in known if report.frame == 0), None)
    return VideoReport(
        video_id=work.video_id,
        prompt=format_prompts(row.scenes),
        model=row.model,
        settings=row.model_dump(mode="json", exclude={"video_id", "prompt", "prompts", "model"}, exclude_none=True),
        frames=work.plan.frames,
        done=available,
        state=state,
        reason="" if state == "done" else reason,
        poster=_poster(output, work, [report.frame for report in known]),
        video_href=f"../{work.video_id}/video.{file.extension}" if published else None,
        video_mime=file.mime_type if published else None,
        sheet_href=f"../{work.video_id}/{CONTACT_SHEET}" if published else None,
        frame_losses=tuple((report.frame, report.loss) for report in known),
        first_frame_losses=first.losses if first else (),
        frame_seconds=tuple((report.frame, report.seconds) for report in known if report.seconds is not None),
        segments=len(work.ranges),
        seams=_seams(work, known),
        failures=failures,
        fps=row.fps,
        width=row.width,
        height=row.height,
        rendered=rendered,
        skipped=available - rendered,
    )


def _seams(work: VideoWork, known: list[FrameReport]) -> tuple[tuple[int, float], ...]:
    """The score of every seam: a chain has none, and keyframes are seams."""
    changes = {report.frame: report.change for report in known if report.change is not None}
    seams = [frame.index for frame in work.frames if work.plan.handoff == "keyframes" and frame.level < 2]
    return tuple(seam_scores(changes, seams).items())


def _video_report(job: RenderJob, run: VideoRun) -> VideoReport:
    published = run.published is not None or run.work.published
    return video_report(
        job.output, run.work, available=len(run.available), failures=tuple(run.failures), reason=run.reason,
        rendered=run.rendered, reports=run.reports, published=published,
    )  # fmt: skip


def _refused_report(row: ManifestRow, reason: str) -> VideoReport:
    when = datetime.now(UTC).isoformat()
    return VideoReport(
        video_id=row.video_id, prompt=format_prompts(row.scenes), model=row.model, settings={}, frames=row.frames,
        done=0, state="failed", reason=reason, fps=row.fps, width=row.width, height=row.height,
        failures=(FailureRecord(row.video_id, None, 1, "planner", ErrorKind.BAD_INPUT, reason, 0.0, when),),
    )  # fmt: skip


def _known_frames(output: Storage, work: VideoWork, reports: dict[int, FrameReport]) -> Iterator[FrameReport]:
    """This run's reports, and for the other frames the records that lie beside the segments."""
    known, after = dict(reports), dict[int, float]()
    for piece in work.ranges:
        if all(index in reports for index in range(piece.start, piece.stop)):
            continue
        try:
            record = json.loads(output.read(piece.segment.removesuffix(".seg") + ".json"))
        except ObjectMissing:
            continue  # the range was never finished
        for frame in record["frames"]:
            known.setdefault(frame["frame"], FrameReport(**{**frame, "losses": tuple(frame["losses"])}))
        after[piece.stop] = record.get("change_after")
    for report in known.values():
        # a range that was encoded before the one before it could not know its first frame's change; that one does
        change = after.get(report.frame)
        yield replace(report, change=change) if report.change is None and change is not None else report


def _poster(output: Storage, work: VideoWork, frames: list[int]) -> bytes | None:
    """The middle one of the frames that are there, enlarged as the video is."""
    if not frames:
        return None
    index = frames[len(frames) // 2]
    try:
        data = output.read(frame_key(work.video_id, index, work.frames[index].digest))
        with Image.open(io.BytesIO(data)) as image:
            picture = image.convert("RGB")
    except (StorageError, *PICTURE_ERRORS):
        return None  # a report must not fail for want of a picture
    factor = work.plan.row.upscale
    picture = picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.LANCZOS)
    return poster(np.array(picture), POSTER_SIDE)
