"""What re-runs that go on at the same time leave open, looked at when one of them has come to its end.

Two of them may take a video anew: one that takes frames of it again, and one of the video that it continues. Each has
planned it as it stood when that began, and the one that ends last has put its own over the other's. What counts is what
the next render would make of it: the frame that it continues as that is now, and all decisions about its own frames.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from flows.job.continuations import continuing
from flows.job.state import VideoRun
from flows.job.storage_state import (
    StoredPlan,
    VideoListing,
    list_video,
    planned_after,
    read_plan,
    read_retakes,
    save_plan,
)
from flows.planning.remaining import VideoWork, plan_video
from infra.storage.layout import continuations, frames_present
from infra.storage.storage import Storage
from renderers.frame_plan.video_plan import VideoPlan
from renderers.registry import Registry

__all__ = ["left_open"]


def left_open(
    output: Storage,
    video_id: str,
    runs: Mapping[str, VideoRun],
    registry: Registry,
    *,
    keep: bool,
    chunk_seconds: float,
) -> tuple[VideoWork, ...]:
    """What is to encode and stitch for the video that was re-run and for those of `runs` that continue it; nothing
    unless all of these are published. What has frames missing is somebody else's, who is at it still. With `keep` those
    that continue it are left alone. Plans that don't say what is shown are put right.

    Raises:
        StorageError: the output can't be used.
        RenderError, DocumentDamaged: what lies there can't be read.
    """
    if not all(run.snapshot().published for run in runs.values()):
        return ()
    listing, mine = list_video(output, video_id), runs[video_id].work.plan
    alone = mine.parent is None and not continuations(listing.objects, video_id)
    if alone and read_retakes(output, listing.objects, video_id) == mine.retakes:
        return ()  # as nearly always: no second walk over all frames
    stored = read_plan(output, listing, video_id, registry)
    if stored is None:
        return ()
    plan = _as_it_counts(output, stored, runs[video_id].work, listing, registry)
    work = plan_video(
        plan, frames_present(listing.objects, plan.digests), listing.objects.keys(), published_content=listing.content,
        chunk_seconds=chunk_seconds, range_frames=stored.range_frames,
    )  # fmt: skip
    if work.missing:
        return ()
    if work.content != stored.content:
        save_plan(output, work)
    if keep:
        return () if work.complete else (work,)
    found = continuing(
        output, work, registry, keep=False, write=True, chunk_seconds=chunk_seconds, unpublished=frozenset(runs)
    )
    whole = [other for other in found.works if not other.missing]
    for other in whole:
        save_plan(output, other)
    return tuple(it for it in (work, *whole) if not it.complete)


def _as_it_counts(
    output: Storage, stored: StoredPlan, work: VideoWork, listing: VideoListing, registry: Registry
) -> VideoPlan:
    """The plan of a video with all that was decided about its frames; where others have planned it after another take
    of what it continues, which is the present one there, after that."""
    plan, parent = replace(work.plan, retakes=stored.plan.retakes), work.plan.parent
    if parent is None:
        return plan
    above = read_plan(output, list_video(output, parent.video_id), parent.video_id, registry)
    if above is None or parent.frame >= above.plan.frames:
        return plan
    now = above.plan.digests[parent.frame]
    if now == parent.digest or now not in planned_after(output, listing, work.video_id):
        return plan
    return replace(plan, parent=replace(parent, digest=now))
