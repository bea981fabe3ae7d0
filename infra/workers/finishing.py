"""Drawn frames as they are shown: what a row's `finish` asks for, on the worker that encodes."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain
from typing import cast

import numpy as np

from infra.video.between import between
from infra.video.finishing import Finishing
from infra.workers.tasks import ModelLacking, SegmentTask
from renderers.errors import ModelFilesBroken
from renderers.frame_plan.motion import Homography
from renderers.frame_plan.video_plan import VideoPlan
from renderers.registry import Registry

__all__ = ["finished"]

Pictures = Iterator[np.ndarray]
Others = Callable[[Sequence[tuple[int, str]]], Pictures]


def finished(
    own: Iterable[np.ndarray],
    others: Others,
    plan: VideoPlan,
    task: SegmentTask,
    registry: Registry,
    image: Callable[[str], bytes],
) -> Pictures:
    """Yield the pictures to encode for the frames of `task`: `own` are theirs, `others` those of frames beside them.
    All `(height, width, 3)` uint8. `image` gives the bytes of a picture that the row names, by its address.

    Raises what taking these and `image` raise, and
        BadInput: what is to be pasted is no picture.
        FfmpegError: frames between could not be made.
        ModelLacking: the upscaler is not here.
    """
    shown = _shown(own, others, plan, task, image)
    name = plan.row.finish.upscaler
    if name is None:
        yield from shown
        return
    from renderers.models.upscaler import load_upscaler  # torch, which the process that plans does not need

    try:
        upscaler = load_upscaler(registry, name, task.upscaler)
    except ModelFilesBroken as error:
        raise ModelLacking(str(error), socket.gethostname(), f"upscaler '{name}'") from error
    for picture in shown:
        yield upscaler.enlarge(picture, plan.row.upscale)


def _shown(
    own: Iterable[np.ndarray], others: Others, plan: VideoPlan, task: SegmentTask, image: Callable[[str], bytes]
) -> Pictures:
    """The pictures that are shown, at the size at which they were drawn."""
    row, finishing = plan.row, Finishing.of(plan.row)
    start, stop = task.frames[0].index, task.frames[-1].index + 1
    if not finishing.reach and finishing.ratio == 1 and finishing.pasted is None:
        yield from own
        return
    everything = chain(others(task.leading), own, others(task.trailing))
    numbered: Iterator[tuple[int, np.ndarray]] = enumerate(everything, start - len(task.leading))
    if finishing.pasted is not None:
        from renderers.frame_rendering.pasting import pasted  # torch, as below

        numbered = pasted(numbered, plan, image)
    if finishing.smooth:
        from renderers.frame_rendering.smoothing import smoothed  # torch, which the process that plans does not need

        def motion(number: int) -> Homography:
            return cast("Homography", plan.camera(number % row.frames or row.frames))

        numbered = smoothed(numbered, finishing.smooth, finishing.centre, motion)
    yield from between(numbered, finishing, start, stop, frames=row.frames, loop=row.loop)
