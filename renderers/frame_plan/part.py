"""A part of a video, small and in few steps, for whoever tries a row out: not the frames that a render makes, but those
that it makes of the same row, smaller, begun in its middle."""

from __future__ import annotations

import dataclasses
import math
from itertools import islice

from manifests.schema import ManifestRow
from renderers.errors import BadInput
from renderers.frame_plan.frame_plan import FramePlan
from renderers.frame_plan.handoff import Place
from renderers.frame_plan.motion import STILL
from renderers.frame_plan.source import SourceFrame
from renderers.frame_plan.video_plan import VideoPlan
from renderers.frame_plan.weights import without_a_start

__all__ = ["check_part", "part_plans", "smaller"]

LEAST_SIDE = 16  # pixels, of any frame


def smaller(row: ManifestRow, unit: int, *, scale: float, steps: float) -> ManifestRow:
    """A resolved `row` at the share `scale` of its width and height, in whole `unit`s of its model, with the share
    `steps` of its steps, one at least; its frames follow each other as a chain, as a part of them has no keyframes,
    those of a loop lead back nowhere, and it continues no other video, of which a mask could keep parts."""
    least = math.ceil(LEAST_SIDE / unit)
    sides = {side: max(least, round(getattr(row, side) * scale / unit)) * unit for side in ("width", "height")}
    counts = {name: max(1, round(getattr(row, name) * steps)) for name in ("steps", "steps_first")}
    unmasked = {"mask": None, "mask_moves": False} if row.mask is not None and row.continues is not None else {}
    alone = {"handoff": "chain", "loop": False, "continues": None, **unmasked}
    return row.model_copy(update={**sides, **counts, **alone})


def check_part(plan: VideoPlan, frames: range) -> None:
    """Raise BadInput unless the video has all of `frames`, and there are some."""
    if not 0 <= frames.start < frames.stop <= plan.frames:
        raise BadInput(
            f"frames {frames.start}-{frames.stop - 1} of video '{plan.video_id}': it has the frames 0-{plan.frames - 1}"
        )


def part_plans(plan: VideoPlan, frames: range, scale: float = 1.0) -> tuple[FramePlan, ...]:
    """The plans of `frames` of a chain, the first of which starts cold, as the video does; pictures are moved as far as
    those are that are `scale` times as large as these.

    Raises:
        BadInput: the video has not all of them, or a setting has no value at one.
    """
    check_part(plan, frames)
    if scale != plan.drawn_at:
        plan = dataclasses.replace(plan, drawn_at=scale)
    plans = list(islice(plan.walk(), frames.start, frames.stop))
    source = plans[0].source
    plans[0] = dataclasses.replace(
        plans[0],
        place=Place(frames.start, None),
        start_digest=None,
        needs=(),
        motion=STILL,
        renewal=None,
        holds=without_a_start(plans[0].holds),
        source=source and SourceFrame(source.now, holds=source.holds),
        steps=plan.row.steps_first if plan.handoff == "chain" else plans[0].steps,
    )
    return tuple(plans)
