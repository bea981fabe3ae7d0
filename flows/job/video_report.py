"""One video's part of the report, from its work and what of it lies in storage; there is no other way to one."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress

import numpy as np
import pyarrow as pa
from PIL import Image

from flows.job.known_frames import series_of_scores
from flows.job.output_videos import StoredVideo, VideoState, video_state
from flows.job.row_warnings import prompt_warnings, sound_warnings
from flows.job.state import VideoSnapshot
from flows.job.stored_documents import DAMAGE, parse
from flows.planning.remaining import VideoWork
from flows.report.model import VideoReport
from flows.report.posters import BUDGET, fitted
from flows.report.review import NO_LIMITS, Limits, worst_frames
from flows.report.series import Series
from flows.retry_and_quarantine.records import PLANNER, FailureRecord
from flows.runs.wanted import Turn, Wanted
from infra.storage.layout import CONTACT_SHEET, frame_key
from infra.storage.storage import Storage, StorageError
from infra.video.contact_sheet import poster
from infra.video.encoding import FORMATS, Encoding
from infra.workers.tasks import FrameReport
from manifests.errors import ErrorKind
from manifests.masking import without_secrets
from manifests.schema import schedules
from renderers.frame_plan.documents import plan_document
from renderers.frame_rendering.chunks import MOST_BYTES as FRAME_BYTES
from renderers.frame_rendering.chunks import PROVENANCE, open_frame
from renderers.frame_rendering.seams import seam_scores
from renderers.pictures.errors import PICTURE_ERRORS

__all__ = ["FRAMES", "frames_table", "planned_report", "unplanned_report"]

POSTER_SIDE = 320
MOST_CANDIDATES = 64  # as many as a row may have
#: Within few bytes (the page of thousands of videos) it comes to this in any case.
SMALL_SIDE, FEW_BYTES = 160, 10 << 10

#: The columns of `report/frames.parquet`.
_COLUMNS: dict[str, pa.DataType] = {
    "video_id": pa.string(),
    "frame": pa.int32(),
    "loss": pa.float32(),
    "steps": pa.int32(),
    "seconds": pa.float32(),
    "worker": pa.string(),
    "change": pa.float32(),
    "luma": pa.float32(),
    "flicker": pa.float32(),
    "sharpness": pa.float32(),
    "likeness": pa.float32(),
    "fit": pa.float32(),
    "judge": pa.string(),
}
FRAMES = pa.schema(_COLUMNS)
#: Columns of the row that have places of their own in the report.
_SHOWN = {"video_id", "prompt", "prompts", "model", "axes"}


def frames_table(known: Iterable[FrameReport]) -> pa.Table:
    """Return frames as rows of `report/frames.parquet`: a tenth of the memory."""
    columns: dict[str, list[object]] = {name: [] for name in FRAMES.names}
    for report in known:
        for name in FRAMES.names:
            columns[name].append(getattr(report, name))
    return pa.table(columns, schema=FRAMES)


def planned_report(
    output: Storage, work: VideoWork, was: VideoSnapshot, known: list[FrameReport], turn: Turn | None,
    poster_bytes: int, limits: Limits = NO_LIMITS,
) -> VideoReport:  # fmt: skip
    """Return the report of a video that has a plan; `known` are its frames in storage, in order, `limits` what has it
    looked at by a person."""
    row, done = work.plan.row, len(was.available)
    state = video_state(work.plan.frames, was, turn)
    file_type = Encoding.of(row).file_type(row.frames)
    first = next((report for report in known if report.frame == 0), None)
    candidates, chosen = _candidates(output, work) if first and row.candidates > 1 else ((), 0)
    scores = series_of_scores(known)
    worst = worst_frames(scores, limits)
    return VideoReport(
        video_id=work.video_id,
        prompt=without_secrets(row.shown_prompts),
        model=row.model,
        settings={name: it for name, it in plan_document(work.plan, heard=False)["row"].items() if name not in _SHOWN},
        frames=work.plan.frames,
        done=done,
        state=state,
        reason=_reason(state, was),
        poster=_poster(output, work, [report.frame for report in known], poster_bytes),
        video_href=f"../{work.video_id}/video.{file_type.extension}" if was.published else None,
        video_mime=file_type.mime_type if was.published else None,
        sheet_href=f"../{work.video_id}/{CONTACT_SHEET}" if was.published else None,
        frame_losses=Series((report.frame, report.loss) for report in known),
        first_frame_losses=first.losses if first else (),
        frame_seconds=Series((report.frame, report.seconds) for report in known if report.seconds is not None),
        frame_lumas=Series((report.frame, report.luma) for report in known if report.luma is not None)
        if work.plan.renewals is not None
        else (),
        frame_scores=scores,
        judge=next((report.judge for report in reversed(known) if report.judge is not None), ""),
        flags=limits.flags(scores),
        worst=worst,
        frame_hrefs={it.frame: f"../{frame_key(work.video_id, it.frame, work.plan.digests[it.frame])}" for it in worst},
        candidates=candidates,
        chosen=chosen,
        segments=len(work.ranges),
        seams=_seams(work, known),
        failures=was.failures,
        fps=row.fps,
        width=row.width,
        height=row.height,
        rendered=was.rendered,
        skipped=max(0, done - was.rendered),
        notes=(*prompt_warnings(row, work.plan.entry), *sound_warnings(row)),
        schedules={name: it for name, it in schedules(row).items() if it.constant is None} if row.frames > 1 else {},
        axes=row.axes or (),
    )


def unplanned_report(stored: StoredVideo, wants: Wanted) -> VideoReport:
    """Return the report of a video without a plan of its own: refused, or not begun."""
    state = video_state(stored.frames, stored.was, wants.turns.get(stored.video_id))
    refused = wants.refused.get(stored.video_id)
    extension = stored.video.rpartition(".")[2] if stored.video else ""
    kinds = [kind for it in FORMATS.values() for kind in (it.file, it.sequence) if kind is not None]
    mime = {kind.extension: kind.mime_type for kind in kinds}
    failures = stored.was.failures
    if stored.was.reason and not failures:  # storage would not take its record
        failures = (FailureRecord(stored.video_id, None, 1, PLANNER, ErrorKind.BAD_INPUT, stored.was.reason, 0.0, ""),)
    return VideoReport(
        video_id=stored.video_id, prompt=refused.prompt if refused else "", model=refused.model if refused else "",
        settings={}, frames=stored.frames, done=0, state=state, reason=_reason(state, stored.was),
        width=refused.width if refused else 0, height=refused.height if refused else 0,
        video_href=f"../{stored.video}" if stored.video else None,
        video_mime=mime.get(extension), failures=failures,
    )  # fmt: skip


def _reason(state: VideoState, was: VideoSnapshot) -> str:
    if state == "failed":
        return was.reason or was.failures[-1].message
    return was.reason if state != "done" else ""


def _seams(work: VideoWork, known: list[FrameReport]) -> tuple[tuple[int, float], ...]:
    """Return the score of every seam: a chain has none, keyframes are seams, and so is the first frame of a loop, which
    comes again after the last."""
    changes = {report.frame: report.change for report in known if report.change is not None}
    places = work.plan.places() if work.plan.handoff == "keyframes" else ()
    seams = sorted(place.index for place in places if place.level < 2)
    if work.plan.row.loop:
        seams = [0, *(seam for seam in seams if seam)]
    return tuple(seam_scores(changes, seams).items())


def _candidates(output: Storage, work: VideoWork) -> tuple[tuple[float | None, ...], int]:
    """Return the scores of the starts of the first frame, and which was chosen, as its provenance says; none where it
    can't be read or says nothing of them."""
    key = frame_key(work.video_id, 0, work.frames[0].digest)
    with suppress(StorageError, *PICTURE_ERRORS, *DAMAGE), open_frame(output.read(key, most=FRAME_BYTES)) as image:
        said = parse(image.info[PROVENANCE].encode())["candidates"]
        scores = tuple(None if score is None else float(score) for score in said["scores"][:MOST_CANDIDATES])
        if 0 <= int(said["chosen"]) < len(scores):
            return scores, int(said["chosen"])
    return (), 0


def _poster(output: Storage, work: VideoWork, frames: list[int], poster_bytes: int = BUDGET) -> bytes | None:
    """Return the middle one of the frames that are there, enlarged as the video is."""
    if not frames:
        return None
    index = frames[len(frames) // 2]
    try:
        data = output.read(frame_key(work.video_id, index, work.plan.digests[index]), most=FRAME_BYTES)
        with open_frame(data) as image:
            picture = image.convert("RGB")
    except (StorageError, *PICTURE_ERRORS):
        return None  # a report must not fail for want of a picture
    # at once to the poster's size: enlarging all of a large frame first would be most of a report's time
    side = POSTER_SIDE if poster_bytes > FEW_BYTES else SMALL_SIDE
    factor = min(work.plan.row.upscale, side / max(picture.size))
    size = (max(1, round(picture.width * factor)), max(1, round(picture.height * factor)))
    picture = picture.resize(size, Image.Resampling.LANCZOS, reducing_gap=2.0)
    return fitted(poster(np.array(picture), POSTER_SIDE), poster_bytes)
