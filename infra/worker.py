"""The worker: renders frames one after another and commits each before the next, wherever it runs.

This is what a Ray actor holds, and what `LocalPool` runs in a thread; it knows neither. Keys travel, pixels stay: a
task names what to render, a report says what lies in storage afterwards.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from infra.ffmpeg import VideoFormat, encode_segment, encoder_settings
from infra.layout import frame_key, record_key, segment_digest, segment_key
from infra.storage import Existing, ObjectMissing, Storage, read_uri
from manifests.schema import ManifestRow
from renderers.errors import BadInput
from renderers.frame_plan import FramePlan
from renderers.plan import VideoPlan
from renderers.registry import model_entry, use_folder

if TYPE_CHECKING:  # torch is imported by the process that renders, not by the one that plans
    from renderers.frame_object import FrameObject
    from renderers.frame_renderer import FrameRenderer, StepProgress
    from renderers.frame_state import FrameState
    from renderers.hardware import Precision

__all__ = ["FrameReport", "FrameTask", "SegmentReport", "SegmentTask", "Worker", "WorkerProgress"]


@dataclass(frozen=True)
class FrameTask:
    """One frame to render. `row` is resolved; `images` maps the URIs that it names to the SHA-256 of their bytes;
    the rest is what earlier failures taught (see `FrameRenderer.render`)."""

    row: ManifestRow
    images: Mapping[str, str]
    frame: FramePlan
    cutouts_at_once: int | None = None
    reseeded: bool = False
    replace: bool = False
    """put it in the place of an object that is there and can't be read"""


@dataclass(frozen=True)
class FrameReport:
    """One frame that lies in storage now. `seconds` is pure render time, `total_seconds` with loading and commit;
    both are None for a frame that was rendered in an earlier run."""

    video_id: str
    frame: int
    loss: float
    losses: tuple[float, ...] = ()
    steps: int = 0
    seconds: float | None = None
    total_seconds: float | None = None
    worker: str = ""
    change: float | None = None
    """from the frame before, the camera's move undone (`renderers.camera.frame_change`); known once it is encoded"""


@dataclass(frozen=True)
class SegmentTask:
    """Frames `frames` of a video, all in storage, to encode; `reports` are those of the frames just rendered. `replace`
    says that some of them took the place of others, so that a segment that is there may show those. `before`
    and `after` are the digests of the frames beside these, where there are any."""

    row: ManifestRow
    frames: tuple[FramePlan, ...]
    reports: tuple[FrameReport, ...]
    replace: bool = False
    before: str = ""
    after: str = ""


@dataclass(frozen=True)
class SegmentReport:
    """A segment that lies in storage now, with what is known about its frames, and the `change` from its last frame to
    the one after it if that was there already."""

    key: str
    bytes: int
    frames: tuple[FrameReport, ...]
    seconds: float
    change_after: float | None = None


@dataclass(frozen=True)
class WorkerProgress:
    """What a worker is doing at this moment; not `busy`: what it did last."""

    worker: str
    video_id: str = ""
    frame: int = 0
    step: int = 0
    steps: int = 0
    loss: float = 0.0
    steps_per_second: float = 0.0
    busy: bool = False


@dataclass
class _Recent:
    """The range being rendered, in memory: its last state, its pictures for the segment. A cache, never the truth."""

    video_id: str = ""
    digest: str = ""
    state: Any = None
    pictures: dict[str, tuple[np.ndarray, FrameReport]] = field(default_factory=dict)
    bytes: int = 0


class Worker:
    """Holds models and renders. One thread renders; `progress` and `stop` may be called from others."""

    # Pictures kept for the segment; beyond it they are read back from storage.
    MEMORY = 512 * 2**20
    # see `PoolWorker`; a worker in this process neither goes nor dies alone
    retiring = False
    lost = False

    def __init__(
        self,
        output: Storage,
        *,
        device: str = "auto",
        threads: int = 1,
        precision: Precision = "auto",
        graphs: bool = True,
        models_folder: Path | None = None,
    ) -> None:
        """`device` to `graphs` are as for `load_models`. `models_folder` tells a process of its own where the models
        are; unset, whoever started this one has."""
        if models_folder is not None:
            use_folder(models_folder)
        self.output = output
        self._how: dict[str, Any] = {"device": device, "threads": threads, "precision": precision, "graphs": graphs}
        self.name = f"{socket.gethostname()}:{os.getpid()}"
        self._renderer: FrameRenderer | None = None
        self._images: dict[str, bytes] = {}
        self._recent = _Recent()
        self._ahead: tuple[str, FrameState] | None = None
        self._progress = WorkerProgress(self.name)
        self._stopping = threading.Event()

    def warm(self, model: str) -> str:
        """Load `model` now, so that the first frame does not wait for it. Returns this worker's name."""
        self._load(model)
        return self.name

    def stop(self) -> None:
        """Stop the frame in progress between two steps; whatever is called next raises Stopped too."""
        self._stopping.set()

    def progress(self) -> WorkerProgress:
        """What is being rendered right now."""
        return self._progress

    def render_frame(self, task: FrameTask) -> FrameReport:
        """Render one frame and commit it with one put.

        Raises what `FrameRenderer.render` and the storage raise.
        """
        row, frame = task.row, task.frame
        # loading a model, reading the parent: step 0
        self._progress = WorkerProgress(self.name, row.video_id, frame.index, 0, frame.all_steps, busy=True)
        try:
            return self._render_frame(task)
        finally:
            self._progress = replace(self._progress, busy=False)

    def _render_frame(self, task: FrameTask) -> FrameReport:
        began = time.perf_counter()
        row, frame = task.row, task.frame
        renderer = self._load(row.model)
        images = {uri: self._image(uri, sha) for uri, sha in task.images.items()}
        plan = VideoPlan.of(row, task.images)
        parent, ahead = self._parent_state(row.video_id, frame), self._state_ahead(row.video_id, frame)

        def on_step(step: StepProgress) -> None:
            rate = step.step / step.seconds if step.seconds else 0.0
            self._progress = WorkerProgress(
                self.name, row.video_id, frame.index, step.step, step.steps, step.loss, rate, busy=True
            )

        rendered = renderer.render(
            plan, frame, parent, images, towards=ahead, cutouts_at_once=task.cutouts_at_once, reseeded=task.reseeded,
            on_step=on_step, should_stop=self._stopping.is_set,
        )  # fmt: skip
        key = frame_key(row.video_id, frame.index, frame.digest)
        made = rendered.frame
        existing: Existing = "replace" if task.replace else "keep"
        if self.output.put(key, made.to_bytes(), existing=existing) == "kept":
            # somebody else committed this frame first: theirs is the one that the chain goes on from.
            made = self._read_frame(row.video_id, frame.index, frame.digest)
        every = max(1, len(rendered.losses) // 200)
        report = FrameReport(
            row.video_id, frame.index, rendered.losses[-1], rendered.losses[::every], frame.all_steps,
            rendered.seconds, time.perf_counter() - began, self.name,
        )  # fmt: skip
        self._remember(row.video_id, frame.digest, made, report)
        return report

    def encode_segment(self, task: SegmentTask) -> SegmentReport:
        """Encode a range and put it under its digest, with a record of its frames beside it.

        Raises:
            FrameCorrupt, ObjectMissing: a frame can't be read back.
            VideoError: ffmpeg failed.
        """
        from renderers.camera import frame_change

        began = time.perf_counter()
        row, frames, plan = task.row, task.frames, VideoPlan.of(task.row)
        known = {report.frame: report for report in task.reports}
        reports: list[FrameReport] = []

        change_after: float | None = None

        def pictures() -> Iterator[np.ndarray]:
            nonlocal change_after
            before = self._neighbour(row.video_id, frames[0].index - 1, task.before)
            for frame in frames:
                # equal videos of two names have equal digests, but reports of their own
                kept = self._recent.pictures.get(frame.digest) if self._recent.video_id == row.video_id else None
                if kept is not None:
                    picture, report = kept
                else:
                    stored = self._read_frame(row.video_id, frame.index, frame.digest)
                    picture, report = stored.picture, _report_of(row.video_id, frame, stored.provenance)
                report = known.get(frame.index, report)
                if before is not None:
                    report = replace(report, change=frame_change(before, picture, plan.camera(frame.index)))
                reports.append(report)
                before = picture
                yield picture
            after = self._neighbour(row.video_id, frames[-1].index + 1, task.after)
            if before is not None and after is not None:
                change_after = frame_change(before, after, plan.camera(frames[-1].index + 1))

        format: VideoFormat = row.format
        data = encode_segment(pictures(), format=format, fps=row.fps, upscale=row.upscale)
        start, stop = frames[0].index, frames[-1].index + 1
        encoder = encoder_settings(format, row.fps, row.upscale)
        digest = segment_digest(encoder, [frame.digest for frame in frames])
        record = {"video_id": row.video_id, "start": start, "stop": stop, "frames": [asdict(r) for r in reports],
                  "change_after": change_after}  # fmt: skip
        # the record first: a segment in storage means that the range is finished.
        existing: Existing = "replace" if task.replace else "keep"
        self.output.put(record_key(row.video_id, start, stop, digest), json.dumps(record).encode(), existing=existing)
        key = segment_key(row.video_id, start, stop, digest)
        self.output.put(key, data, existing=existing)
        self._recent.pictures.clear()
        self._recent.bytes = 0
        return SegmentReport(key, len(data), tuple(reports), time.perf_counter() - began, change_after)

    # -- inside --------------------------------------------------------------------------------------------------

    def _load(self, model: str) -> FrameRenderer:
        """The renderer of `model`; another model takes the place of the one before (both may not fit on a GPU)."""
        from renderers.frame_renderer import FrameRenderer
        from renderers.models import load_models

        entry = model_entry(model)
        # the whole entry: a model of that name may have been replaced since
        if self._renderer is None or self._renderer.models.entry != entry:
            self._renderer = None
            self._renderer = FrameRenderer(load_models(entry, **self._how))
        return self._renderer

    def _image(self, uri: str, sha256: str) -> bytes:
        """The bytes of a picture that a row names, which must be those that the plan saw."""
        if sha256 not in self._images:
            data = read_uri(uri)
            found = hashlib.sha256(data).hexdigest()
            if found != sha256:
                raise BadInput(f"'{uri}' changed since the job was planned: start the job again")
            if len(self._images) >= 16:
                self._images.clear()
            self._images[sha256] = data
        return self._images[sha256]

    def _parent_state(self, video_id: str, frame: FramePlan) -> Any:
        if frame.parent is None:
            return None
        if (self._recent.video_id, self._recent.digest) == (video_id, frame.parent):
            return self._recent.state
        assert frame.start is not None
        return self._read_frame(video_id, frame.start, frame.parent).state

    def _state_ahead(self, video_id: str, frame: FramePlan) -> FrameState | None:
        """The state of the keyframe that a frame is drawn to; all frames of a gap share it."""
        if frame.towards is None:
            return None
        if self._ahead is None or self._ahead[0] != frame.towards_digest:
            state = self._read_frame(video_id, frame.towards, frame.towards_digest).state
            self._ahead = frame.towards_digest, state
        return self._ahead[1]

    def _neighbour(self, video_id: str, index: int, digest: str) -> np.ndarray | None:
        """The picture of a frame beside a segment, if it can be had: nothing but a figure of the report needs it."""
        from renderers.errors import FrameCorrupt

        with suppress(FrameCorrupt, ObjectMissing):
            if digest:
                return self._read_frame(video_id, index, digest).picture
        return None

    def _read_frame(self, video_id: str, index: int, digest: str) -> FrameObject:
        from renderers.errors import FrameCorrupt
        from renderers.frame_object import FrameObject

        key = frame_key(video_id, index, digest)
        try:
            return FrameObject.from_bytes(self.output.read(key), digest)
        except FrameCorrupt as error:
            raise FrameCorrupt(f"{error} (frame {index} of video '{video_id}', object '{key}')", index) from error
        except ObjectMissing as error:
            raise ObjectMissing(f"frame {index} of video '{video_id}' is gone from storage: {error}") from error

    def _remember(self, video_id: str, digest: str, made: FrameObject, report: FrameReport) -> None:
        recent = self._recent
        if recent.video_id != video_id:
            recent.pictures.clear()
            recent.bytes = 0
        recent.video_id, recent.digest, recent.state = video_id, digest, made.state
        if recent.bytes + made.picture.nbytes <= self.MEMORY:
            recent.pictures[digest] = (made.picture, report)
            recent.bytes += made.picture.nbytes


def _report_of(video_id: str, frame: FramePlan, provenance: Mapping[str, Any]) -> FrameReport:
    """What a frame of an earlier run says about itself."""
    return FrameReport(video_id, frame.index, provenance["loss"], tuple(provenance["losses"]), frame.all_steps)
