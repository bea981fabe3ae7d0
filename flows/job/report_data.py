"""From a job and its storage to a report: what the page, the artifacts and `report/frames.parquet` are drawn from."""

from __future__ import annotations

import io
import json
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from flows.failures.records import FailureRecord
from flows.job.job import RenderJob
from flows.job.state import VideoRun, VideoSnapshot
from flows.planning.remaining import RangeWork, VideoWork
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

__all__ = ["FRAMES_TABLE", "REPORT_PAGE", "SUMMARY", "GatheredReport", "gather_report", "publish_report"]

REPORT_PAGE = "report/index.html"
FRAMES_TABLE = "report/frames.parquet"
SUMMARY = "report/summary.json"
POSTER_SIDE = 320
# Reads wait on the network, not on the processor; videos are gathered side by side, and so are the records of one.
PARALLEL_VIDEOS = 8
PARALLEL_RECORDS = 16

_COLUMNS: dict[str, pa.DataType] = {
    "video_id": pa.string(),
    "frame": pa.int32(),
    "loss": pa.float32(),
    "steps": pa.int32(),
    "seconds": pa.float32(),
    "worker": pa.string(),
    "change": pa.float32(),
}
_FRAMES = pa.schema(_COLUMNS)


@dataclass(frozen=True)
class GatheredReport:
    """A job's report, and the table of all its frames that lie in storage."""

    report: JobReport
    frames: pa.Table


def gather_report(job: RenderJob, *, actors: int | None, gpus_per_actor: float = 0.0) -> GatheredReport:
    """Return the report of a job as it stands now, read back from storage where other runs did the work: every record
    and every poster once."""
    now, manifest = time.time(), without_secrets(job.parameters.manifest)
    with ThreadPoolExecutor(PARALLEL_RECORDS, thread_name_prefix="records") as records:

        def one(run: VideoRun) -> tuple[VideoReport, pa.Table]:
            was = run.snapshot()
            known = sorted(_known_frames(job.output, run.work, was.reports, records), key=lambda it: it.frame)
            # as a table, which takes a tenth of the memory: a job may have a million frames
            return _video_report(job.output, run.work, was, known), _frames_table(known)

        with ThreadPoolExecutor(PARALLEL_VIDEOS, thread_name_prefix="report") as threads:
            gathered = list(threads.map(one, job.runs.values()))
    videos = [report for report, _ in gathered]
    videos += [_refused_report(row, reason) for row, reason in job.refused]
    rendered = [report for run in job.runs.values() for report in run.reports.values()]
    report = JobReport(
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
        problems=job.problems,
        actors=actors,
        gpus_per_actor=gpus_per_actor,
    )
    return GatheredReport(report, pa.concat_tables([_FRAMES.empty_table(), *(table for _, table in gathered)]))


def publish_report(output: Storage, gathered: GatheredReport) -> str:
    """Put the page, its numbers as JSON and the table of frames; return the page's URI. They are of the latest run:
    replaced."""
    table = io.BytesIO()
    pq.write_table(gathered.frames, table)
    output.put(FRAMES_TABLE, table.getvalue(), existing="replace")
    summary = json.dumps(summary_document(gathered.report), indent=1, ensure_ascii=False, allow_nan=False)
    output.put(SUMMARY, summary.encode(), existing="replace")
    output.put(REPORT_PAGE, render_html(gathered.report).encode(), existing="replace")
    return output.uri(REPORT_PAGE)


def _frames_table(known: Iterable[FrameReport]) -> pa.Table:
    columns: dict[str, list[object]] = {name: [] for name in _FRAMES.names}
    for report in known:
        for name in _FRAMES.names:
            columns[name].append(getattr(report, name))
    return pa.table(columns, schema=_FRAMES)


def _video_report(output: Storage, work: VideoWork, was: VideoSnapshot, known: list[FrameReport]) -> VideoReport:
    """Return one video's report; `known` are its frames in storage, in order."""
    row, done, reason = work.plan.row, len(was.available), was.reason
    state: State = (
        "done" if was.published and done == work.plan.frames else "failed" if was.failures or reason else "missing"
    )
    if state == "failed" and not reason:
        reason = was.failures[-1].message
    file_type = Encoding.of(row).file_type(row.frames)
    first = next((report for report in known if report.frame == 0), None)
    return VideoReport(
        video_id=work.video_id,
        prompt=format_prompts(row.scenes),
        model=row.model,
        settings=row.model_dump(mode="json", exclude={"video_id", "prompt", "prompts", "model"}, exclude_none=True),
        frames=work.plan.frames,
        done=done,
        state=state,
        reason="" if state == "done" else reason,
        poster=_poster(output, work, [report.frame for report in known]),
        video_href=f"../{work.video_id}/video.{file_type.extension}" if was.published else None,
        video_mime=file_type.mime_type if was.published else None,
        sheet_href=f"../{work.video_id}/{CONTACT_SHEET}" if was.published else None,
        frame_losses=tuple((report.frame, report.loss) for report in known),
        first_frame_losses=first.losses if first else (),
        frame_seconds=tuple((report.frame, report.seconds) for report in known if report.seconds is not None),
        segments=len(work.ranges),
        seams=_seams(work, known),
        failures=was.failures,
        fps=row.fps,
        width=row.width,
        height=row.height,
        rendered=was.rendered,
        skipped=done - was.rendered,
    )


def _seams(work: VideoWork, known: list[FrameReport]) -> tuple[tuple[int, float], ...]:
    """Return the score of every seam: a chain has none, and keyframes are seams."""
    changes = {report.frame: report.change for report in known if report.change is not None}
    seams = [frame.index for frame in work.frames if work.plan.handoff == "keyframes" and frame.level < 2]
    return tuple(seam_scores(changes, seams).items())


def _refused_report(row: ManifestRow, reason: str) -> VideoReport:
    when = datetime.now(UTC).isoformat()
    return VideoReport(
        video_id=row.video_id, prompt=format_prompts(row.scenes), model=row.model, settings={}, frames=row.frames,
        done=0, state="failed", reason=reason, fps=row.fps, width=row.width, height=row.height,
        failures=(FailureRecord(row.video_id, None, 1, "planner", ErrorKind.BAD_INPUT, reason, 0.0, when),),
    )  # fmt: skip


def _known_frames(
    output: Storage, work: VideoWork, reports: dict[int, FrameReport], threads: ThreadPoolExecutor
) -> Iterator[FrameReport]:
    """Yield this run's reports, and for the other frames those in the records that lie beside the segments."""
    known, after = dict(reports), dict[int, float]()
    others = [it for it in work.ranges if not all(index in reports for index in range(it.start, it.stop))]

    def read(frame_range: RangeWork) -> bytes | None:
        try:
            return output.read(frame_range.segment.removesuffix(".seg") + ".json")
        except ObjectMissing:
            return None  # the range was never finished

    for frame_range, data in zip(others, threads.map(read, others), strict=True):
        if data is None:
            continue
        record = json.loads(data)
        for frame in record["frames"]:
            known.setdefault(frame["frame"], FrameReport(**{**frame, "losses": tuple(frame["losses"])}))
        after[frame_range.stop] = record.get("change_after")
    for report in known.values():
        # a range that was encoded before the one before it could not know its first frame's change; that one does
        change = after.get(report.frame)
        yield replace(report, change=change) if report.change is None and change is not None else report


def _poster(output: Storage, work: VideoWork, frames: list[int]) -> bytes | None:
    """Return the middle one of the frames that are there, enlarged as the video is."""
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
