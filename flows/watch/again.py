"""What a re-run would render, said before it is asked for: frames chosen, those that come of them, those missing."""

from __future__ import annotations

from flows.planning.retakes import After, choose_frames, retake
from renderers.frame_plan.video_plan import VideoPlan

__all__ = ["rendered_again"]


def rendered_again(plan: VideoPlan, states: str, frames: str, after: After, seed: int | None) -> frozenset[int]:
    """Return the frames that a re-run of `frames` renders, by the re-run's own rule; with `until-same` the most that it
    may. `states` has a letter for each frame, as a grid has.

    Raises:
        BadInput: the video has no such frames, or `after` does not fit it.
    """
    every = frozenset(range(plan.frames))
    present = frozenset(frame for frame, letter in enumerate(states) if letter == "d")
    failed = [frame for frame, letter in enumerate(states) if letter == "f"]
    chosen = choose_frames(frames, plan.frames, missing=every - present, failed=failed)
    retaking = retake(plan, chosen, present, after=after, seed=seed)
    pairs = enumerate(zip(plan.digests, retaking.plan.digests, strict=True))
    others = {frame for frame, (before, now) in pairs if before != now}
    return ((every - present) | others | retaking.renewed) - retaking.skipped
