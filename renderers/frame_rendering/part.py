"""Rendering a part of a video, which is planned by renderers/frame_plan/part.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from renderers.frame_plan.frame_plan import FramePlan
from renderers.frame_plan.source import SourcePictures
from renderers.frame_plan.video_plan import VideoPlan
from renderers.frame_rendering.renderer import FrameRenderer, StepProgress
from renderers.frame_rendering.video import VideoFrame

__all__ = ["render_part"]


def render_part(
    renderer: FrameRenderer,
    plan: VideoPlan,
    plans: tuple[FramePlan, ...],
    images: Mapping[str, bytes],
    *,
    on_step: Callable[[FramePlan, StepProgress], None] | None = None,
    source: Callable[[FramePlan], SourcePictures | None] = lambda _: None,
) -> Iterator[VideoFrame]:
    """Render what `part_plans` gave, each frame when it is asked for; `on_step` hears of each step of each,
    and `source` gives what a frame is drawn over, where the plan says so.

    Raises what `FrameRenderer.render` raises.
    """
    state = None
    for frame in plans:
        heard = None if on_step is None else _bound(on_step, frame)
        before = None if frame.start is None else state
        rendered = renderer.render(plan, frame, before, images, on_step=heard, source=source(frame))
        state = rendered.frame.state
        yield VideoFrame(frame, rendered, plan.row.upscale, plan.row.tile)


def _bound(on_step: Callable[[FramePlan, StepProgress], None], frame: FramePlan) -> Callable[[StepProgress], None]:
    return lambda at: on_step(frame, at)
