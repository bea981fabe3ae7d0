"""What a re-run does to the videos that continue the one of which it takes frames again."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, replace

from flows.job.storage_state import StoredPlan, VideoListing, list_video, read_plan, save_plan, save_retakes
from flows.planning.remaining import VideoWork, plan_video
from infra.storage.layout import continuations, frames_present
from infra.storage.storage import Storage, StorageError
from manifests.errors import NightreelError
from renderers.frame_plan.frame_plan import Retake
from renderers.frame_plan.video_plan import VideoPlan
from renderers.registry import Registry

__all__ = ["Continuing", "continuing"]


@dataclass(frozen=True)
class Continuing:
    """The `works` of videos that are to be rendered anew, each after the one that it continues; and `damaged`: why
    others could not be looked at."""

    works: tuple[VideoWork, ...]
    damaged: tuple[str, ...] = ()


def continuing(
    output: Storage, work: VideoWork, registry: Registry, *, keep: bool, write: bool, chunk_seconds: float,
    unpublished: Collection[str] = (),
) -> Continuing:  # fmt: skip
    """Plan the videos that continue that of `work`, those that continue these, and so on, as far as they begin from
    another frame than they did; and of those named in `unpublished` those that are not published as planned. With
    `keep` those that have begun stay as they are, which is kept in storage if `write` allows.

    Raises:
        StorageError: the output can't be used.
    """
    found: dict[str, VideoWork] = {}
    damaged: list[str] = []
    waiting = deque([(work, list_video(output, work.video_id))])
    while waiting:
        parent, folder = waiting.popleft()
        for name in continuations(folder.objects, parent.video_id):
            if name in found or name == work.video_id:
                continue
            try:
                listing = list_video(output, name)
                stored = read_plan(output, listing, name, registry)
            except StorageError:
                raise
            except NightreelError as error:
                damaged.append(f"video '{name}', which continues '{parent.video_id}', stays as it is: {error}")
                continue
            plan = None if stored is None else _continued(stored.plan, parent)
            if stored is not None and plan is None and name in unpublished:
                as_planned = _work(stored.plan, stored, listing, chunk_seconds)
                plan = None if as_planned.published else stored.plan
            if stored is None or plan is None:
                continue  # it does no more, or begins from the frame that it did
            present = frames_present(listing.objects, stored.plan.digests)
            if keep and 0 in present:
                if write:
                    _keep(output, stored, plan, listing, chunk_seconds)
                continue
            found[name] = _work(plan, stored, listing, chunk_seconds)
            waiting.append((found[name], listing))
    return Continuing(tuple(found.values()), tuple(damaged))


def _continued(plan: VideoPlan, parent: VideoWork) -> VideoPlan | None:
    """Return the plan of a video that begins from what `parent` shows now; None where that is no change."""
    was = plan.parent
    if was is None or was.video_id != parent.video_id or was.frame >= parent.plan.frames:
        return None
    digest = parent.plan.digests[was.frame]
    return None if digest == was.digest else replace(plan, parent=replace(was, digest=digest))


def _keep(output: Storage, stored: StoredPlan, now: VideoPlan, listing: VideoListing, chunk_seconds: float) -> None:
    """Have a video go on from the take that it began from. Its plan says what it would begin from, as the next render's
    will: what a re-run decides about its first frame is known to both."""
    first = next(stored.plan.as_placed())
    pin = Retake(0, next(now.as_placed()).planned, first.seed, first.start_digest)
    if pin not in now.retakes:
        save_retakes(output, now.video_id, [pin])
        now = replace(now, retakes=(*now.retakes, pin))
    save_plan(output, _work(now, stored, listing, chunk_seconds))


def _work(plan: VideoPlan, stored: StoredPlan, listing: VideoListing, chunk_seconds: float) -> VideoWork:
    _ = plan.frame_plans  # a job renders by these: before all that asks for digests alone
    return plan_video(
        plan,
        frames_present(listing.objects, plan.digests),
        listing.objects.keys(),
        published_content=listing.content,
        chunk_seconds=chunk_seconds,
        range_frames=stored.range_frames,
    )
