"""A whole video on one machine, without storage: its frames one by one, however they hand off to each other."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from PIL import Image, PngImagePlugin

from renderers.frame_plan.frame_plan import FramePlan
from renderers.frame_plan.source import SourcePictures
from renderers.frame_plan.video_plan import VideoPlan
from renderers.frame_rendering.renderer import FrameRenderer, RenderedFrame, StepProgress
from renderers.frame_rendering.state import FrameState
from renderers.pictures.enlarging import enlarged

__all__ = ["VideoFrame", "VideoProgress", "render_video"]


@dataclass(frozen=True)
class VideoProgress:
    """One step done: of frame number `frame`, when `frames_done` of the video's `frames` are finished; see
    StepProgress for the rest."""

    frame: int
    frames_done: int
    frames: int
    step: int
    steps: int
    loss: float
    seconds: float


@dataclass(frozen=True)
class VideoFrame:
    """A finished frame of a video, `upscale` times as large as it was rendered."""

    planned: FramePlan
    rendered: RenderedFrame
    upscale: int
    tile: str = "none"

    @property
    def index(self) -> int:
        """Its number in the video, from 0."""
        return self.planned.index

    @property
    def digest(self) -> str:
        """Its address: equal for equal frames, on whichever machine they are rendered."""
        return self.planned.digest

    @property
    def losses(self) -> tuple[float, ...]:
        """The loss at each of its steps."""
        return self.rendered.losses

    @property
    def loss(self) -> float:
        """The loss at its last step."""
        return self.rendered.losses[-1]

    @property
    def seconds(self) -> float:
        """The time that it took to render."""
        return self.rendered.seconds

    @cached_property
    def image(self) -> Image.Image:
        """Its picture."""
        picture = Image.fromarray(self.rendered.frame.picture)
        return picture if self.upscale == 1 else enlarged(picture, self.upscale, self.tile)

    def to_png(self) -> bytes:
        """Its picture as a PNG that says of itself how it was made, and can be gone on from."""
        data = self.rendered.frame.to_bytes()
        if self.upscale == 1:
            return data
        info = PngImagePlugin.PngInfo()
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            assert isinstance(image, PngImagePlugin.PngImageFile)
            for key, value in image.text.items():
                info.add_text(key, value, zip=True)
        target = io.BytesIO()
        self.image.save(target, format="PNG", pnginfo=info)
        return target.getvalue()


def render_video(
    renderer: FrameRenderer,
    plan: VideoPlan,
    images: Mapping[str, bytes],
    *,
    on_step: Callable[[VideoProgress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
    source: Callable[[FramePlan], SourcePictures | None] = lambda _: None,
) -> Iterator[VideoFrame]:
    """Render the frames of a video in their order, each when it is asked for. Those that it needs, such as the
    keyframes around it, are rendered before it and kept until their turn.

    `images` holds the bytes of every picture that the row names, by URI; `on_step` is called after steps, `should_stop`
    is asked between them. `source` gives what a frame is drawn over, where the plan says so.

    Raises what `FrameRenderer.render` raises, and
        ValueError: the plan has a retake that goes on from a take of a frame that only storage has.
    """
    return _Video(renderer, plan, images, on_step, should_stop, source).frames()


class _Video:
    """One video being rendered; keeps no more states and pictures than are still needed."""

    def __init__(
        self,
        renderer: FrameRenderer,
        plan: VideoPlan,
        images: Mapping[str, bytes],
        on_step: Callable[[VideoProgress], None] | None,
        should_stop: Callable[[], bool] | None,
        source: Callable[[FramePlan], SourcePictures | None],
    ) -> None:
        self._renderer, self._plan, self._images = renderer, plan, images
        self._on_step, self._should_stop, self._source = on_step, should_stop, source
        self._waiting: Counter[int] = Counter()  # how many frames still need one
        self._states: dict[int, FrameState] = {}
        self._finished: dict[int, VideoFrame] = {}
        self._done = 0

    def frames(self) -> Iterator[VideoFrame]:
        # of a still no other frame is planned, and nothing depends on it
        plans = self._plan.frame_plans if self._plan.frames > 1 else (next(self._plan.walk()),)
        self._waiting.update(need for plan in plans for need in plan.needs)
        for plan in plans:
            if plan.index not in self._finished:
                self._render(plan, plans)
            yield self._finished.pop(plan.index)

    def _render(self, frame: FramePlan, plans: Sequence[FramePlan]) -> None:
        """Render `frame`, after those that it needs."""
        for need in frame.needs:
            if need not in self._states:  # no state that a frame still waits for is dropped
                self._render(plans[need], plans)
        rendered = self._renderer.render(
            self._plan,
            frame,
            self._state(frame.start),
            self._images,
            target_state=self._state(frame.target_frame),
            on_step=self._report(frame),
            should_stop=self._should_stop,
            source=self._source(frame),
        )
        self._done += 1
        row, self._states[frame.index] = self._plan.row, rendered.frame.state
        self._finished[frame.index] = VideoFrame(frame, rendered, row.upscale, row.tile)
        self._waiting.subtract(frame.needs)
        for index in (frame.index, *frame.needs):
            if not self._waiting[index]:
                del self._states[index]

    def _state(self, index: int | None) -> FrameState | None:
        return None if index is None else self._states.get(index)

    def _report(self, frame: FramePlan) -> Callable[[StepProgress], None] | None:
        on_step, done, frames = self._on_step, self._done, self._plan.frames
        if on_step is None:
            return None
        return lambda at: on_step(VideoProgress(frame.index, done, frames, at.step, at.steps, at.loss, at.seconds))
