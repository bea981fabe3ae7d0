"""The worker: renders frames one after another and commits each, on other threads than the one that renders.

This is what a Ray actor holds, and what `LocalPool` runs in a thread; it knows neither. Keys travel, pixels stay: a
task names what to render, a report says what lies in storage afterwards. The order is the caller's: a frame is
committed after the one that it starts from, never before.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from infra import metrics
from infra.storage.layout import frame_key
from infra.storage.storage import (
    Existing,
    ObjectMissing,
    ReadingPolicy,
    SourceReader,
    Storage,
    StorageBusy,
    StorageUnavailable,
)
from infra.workers.recent_frames import RecentFrames, Uncommitted
from infra.workers.renderers import LoadedModels, Renderer, RendererSource, entry_here
from infra.workers.row_pictures import read_picture
from infra.workers.segments import put_segment
from infra.workers.source_frames import SourceFrames
from infra.workers.stored_frames import read_frame
from infra.workers.tasks import (
    FrameGone,
    FrameReport,
    FrameTask,
    ModelLacking,
    SegmentReport,
    SegmentTask,
    StorageLacking,
    WorkerProgress,
    scores_in,
)
from manifests.schema import ManifestRow
from renderers.errors import FrameCorrupt, ModelFilesBroken
from renderers.frame_plan.frame_plan import FramePlan
from renderers.frame_plan.parallax import asked_depth
from renderers.frame_plan.video_plan import VideoPlan
from renderers.registry import Registry, depth_digest

if TYPE_CHECKING:  # torch is imported by the process that renders, not by the one that plans
    from renderers.frame_rendering.renderer import FrameRequest, StepProgress
    from renderers.frame_rendering.state import FrameState

__all__ = ["Worker"]

# Pictures that rows name, kept in memory: so many, and so many bytes and one more.
IMAGES, IMAGE_BYTES = 16, 128 << 20


class Worker:
    """Holds models and renders. One thread renders; all else may be called from others meanwhile."""

    # see `PoolWorker`; a worker in this process neither goes nor dies alone
    retiring = False
    lost = False

    def __init__(
        self, output: Storage, renderers: RendererSource | None = None, *, registry: Registry | None = None,
        reading: ReadingPolicy | None = None, gpus: float = 0.0,
    ) -> None:  # fmt: skip
        """`renderers` gives the renderer of each frame's model; unset, models are loaded as `LoadedModels` does by
        default. Without a `registry` there are only the package's own models. `reading` says what rows may name, `gpus`
        what share of a GPU is this worker's, for the count of how busy GPUs are."""
        self.output, self.registry = output, registry or Registry()
        self.host = socket.gethostname()
        self.name = f"{self.host}:{os.getpid()}"
        self._renderers = renderers or LoadedModels(self.registry)
        self._sources, self._gpus = SourceReader(reading), gpus
        self._images: dict[tuple[str, str], bytes] = {}
        self._recent, self._films = RecentFrames(), SourceFrames(output)
        self._progress = WorkerProgress(self.name)
        self._committing = 0
        self._loading = self._usable = False
        self._lock = threading.Lock()
        self._stopping = threading.Event()

    def warm(self, model: str) -> str:
        """Load `model` now, so that the first frame does not wait for it. Returns this worker's name."""
        self._loading = True
        try:
            self._renderer_of(model)
        finally:
            self._loading = False
        return self.name

    def stop(self) -> None:
        """Stop the frame in progress between two steps; whatever is called next raises Stopped too."""
        self._stopping.set()

    def progress(self) -> WorkerProgress:
        """Return what is being rendered right now. A commit that hangs is work that does not get on."""
        return replace(self._progress, busy=self._progress.busy or self._committing > 0, loading=self._loading)

    def render_frame(self, task: FrameTask) -> FrameReport:
        """Render one frame and commit it with one put.

        Raises what the renderer and the storage raise.
        """
        (failed,) = self.render_frames([task])
        if failed is not None:
            raise failed
        return self.commit(task)

    def render_frames(self, tasks: Sequence[FrameTask]) -> list[Exception | None]:
        """Render frames, none of which needs another, for `commit`; gives for each what `FrameRenderer.render` would
        raise, or None. Those of one model go through its networks together, where that is of use."""
        failed: dict[int, Exception | None] = {}
        for model in dict.fromkeys(task.row.model for task in tasks):
            numbers = [number for number, task in enumerate(tasks) if task.row.model == model]
            failed.update(zip(numbers, self._render([tasks[number] for number in numbers]), strict=True))
        return [failed[number] for number in range(len(tasks))]

    def commit(self, task: FrameTask) -> FrameReport:
        """Commit a frame that was rendered here with one put; the next may be rendered meanwhile.

        Raises what the storage raises, and
            FrameGone: it is not here, or it began from a frame in whose place another was put since.
        """
        try:
            return self._commit(task)
        except StorageUnavailable:
            self._usable = False  # the next frame looks first
            raise

    def _commit(self, task: FrameTask) -> FrameReport:
        began = time.perf_counter()
        row, frame = task.row, task.frame
        with self._lock:
            self._committing += 1
        try:
            mine = self._recent.uncommitted(row.video_id, frame.digest)
            if mine is None or self._recent.outdated(row.video_id, frame.start_digest, mine.start):
                what = "is not here any more" if mine is None else "began from one that somebody else rendered, too"
                raise FrameGone(f"frame {frame.index} of video '{row.video_id}' {what}: it is rendered again")
            rendered, made = mine.rendered, mine.rendered.frame
            key = frame_key(row.video_id, frame.index, frame.digest)
            existing: Existing = "replace" if task.replace else "keep"
            putting = time.perf_counter()
            outcome = self.output.put(key, made.to_bytes(), existing=existing)
            metrics.observe(metrics.PUT_SECONDS, time.perf_counter() - putting)
            if outcome == "kept":
                # somebody else committed this frame first: theirs is the one that the chain goes on from.
                theirs = read_frame(self.output, row.video_id, frame.index, frame.digest)
                if theirs.state.to_bytes() != made.state.to_bytes():
                    self._recent.replaced(row.video_id, frame.digest, theirs.state)
                made = theirs
            every = max(1, len(rendered.losses) // 200)
            report = FrameReport(
                row.video_id, frame.index, rendered.losses[-1], rendered.losses[::every], frame.steps,
                rendered.seconds, mine.seconds + time.perf_counter() - began, self.name,
                **scores_in(made.provenance, frame),
            )  # fmt: skip
            self._recent.committed(row.video_id, frame.digest, made.picture, report)
            return report
        finally:
            with self._lock:
                self._committing -= 1

    def encode_segment(self, task: SegmentTask) -> SegmentReport:
        """See `put_segment`: encode a range whose frames are in storage, and put it."""
        self._check_output()
        report = put_segment(
            self.output, self._plan(task.row), task, self._recent.pictures(task.row.video_id), self.registry,
            lambda uri: self._image(task.row.video_id, uri, task.pasted[uri]),
        )  # fmt: skip
        metrics.observe(metrics.ENCODE_SECONDS, report.seconds)
        return report

    # -- inside --------------------------------------------------------------------------------------------------

    def _render(self, tasks: Sequence[FrameTask]) -> list[Exception | None]:
        """Render frames of one model together."""
        row, frame = tasks[0].row, tasks[0].frame
        # loading a model, reading the frame that it starts from: step 0
        self._progress = WorkerProgress(self.name, row.video_id, frame.index, 0, frame.steps, busy=True)
        began = time.perf_counter()
        try:
            failed: dict[int, Exception | None] = {}
            requests: dict[int, FrameRequest] = {}
            for number, task in enumerate(tasks):
                try:
                    self._check_output()
                    renderer = self._renderer_of(task.row.model)
                    requests[number] = self._request(task)
                except Exception as error:
                    failed[number] = error
            if requests:
                results = renderer.render_together(list(requests.values()))
                share = (time.perf_counter() - began) / len(requests)
                for (number, request), done in zip(requests.items(), results, strict=True):
                    failed[number] = done if isinstance(done, Exception) else None
                    if not isinstance(done, Exception):
                        metrics.observe(metrics.STEP_SECONDS, done.seconds / tasks[number].frame.steps)
                        task = tasks[number]
                        uncommitted = Uncommitted(done, request.start_state, share)
                        self._recent.rendered(task.row.video_id, task.frame.digest, uncommitted)
            return [failed[number] for number in range(len(tasks))]
        finally:
            self._progress = replace(self._progress, busy=False)
            busy = time.perf_counter() - began
            metrics.count(metrics.WORKER_BUSY, busy)
            metrics.count(metrics.GPU_BUSY, busy * self._gpus)

    def _check_output(self) -> None:
        """Find out before the first frame, and after one that could not be put, whether any can be: rendering takes
        minutes.

        Raises:
            StorageLacking: not from this machine.
        """
        if self._usable:
            return
        try:
            self.output.check()
        except StorageBusy:
            return  # that is no fault of this machine's, and passes
        except StorageUnavailable as error:
            raise StorageLacking(str(error), self.host, f"access to '{self.output.root}'") from error
        self._usable = True

    def _renderer_of(self, model: str) -> Renderer:
        """The renderer of a model. Raises ModelLacking, and what `RendererSource` raises otherwise."""
        try:
            return self._renderers(model)
        except StorageBusy:
            raise
        except (ModelFilesBroken, StorageUnavailable) as error:
            raise ModelLacking(str(error), self.host, f"model '{model}'") from error

    def _request(self, task: FrameTask) -> FrameRequest:
        """What the renderer is asked for."""
        from renderers.frame_rendering.renderer import FrameRequest

        row, frame = task.row, task.frame
        self._check_model(task)

        def on_step(step: StepProgress) -> None:
            rate = step.step / step.seconds if step.seconds else 0.0
            self._progress = WorkerProgress(
                self.name, row.video_id, frame.index, step.step, step.steps, step.loss, rate, busy=True
            )

        return FrameRequest(
            self._plan(row, task.images), frame, self._start_state(row.video_id, frame),
            {uri: self._image(row.video_id, uri, sha) for uri, sha in task.images.items()},
            self._state(row.video_id, frame.target_frame, frame.target_digest),
            task.cutouts_at_once, task.reseeded, on_step, self._stopping.is_set,
            self._films.of(row.video_id, frame),
        )  # fmt: skip

    def _check_model(self, task: FrameTask) -> None:
        """A frame's name in storage vouches for the model that drew it: never for another one of that model's name."""
        model, folder = task.row.model, self.registry.folder
        if (depth := asked_depth(task.frame.motion)) and depth != depth_digest(entry_here(self.registry, model)):
            raise ModelLacking(
                f"the models folder '{folder}' has another depth model in '{model}' than the one that the job was "
                f"planned with ({depth[:16]}): have all machines share the folder, or publish the model again",
                self.host,
                f"the depth model of '{model}'",
            )
        if task.model_digest and (here := entry_here(self.registry, model).digest) != task.model_digest:
            raise ModelLacking(
                f"the models folder '{folder}' has another model '{model}' ({here[:16]}) than the one "
                f"that the job was planned with ({task.model_digest[:16]}): have all machines share the folder, or "
                f"remove the model there where NIGHTREEL_MODELS_SOURCE has it",
                self.host,
                f"this model '{model}'",
            )

    def _plan(self, row: ManifestRow, images: Mapping[str, str] | None = None) -> VideoPlan:
        return VideoPlan.of(row, images, entry=entry_here(self.registry, row.model))

    def _image(self, video_id: str, uri: str, sha256: str) -> bytes:
        """The bytes of a picture that a row names; see `read_picture`."""
        which = (video_id, sha256)
        data = self._images.get(which)
        if data is None:
            data = read_picture(self.output, video_id, uri, sha256, self._sources)
            with self._lock:  # frames are encoded by other threads than they are rendered by
                if len(self._images) >= IMAGES or sum(map(len, self._images.values())) > IMAGE_BYTES:
                    self._images.clear()
                self._images[which] = data
        return data

    def _start_state(self, video_id: str, frame: FramePlan) -> FrameState | None:
        """The state of the frame that `frame` starts from, be it of its video or of one that this continues."""
        if frame.parent is None:
            return self._state(video_id, frame.start, frame.start_digest)
        parent = frame.parent
        try:
            return self._state(parent.video_id, parent.frame, frame.start_digest)
        except (FrameCorrupt, ObjectMissing) as error:  # of another video: it is not this one's to put in its place
            what = "damaged" if isinstance(error, FrameCorrupt) else "not there"
            raise type(error)(
                f"video '{video_id}' continues a frame that is {what}: {error}. Put it anew: nightreel rerun "
                f"{self.output.root} --video {parent.video_id} --frames {parent.frame}"
            ) from error

    def _state(self, video_id: str, index: int | None, digest: str | None) -> FrameState | None:
        """The state of a frame that another starts from or is drawn to; None where there is no such frame."""
        if index is None or not digest:
            return None
        state = self._recent.state(video_id, digest)
        if state is None:
            state = read_frame(self.output, video_id, index, digest).state
            self._recent.keep(video_id, digest, state)
        return state
