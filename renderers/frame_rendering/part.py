"""Rendering a part of a video, which is planned by renderers/frame_plan/part.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from renderers.frame_plan.frame_plan import FramePlan
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
) -> Iterator[VideoFrame]:
    """Render what `part_plans` gave, each frame when it is asked for; `on_step` hears of each step of each.

    Raises what `FrameRenderer.render` raises.
    """
    state = None
    for frame in plans:
        heard = None if on_step is None else _bound(on_step, frame)
        rendered = renderer.render(plan, frame, state, images, on_step=heard)
        state = rendered.frame.state
        yield VideoFrame(frame, rendered, plan.row.upscale)


def _bound(on_step: Callable[[FramePlan, StepProgress], None], frame: FramePlan) -> Callable[[StepProgress], None]:
    return lambda at: on_step(frame, at)
