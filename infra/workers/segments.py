"""Encoding a range of frames: the segment and the record of its frames, put into storage."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from infra.storage.layout import record_key, segment_digest, segment_key
from infra.storage.storage import Existing, ObjectMissing, Storage
from infra.video.arguments import encoder_settings
from infra.video.encoding import Encoding
from infra.video.finishing import Finishing
from infra.video.segments import encode_segment
from infra.workers.finishing import finished
from infra.workers.stored_frames import read_frame
from infra.workers.tasks import SCORES, FrameReport, SegmentReport, SegmentTask, scores_in
from renderers.frame_plan.frame_plan import FramePlan
from renderers.frame_plan.video_plan import VideoPlan
from renderers.registry import Registry

__all__ = ["put_segment"]

RecentPictures = Mapping[str, tuple[np.ndarray, FrameReport]]
"""pictures in memory, `(height, width, 3)` uint8, with what is known of them, by their frames' digests"""


def put_segment(
    output: Storage,
    plan: VideoPlan,
    task: SegmentTask,
    recent: RecentPictures,
    registry: Registry,
    image: Callable[[str], bytes],
) -> SegmentReport:
    """Encode a range of the video of `plan` and put it under its digest, with a record of its frames beside it.

    Frames are read from storage unless they are among the `recent`; nets that enlarge them are those of `registry`.
    `image` gives the bytes of a picture that is pasted into them, by its address, one of the task's.

    Raises what `image` raises, and
        FrameCorrupt, ObjectMissing: a frame can't be read back.
        ModelLacking: the net that enlarges them is not here.
        VideoError: ffmpeg failed.
    """
    began = time.perf_counter()
    row, frames = task.row, task.frames
    encoding, finishing = Encoding.of(row), Finishing.of(row)
    pictures = _Pictures(output, plan, task, recent)
    data = encode_segment(finished(pictures, pictures.others, plan, task, registry, image), encoding)
    start, stop = frames[0].index, frames[-1].index + 1
    around = [[digest for _, digest in it] for it in (task.leading, task.trailing)]
    settings = encoder_settings(encoding) | finishing.settings(task.upscaler)
    digest = segment_digest(settings, [frame.digest for frame in frames], around)
    record = {
        "video_id": row.video_id,
        "start": start,
        "stop": stop,
        "frames": [_document(report) for report in pictures.reports],
        "change_after": pictures.change_after,
    }
    # the record first: a segment in storage means that the range is finished.
    existing: Existing = "replace" if task.replace else "keep"
    output.put(record_key(row.video_id, start, stop, digest), json.dumps(record).encode(), existing=existing)
    key = segment_key(row.video_id, start, stop, digest)
    output.put(key, data, existing=existing)
    seconds = time.perf_counter() - began
    return SegmentReport(key, len(data), tuple(pictures.reports), seconds, pictures.change_after)


class _Pictures:
    """The pictures of a range, one by one; `reports` and `change_after` are whole once all have been taken."""

    def __init__(self, output: Storage, plan: VideoPlan, task: SegmentTask, recent: RecentPictures) -> None:
        self._output, self._plan, self._task, self._recent = output, plan, task, recent
        self._known = {report.frame: report for report in task.reports}
        self.reports: list[FrameReport] = []
        self.change_after: float | None = None

    def __iter__(self) -> Iterator[np.ndarray]:
        from renderers.frame_rendering.warp import frame_change  # torch, which the process that plans does not need

        frames, plan = self._task.frames, self._plan
        before = self._neighbour(frames[0].index - 1, self._task.before)
        for frame in frames:
            picture, report = self._one(frame)
            report = self._known.get(frame.index, report)
            if before is not None:
                report = replace(report, change=frame_change(before, picture, plan.camera(frame.index)))
            if report.luma is None:  # of a frame that an earlier release rendered
                report = replace(report, luma=_luma(picture))
            self.reports.append(report)
            before = picture
            yield picture
        following = plan.following(frames[-1].index)
        after = None if following is None else self._neighbour(following, self._task.after)
        if before is not None and after is not None:
            self.change_after = frame_change(before, after, plan.camera(frames[-1].index + 1))

    def others(self, frames: Sequence[tuple[int, str]]) -> Iterator[np.ndarray]:
        """Yield the pictures of frames beside the range, by number and digest.

        Raises:
            FrameCorrupt, ObjectMissing: one can't be read back.
        """
        for index, digest in frames:
            kept = self._recent.get(digest)
            yield (
                kept[0]
                if kept is not None
                else read_frame(self._output, self._task.row.video_id, index, digest).picture
            )

    def _one(self, frame: FramePlan) -> tuple[np.ndarray, FrameReport]:
        kept = self._recent.get(frame.digest)
        if kept is not None:
            return kept
        video_id = self._task.row.video_id
        stored = read_frame(self._output, video_id, frame.index, frame.digest)
        return stored.picture, _report_of(video_id, frame, stored.provenance)

    def _neighbour(self, index: int, digest: str) -> np.ndarray | None:
        """The picture of a frame beside the range, if it can be had: nothing but a figure of the report needs it."""
        from renderers.errors import FrameCorrupt

        with suppress(FrameCorrupt, ObjectMissing):
            if digest:
                return read_frame(self._output, self._task.row.video_id, index, digest).picture
        return None


def _luma(picture: np.ndarray) -> float:
    """The mean luma of `picture` `(h, w, 3)` uint8, 0 to 255."""
    red, green, blue = picture.reshape(-1, 3).mean(axis=0)
    return round(float(0.299 * red + 0.587 * green + 0.114 * blue), 3)


def _document(report: FrameReport) -> dict[str, Any]:
    """A frame's part of the record; what nobody has measured is not in it, as in those of earlier versions."""
    measured = {*SCORES}
    return {name: it for name, it in asdict(report).items() if it is not None or name not in measured}


def _report_of(video_id: str, frame: FramePlan, provenance: Mapping[str, Any]) -> FrameReport:
    """What a frame of an earlier run says about itself."""
    return FrameReport(video_id, frame.index, provenance["loss"], tuple(provenance["losses"]), frame.steps,
                       **scores_in(provenance, frame))  # fmt: skip
