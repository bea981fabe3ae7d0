"""Every video of an output, from storage alone: what lies in its folder, and what the runs say that is to come.

`nightreel status` and the report are both made of this, so they can't disagree.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property, partial
from itertools import islice
from typing import Any, Literal

from flows.job.known_frames import known_frames, series_of_scores
from flows.job.reviewing import limits_of
from flows.job.state import VideoSnapshot
from flows.job.storage_state import StoredPlan, VideoListing, list_video, read_failures, read_plan
from flows.planning.remaining import VideoWork, content_of, plan_video
from flows.retry_and_quarantine.records import PLANNER, FailureRecord
from flows.runs.stored import run_documents, stored_runs
from flows.runs.wanted import Turn, Wanted, wanted
from infra.storage.layout import SHORT, frame_of, frames_present
from infra.storage.storage import PlaceForbidden, Storage
from manifests.masking import without_secrets
from manifests.schema import format_frames, may_be_video
from manifests.schema.texts import short
from renderers.errors import RenderError
from renderers.frame_plan.video_plan import VideoPlan
from renderers.registry import Registry

__all__ = [
    "LATEST_RUNS",
    "StoredVideo",
    "VideoState",
    "VideoStatus",
    "current_failures",
    "holds_output",
    "no_such_video",
    "not_an_output",
    "stored_status",
    "stored_video",
    "stored_wants",
    "video_state",
    "work_of",
]

#: Runs of an output that are looked at, the latest: a bucket of nights may hold one for every night of years.
LATEST_RUNS = 100

#: `waiting` and `rendering` are of a run that lives; a video that nobody renders and that has not failed is `missing`.
VideoState = Literal["done", "missing", "waiting", "rendering", "failed"]

#: Frames of a video from which on those that are all missing are told as one range, and no more of it is planned than
#: is asked for.
LONG = 10_000

# Listings wait on the network, not on the processor.
PARALLEL_LISTINGS = 16

_FAILURE = re.compile(r"/failures/(video|\d{6,})-([0-9a-f]{16})-")


@dataclass(frozen=True)
class StoredVideo:
    """A video as it lies in storage. `planned`, its latest plan and the listing of its folder, is None where it never
    was: it was refused, or its turn is still to come. `video` is the key of what is published, be it by this plan or by
    another."""

    video_id: str
    frames: int
    planned: tuple[StoredPlan, VideoListing] | None
    was: VideoSnapshot
    video: str | None = None

    @cached_property
    def work(self) -> VideoWork | None:
        """What is to do for it."""
        return None if self.planned is None else work_of(*self.planned)


def video_state(frames: int, was: VideoSnapshot, turn: Turn | None = None) -> VideoState:
    """Return the state of a video of so many `frames`; `turn` is where it stands with a run that lives."""
    if was.published and len(was.available) == frames:
        return "done"
    if turn is not None:
        return turn
    standing = any(it.frame is None or it.frame not in was.available for it in was.failures)
    return "failed" if was.reason or standing else "missing"


def stored_video(output: Storage, registry: Registry, video_id: str, wants: Wanted) -> StoredVideo | None:
    """Return what lies in a video's folder, by its latest plan; None if that is the folder of something else, and no
    run wants such a video.

    Failures under earlier plans are left out: an edited row gives other frames, which have not failed.

    Raises:
        RenderError: the plan names a model that this installation does not know, or is damaged.
        StorageError: storage can't be read.
    """
    listing = list_video(output, video_id)
    refused = wants.refused.get(video_id)
    stored = read_plan(output, listing, video_id, registry)
    video = f"{video_id}/{listing.provenance['video']}" if listing.provenance else None
    if refused is not None:
        failures = _refusals(output, listing, video_id)
        was = VideoSnapshot(frozenset(), 0, {}, failures, refused.reason, published=False)
        return StoredVideo(video_id, refused.frames, None, was, video)
    if stored is None:
        failures = _refusals(output, listing, video_id)
        if not failures and video_id not in wants.frames:
            return None
        reason = failures[-1].message if failures else ""
        was = VideoSnapshot(frozenset(), 0, {}, failures, reason, published=False)
        return StoredVideo(video_id, wants.frames.get(video_id, 0), None, was, video)
    present = _frames_there(stored.plan, listing)
    published = listing.content is not None and listing.content == content_of(stored.plan)
    failures = read_failures(output, listing, video_id, keys=list(current_failures(listing.objects, stored.plan)))
    was = VideoSnapshot(present, 0, {}, failures, listing.damage, published)
    return StoredVideo(video_id, stored.plan.frames, (stored, listing), was, video if published else None)


def _frames_there(plan: VideoPlan, listing: VideoListing) -> frozenset[int]:
    """The frames of a plan that lie in its folder; of a long video as little is planned as answers that."""
    if plan.frames <= LONG:
        return frozenset(frames_present(listing.objects, plan.digests))
    named = filter(None, map(frame_of, listing.objects))
    there = {(index, digest) for index, digest in named if index < plan.frames}
    digests = _short_digests(plan, {index for index, _ in there})
    return frozenset(index for index, digest in there if digests[index] == digest)


def _short_digests(plan: VideoPlan, frames: Collection[int]) -> Mapping[int, str]:
    """The shortened digests of some frames of a plan, which it has; no more of a long one is planned than gives these,
    and the first in any case: what can't be planned here is said."""
    if plan.frames <= LONG or "outline" in vars(plan):
        return {index: plan.digests[index][:SHORT] for index in frames}
    found: dict[int, str] = {}
    left = len(frames)
    for frame in plan.as_placed():
        if frame.index in frames:
            found[frame.index], left = frame.digest[:SHORT], left - 1
        if not left:
            break
    return found


def work_of(stored: StoredPlan, listing: VideoListing) -> VideoWork:
    """Return what is to do for a video by a plan of it, from the listing of its folder."""
    present = frames_present(listing.objects, stored.plan.digests)
    return plan_video(
        stored.plan, present, listing.objects.keys(), published_content=listing.content, chunk_seconds=1.0,
        range_frames=stored.range_frames,
    )  # fmt: skip


def current_failures(keys: Collection[str], plan: VideoPlan) -> Iterator[str]:
    """Yield the keys of failures of the frames that the plan has, and of the very video that they make."""
    found = {key: match for key in keys if (match := _FAILURE.search(key))}
    of_frames = {key: int(match[1]) for key, match in found.items() if match[1] != "video"}
    known = {index for index in of_frames.values() if index < plan.frames}
    digests = _short_digests(plan, known) if known else {}
    content = content_of(plan)[:SHORT] if len(of_frames) < len(found) else ""
    for key, match in found.items():
        if match[2] == (digests.get(of_frames[key]) if key in of_frames else content):
            yield key


def _refusals(output: Storage, listing: VideoListing, video_id: str) -> tuple[FailureRecord, ...]:
    """The last failure of a video without a plan, or of a row that can't be rendered: it says all."""
    failures = read_failures(output, listing, video_id)
    return tuple(record for record in failures if record.worker == PLANNER)[-1:] or failures[-1:]


@dataclass(frozen=True)
class VideoStatus:
    """What storage knows of one video: `missing` frames, and the `reason` of its last failure if it is not done;
    `review` says which of its scores have it looked at by a person."""

    video_id: str
    state: VideoState
    frames: int
    missing: Sequence[int]
    reason: str
    video: str | None
    review: tuple[str, ...] = ()

    @property
    def done(self) -> int:
        """Frames in storage."""
        return self.frames - len(self.missing)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for `--json`."""
        missing = format_frames(self.missing)
        return {
            "video_id": self.video_id, "state": self.state, "frames": self.frames, "done": self.done,
            "missing": missing, "reason": self.reason, "video": self.video,
            "review": list(self.review),
        }  # fmt: skip


def holds_output(output: Storage) -> bool:
    """Return whether anything of ours lies in `output`, a run's document or an object of a video: to the first one."""
    if next(run_documents(output), None) is not None:
        return True
    with ThreadPoolExecutor(PARALLEL_LISTINGS, thread_name_prefix="listing") as threads:
        names = iter(output.folders())
        while some := tuple(islice(names, PARALLEL_LISTINGS)):
            if any(threads.map(partial(_holds_video, output), some)):
                return True
    return False


def _holds_video(output: Storage, video_id: str) -> bool:
    try:
        # frames, plans, failures: what has other names may be anybody's video.mp4
        return any(info.key.count("/") == 2 for info in output.list(video_id, ours=True))
    except PlaceForbidden:
        return False


def not_an_output(output: Storage) -> str:
    """Return what is said of a place in which nothing of ours lies."""
    shown = without_secrets(output.root)
    if not output.folders():
        return f"nothing was ever rendered into '{shown}'"
    return (
        f"'{shown}' is no output of nightreel: nothing was ever rendered into it. Name the folder or address that was "
        "given to a render as its --output"
    )


def no_such_video(output: Storage, video: str) -> str:
    """Return what is said of a video that does not lie in `output`."""
    known = [name for name in output.folders() if may_be_video(name)]
    if not known or not holds_output(output):
        return f"there is no video '{short(video)}': {not_an_output(output)}"
    near = get_close_matches(video, known, 3) or known[:5]
    names = ", ".join(f"'{name}'" for name in near)
    return f"there is no video '{short(video)}' in '{output.root}': it has {len(known)}, such as {names}"


def stored_wants(output: Storage, damaged: list[str] | None = None) -> Wanted:
    """Return what the runs of `output` want; `damaged` gets a sentence for each document that can't be read."""
    return wanted(stored_runs(output, latest=LATEST_RUNS, tell=([] if damaged is None else damaged).append))


def stored_status(
    output: Storage, registry: Registry, wants: Wanted | None = None, usual: Mapping[str, float] | None = None
) -> Iterator[VideoStatus]:
    """The status of every video of `output` from storage alone: those in its folders by their latest plans, and those
    that its runs want (`wants`, where that is known) and whose turn has not come. A plan that is damaged, or names a
    model that this installation does not know, is its video's `reason`; so is a folder that this account may not enter.
    Scores are read where limits hold for them: the row's, and the `usual` ones by their names in `review`.
    """
    wants = stored_wants(output) if wants is None else wants

    def one(video_id: str) -> VideoStatus | None:
        try:
            stored = stored_video(output, registry, video_id, wants)
        except (RenderError, PlaceForbidden) as error:  # it says nothing of the other videos
            if isinstance(error, PlaceForbidden) and video_id not in wants.frames and not may_be_video(video_id):
                return None  # such as the lost+found of a disk
            return VideoStatus(video_id, "failed", wants.frames.get(video_id, 0), (), str(error), None)
        if stored is None:
            return None  # the report's folder, or somebody else's
        was = stored.was
        state = video_state(stored.frames, was, wants.turns.get(video_id))
        every = range(stored.frames)
        # of thousands of long videos that nobody has begun no list of all frames is made
        is_long = len(every) > LONG and not was.available
        missing = every if is_long else tuple(index for index in every if index not in was.available)
        reason = was.reason or (was.failures[-1].message if was.failures else "")
        video = output.uri(stored.video) if stored.video and stored.planned is not None else None
        review = _to_review(output, stored, wants, usual or {}, records)
        return VideoStatus(video_id, state, stored.frames, missing, "" if state == "done" else reason, video, review)

    names = tuple(dict.fromkeys((*output.folders(), *wants.videos)))
    with (
        ThreadPoolExecutor(PARALLEL_LISTINGS, thread_name_prefix="records") as records,
        ThreadPoolExecutor(PARALLEL_LISTINGS, thread_name_prefix="status") as threads,
    ):
        yield from filter(None, threads.map(one, names))


def _to_review(
    output: Storage, stored: StoredVideo, wants: Wanted, usual: Mapping[str, float], threads: ThreadPoolExecutor
) -> tuple[str, ...]:
    """What has a video looked at by a person. Of one without limits nothing is read, and nothing planned."""
    if stored.planned is None or not stored.was.available:
        return ()
    limits = limits_of(stored.planned[0].plan.row, wants, usual)
    if not limits or (work := stored.work) is None:
        return ()
    return tuple(flag.text for flag in limits.flags(series_of_scores(known_frames(output, work, {}, threads))))
