"""What a re-run would render, said before it is asked for: frames chosen, those that come of them, those missing; and
the videos that branch off from these."""

from __future__ import annotations

from dataclasses import dataclass

from flows.job.continuations import continuing
from flows.planning.remaining import plan_video
from flows.planning.retakes import After, choose_frames, retake
from infra.storage.storage import Storage
from renderers.frame_plan.video_plan import VideoPlan
from renderers.registry import Registry

__all__ = ["RenderedAgain", "branches_again", "rendered_again"]


@dataclass(frozen=True)
class RenderedAgain:
    """The `frames` of a video that a re-run renders, and its `plan` then."""

    frames: frozenset[int]
    plan: VideoPlan


def rendered_again(plan: VideoPlan, states: str, frames: str, after: After, seed: int | None) -> RenderedAgain:
    """Return what a re-run of `frames` renders, by the re-run's own rule; with `until-same` the most that it may.
    `states` has a letter for each frame, as a grid has.

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
    return RenderedAgain(((every - present) | others | retaking.renewed) - retaking.skipped, retaking.plan)


def branches_again(output: Storage, plan: VideoPlan, registry: Registry, after: After) -> dict[str, int]:
    """Return how many frames are rendered of each video that branches off, directly or further on, when a video is as
    `plan` says; with `until-same` the most that may be.

    Raises:
        StorageError: the output can't be read.
    """
    work = plan_video(plan, (), (), published_content=None, chunk_seconds=1.0)  # only its frames' digests are looked at
    found = continuing(output, work, registry, keep=after == "keep", write=False, chunk_seconds=1.0)
    return {it.video_id: it.missing for it in found.works if it.missing}
