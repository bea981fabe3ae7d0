"""What is to do for a video: which frames are missing, and which ranges they lie in.

Pure functions on frozen data: nothing here reads storage, and a whole plan can be asserted in milliseconds.
A *frame range* is cut by the video's own estimate and nothing else, because it decides the bytes of the segments: a
second run, on another cluster, must cut alike.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cached_property

from flows.planning.earlier_takes import earlier_plans
from infra.storage.layout import content_digest, segment_digest, segment_key
from infra.video.arguments import encoder_settings
from infra.video.encoding import Encoding
from infra.video.finishing import Finishing
from manifests.schema import ManifestRow
from renderers.frame_plan.frame_plan import FramePlan, ParentFrame
from renderers.frame_plan.video_plan import VideoPlan
from renderers.registry.upscalers import upscaler_key

__all__ = ["RangeWork", "VideoWork", "content_of", "cut", "pasted_into", "plan_video", "upscaler_of"]


@dataclass(frozen=True)
class RangeWork:
    """Frames `[start, stop)` of a video: which of them are `missing`, and the `segment` (a key) that they make."""

    start: int
    stop: int
    missing: tuple[int, ...]
    segment: str
    encode: bool  # the segment is not in storage, or will be made of new frames
    seconds: float  # estimated, for what is missing
    before: tuple[int, ...] = ()  # frames of other ranges that the segment looks at, in their order
    behind: tuple[int, ...] = ()


@dataclass(frozen=True)
class VideoWork:
    """One video: its frames, what of it is in storage, and what is to do. `damaged`: documents of it in storage that
    can't be read, by key, each with what is wrong and what to do. `plan_stored`: this very plan is there, and whole.
    `parent_takes`: digests that the frame which it continues had before re-runs, where that is of interest."""

    plan: VideoPlan
    ranges: tuple[RangeWork, ...] = field(repr=False)
    content: str  # digest of the finished video
    published_content: str | None  # digest of the video that lies in storage, if one does
    damaged: tuple[tuple[str, str], ...] = ()
    plan_stored: bool = False
    parent_takes: tuple[str, ...] = ()

    @property
    def video_id(self) -> str:
        return self.plan.video_id

    @property
    def settings(self) -> ManifestRow:
        """Its row, but for name, prompts and seed, which may be those of another video that is alike."""
        return self.plan.row

    @property
    def handoff(self) -> str:
        """How its frames follow each other, see `VideoPlan.handoff`."""
        return self.plan.handoff

    @property
    def frames(self) -> tuple[FramePlan, ...]:
        """The plans of all frames."""
        return self.plan.frame_plans

    @property
    def begins_missing(self) -> ParentFrame | None:
        """The frame of another video without which it can't begin; None where it has begun, or needs none."""
        parent = self.plan.parent
        return parent if parent is not None and self.ranges[0].missing[:1] == (0,) else None

    @cached_property
    def rerun_since(self) -> bool:
        """Whether the video that lies in storage is this one as it was before its latest re-runs, or those of what it
        continues: that it is to be replaced was said when these were asked for."""
        earlier = earlier_plans(self.plan, self.parent_takes)
        return any(content_of(plan) == self.published_content for plan in earlier)

    @property
    def published(self) -> bool:
        """Whether the very video lies in storage."""
        return self.published_content == self.content

    @property
    def to_encode(self) -> frozenset[int]:
        """Indexes of the ranges whose segments are to be made."""
        return frozenset(index for index, frame_range in enumerate(self.ranges) if frame_range.encode)

    @property
    def missing(self) -> int:
        """Frames to render."""
        return sum(len(frame_range.missing) for frame_range in self.ranges)

    @property
    def missing_frames(self) -> frozenset[int]:
        """Which these are."""
        return frozenset(frame for frame_range in self.ranges for frame in frame_range.missing)

    @property
    def complete(self) -> bool:
        """Whether nothing is to do: the video is there, and so are its frames."""
        return self.published and not self.missing

    @property
    def seconds(self) -> float:
        """Estimated seconds of one actor."""
        return sum(frame_range.seconds for frame_range in self.ranges)


def cut(frames: int, frame_seconds: float, chunk_seconds: float, range_frames: int | None = None) -> tuple[range, ...]:
    """Cut a video of `frames` into frame ranges of about `chunk_seconds`, or of `range_frames` where given."""
    size = range_frames or max(1, int(chunk_seconds / frame_seconds))
    return tuple(range(start, min(start + size, frames)) for start in range(0, frames, size))


def content_of(plan: VideoPlan) -> str:
    """Return the digest of the finished video that a plan makes."""
    # a first frame has none before it that is shown
    kept = [index for index in plan.outline.kept if index]
    encoder = segment_settings(plan) | sound_settings(plan)
    return content_digest(encoder, plan.digests, kept, chain=plan.handoff == "chain")


def upscaler_of(plan: VideoPlan) -> str:
    """Return the digest of the net that enlarges its frames, '' where none does."""
    name = plan.row.finish.upscaler
    return plan.images.get(upscaler_key(name), "") if name is not None else ""


def pasted_into(plan: VideoPlan) -> dict[str, str]:
    """Return the digests of the pictures that are pasted into its frames when they are encoded, by their addresses."""
    row = plan.row
    named = (row.mask, row.init_image) if row.finish.paste_mask else ()
    return {address: plan.images[address] for address in named if address is not None}


def segment_settings(plan: VideoPlan) -> dict[str, object]:
    """Return what decides a segment apart from its frames."""
    return encoder_settings(Encoding.of(plan.row)) | Finishing.of(plan.row).settings(upscaler_of(plan))


def sound_settings(plan: VideoPlan) -> dict[str, object]:
    """Return what decides the sound under a video: nothing where there is none. No segment hangs on it."""
    row = plan.row
    if row.audio is None:
        return {}
    codec = " ".join(Encoding.of(row).spec.sound)
    sha256 = plan.images.get(row.audio, "")
    return {"sound": {"file": sha256, "start": row.audio_start, "gain": row.audio_gain, "codec": codec}}


def plan_video(
    plan: VideoPlan,
    present: Collection[int],
    segments: Collection[str],
    *,
    published_content: str | None,
    chunk_seconds: float,
    range_frames: int | None = None,
    stale: Collection[int] = (),
) -> VideoWork:
    """Plan what is to do for one video.

    `present` are the frames in storage under their right digests, `segments` the keys of segments in storage,
    `published_content` the content digest of the video that was published before, if one was. Segments of `stale`
    frames are made again even if they are there.
    """
    row = plan.row
    digests, steps = plan.digests, plan.outline.steps
    encoder, finishing = segment_settings(plan), Finishing.of(row)
    ranges = []
    for indexes in cut(plan.frames, plan.seconds(1, 2), chunk_seconds, range_frames):
        missing = tuple(index for index in indexes if index not in present)
        before, behind = finishing.beside(indexes.start, indexes.stop, plan.frames, loop=row.loop)
        around = [[digests[index] for index in it] for it in (before, behind)]
        digest = segment_digest(encoder, digests[indexes.start : indexes.stop], around)
        key = segment_key(plan.video_id, indexes.start, indexes.stop, digest)
        seconds = sum(steps[index] for index in missing) * plan.step_seconds
        encode = bool(missing) or key not in segments or any(index in stale for index in (*before, *indexes, *behind))
        ranges.append(RangeWork(indexes.start, indexes.stop, missing, key, encode, seconds, before, behind))
    return VideoWork(plan, tuple(ranges), content_of(plan), None if stale else published_content)
