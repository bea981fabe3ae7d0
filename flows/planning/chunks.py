"""From what is to do for each video to the chunks that task runs take, in the order in which they should begin.

Pure functions on frozen data, as in flows/planning/remaining.py. A *chunk* is the work of one task run: one or more
frame ranges of a video, or some frames of one with keyframes, or a bundle of short videos. It is cut freely, by the
number of actors and by what is missing now. What a chunk holds of one range, or of one video with keyframes, is a
*part*. Long videos that advance side by side, range by range, are a *cohort*.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter

from flows.planning.remaining import RangeWork, VideoWork
from manifests.schema import brief_frames

__all__ = ["MAX_TASK_RUNS", "MOST_TASK_RUNS", "Chunk", "Part", "chunks_of"]

# Prefect's server is comfortable with some hundreds of task runs in one flow run (see FACTS: 18-26 KB each).
MAX_TASK_RUNS = 450
MOST_TASK_RUNS = 2000  # that it takes
# Chunks of one video with keyframes that an actor gets: more of them end more evenly, but each costs a task run.
GAPS_EACH = 16
# Far gaps by which each further chunk of a gap comes later than the one before. Were they next to each other, the last
# gaps would be rendered whole, by fewer actors than there are; so their first chunks are done by then.
LAG = 2
# Bundles of short videos that an actor still gets, whatever has been given away: they shrink towards the end, so that
# all actors end together at the price of few task runs (guided self-scheduling, Polychronopoulos and Kuck 1987).
BUNDLES_LEFT = 2
LEAST_SHARE = 16  # of a chunk's seconds, or of an actor's: less would be all overhead


@dataclass(frozen=True, slots=True)
class Part:
    """What a chunk holds of one frame range of a video; `index` counts the video's ranges. Or, with `index` None,
    `frames` in the order in which they are to be rendered, wherever they lie: with keyframes that is not the order of
    the video."""

    video: str
    index: int | None
    frames: tuple[int, ...] = ()

    def missing_of(self, work: VideoWork) -> tuple[int, ...]:
        """Return the frames of the part that `work`, the video's, says are missing."""
        return self.frames if self.index is None else work.ranges[self.index].missing


@dataclass(frozen=True)
class Chunk:
    """The work of one task run. `after` names the chunk whose last frame this one starts from, if that is missing;
    `needs` are missing frames of its video, of whichever chunks, without which it can't begin; `parents` those of
    other videos, which its videos continue."""

    name: str
    parts: tuple[Part, ...]
    seconds: float
    after: str | None = None
    needs: tuple[int, ...] = ()
    parents: tuple[tuple[str, int], ...] = ()


def chunks_of(
    videos: Iterable[VideoWork], *, actors: int, chunk_seconds: float, max_batch: int = 1
) -> tuple[Chunk, ...]:
    """Cut all work into chunks, in the order in which they should start.

    Higher priority first, then the longest: a long video begun last would keep one actor busy when all others are done.
    Short videos are bundled whole (the ranges of one video follow each other anyway); the bundles shrink towards the
    end, so that it is even, but hold as many as an actor renders at a time (`max_batch`), those of like
    shape side by side, where there are so many for each actor; long ones advance in cohorts of as many, range by range.
    Videos that wait for a frame of another come after all that wait for none, so that no chunk waits for itself.
    A video that only waits to be stitched needs no chunk.
    """
    pending = [video for video in videos if not video.complete and video.to_encode]
    generations, parents = _generations(pending)
    total = sum(video.seconds for video in pending)
    target = max(chunk_seconds, total / MAX_TASK_RUNS)
    gap_target = min(target, max(1.0, total / (GAPS_EACH * actors), total / MAX_TASK_RUNS))
    bundle_target = min(target, max(1.0, total / (BUNDLES_LEFT * actors)))
    least_seconds = max(1.0, min(target, total / actors) / LEAST_SHARE, _least_bundle(total, target, actors))
    pending.sort(
        key=lambda video: (generations[video.video_id], *_urgency(video, bundle_target if max_batch > 1 else 0.0))
    )
    least = min(max_batch, -(-len(pending) // actors))
    long = sum(video.handoff == "chain" and not _is_short(video, bundle_target) for video in pending)
    cohort_size = min(max_batch, -(-long // actors))
    chunks: list[Chunk] = []
    bundle: list[VideoWork] = []
    cohorts: dict[tuple[object, ...], list[VideoWork]] = {}

    in_bundle = 0.0

    def close_bundle() -> None:
        nonlocal in_bundle
        in_bundle = 0.0
        if bundle:
            name = bundle[0].video_id if len(bundle) == 1 else f"{bundle[0].video_id} +{len(bundle) - 1}"
            if len(bundle) == 1 and bundle[0].settings.frames > 1:
                name = f"{name} {_named([bundle[0].ranges[index] for index in sorted(bundle[0].to_encode)])}"
            parts = tuple(part for v in bundle for part in _parts(v))
            needed = tuple(sorted({parents[v.video_id] for v in bundle if v.video_id in parents}))
            chunks.append(Chunk(name, parts, sum(v.seconds for v in bundle), parents=needed))
            bundle.clear()

    def close_cohorts() -> None:
        for cohort in cohorts.values():
            chunks.extend(_waiting(_chunks_of_cohort(cohort, target), parents))
        cohorts.clear()

    left, generation = total, 0
    for video in pending:
        left -= video.seconds
        if generations[video.video_id] != generation:
            generation = generations[video.video_id]
            close_cohorts()
            close_bundle()
        if cohorts and next(iter(cohorts.values()))[0].settings.priority != video.settings.priority:
            close_cohorts()
        if video.handoff == "single" and video.missing and video.seconds > bundle_target:
            close_bundle()
            chunks.extend(_chunks_of_single(video, max(gap_target, min(bundle_target, _pass(video, max_batch)))))
        elif video.handoff == "keyframes" and video.missing and video.seconds > bundle_target:
            close_bundle()
            gaps = _chunks_of_gaps(video, max(gap_target, min(bundle_target, _pass_of_gaps(video, max_batch))))
            chunks.extend(_waiting(gaps, parents))
        elif _is_short(video, bundle_target):
            close_cohorts()  # the long ones first
            if bundle and bundle[0].settings.priority != video.settings.priority:
                close_bundle()
            bundle.append(video)
            in_bundle += video.seconds
            enough = max(min(target, left / (BUNDLES_LEFT * actors)), least_seconds) if actors > 1 else bundle_target
            if in_bundle >= enough and len(bundle) >= least:
                close_bundle()
        else:
            close_bundle()
            cohort = cohorts.setdefault(_shape(video), [])
            cohort.append(video)
            if len(cohort) >= cohort_size:
                chunks.extend(_waiting(_chunks_of_cohort(cohorts.pop(_shape(video)), target), parents))
    close_cohorts()
    close_bundle()
    return tuple(chunks)


def _generations(videos: Sequence[VideoWork]) -> tuple[dict[str, int], dict[str, tuple[str, int]]]:
    """Return after how many others each video begins, and for what those wait that wait for any: a video and its
    frame."""
    known = {video.video_id: video for video in videos}
    parents = {
        video.video_id: (parent.video_id, parent.frame)
        for video in videos
        if (parent := video.begins_missing) is not None
        and parent.video_id in known
        and _missing_at(known[parent.video_id], parent.frame)
    }
    generations = {video.video_id: 0 for video in videos if video.video_id not in parents}
    for video_id in parents:
        way = [video_id]
        while way[-1] not in generations:
            way.append(parents[way[-1]][0])
        for child in reversed(way[:-1]):
            generations[child] = generations[parents[child][0]] + 1
    return generations, parents


def _waiting(chunks: Iterable[Chunk], parents: Mapping[str, tuple[str, int]]) -> Iterator[Chunk]:
    """Yield the chunks of long videos, those with a first frame that waits for another video's as such."""
    begun = set[str]()
    for chunk in chunks:
        videos = {part.video for part in chunk.parts} - begun
        begun |= videos
        needed = tuple(sorted(parents[video] for video in videos if video in parents))
        yield replace(chunk, parents=needed) if needed else chunk


def _least_bundle(total: float, target: float, actors: int) -> float:
    """Return the seconds of the last bundles, of `total`, with which there are no more than MOST_TASK_RUNS. With n of
    them left for all actors, those that shrink from s to l are n log(s / l), and n come after."""
    left = BUNDLES_LEFT * actors
    shrunk = min(target, total / left) * math.exp(1 - (MOST_TASK_RUNS - MAX_TASK_RUNS) / left)
    return min(shrunk, total / MOST_TASK_RUNS)


def _is_short(video: VideoWork, most: float) -> bool:
    """Return whether a video is one range, or up to `most` seconds of work."""
    return len(video.to_encode) == 1 or video.seconds <= most


def _shape(video: VideoWork) -> tuple[object, ...]:
    """Return what frames that are rendered together have in common."""
    row = video.settings
    return row.model, row.width, row.height


def _urgency(video: VideoWork, short: float) -> tuple[object, ...]:
    """Return what videos are begun by; those of up to `short` seconds are equally urgent, and ordered by shape."""
    priority = -video.settings.priority
    if video.seconds > short:
        return priority, -video.seconds
    return priority, -short, *_shape(video), -video.seconds


def _parts(video: VideoWork) -> tuple[Part, ...]:
    """Return all of a video's work, for one chunk."""
    if video.handoff == "chain":
        return tuple(Part(video.video_id, index) for index in sorted(video.to_encode))
    missing = {index for frame_range in video.ranges for index in frame_range.missing}
    frames = tuple(place.index for place in video.plan.places() if place.index in missing)
    whole = [index for index in sorted(video.to_encode) if not video.ranges[index].missing]
    return (*([Part(video.video_id, None, frames)] if frames else []), *(Part(video.video_id, i) for i in whole))


def _chunks_of_cohort(cohort: Sequence[VideoWork], target: float) -> list[Chunk]:
    """Return the chunks of long videos that advance together: the first of each make one, so do the second, and so
    on."""
    chunks: list[Chunk] = []
    each = (_chunks_of_video(video, target / len(cohort)) for video in cohort)
    for turn in itertools.zip_longest(*each):
        mine = [chunk for chunk in turn if chunk is not None]
        name = mine[0].name if len(mine) == 1 else f"{mine[0].name} +{len(mine) - 1}"
        # if one of them waits, then for the very last chunk, which has the one before of each
        after = chunks[-1].name if any(chunk.after for chunk in mine) else None
        parts = tuple(part for chunk in mine for part in chunk.parts)
        chunks.append(Chunk(name, parts, sum(chunk.seconds for chunk in mine), after))
    return chunks


def _chunks_of_video(video: VideoWork, target: float) -> list[Chunk]:
    """Return the chunks of one video of several ranges, each after the one whose last frame it starts from."""
    groups: list[list[int]] = []
    seconds = 0.0
    for index, frame_range in enumerate(video.ranges):
        if not frame_range.encode:
            continue
        if not groups or seconds + frame_range.seconds > target:
            groups.append([])
            seconds = 0.0
        groups[-1].append(index)
        seconds += frame_range.seconds
    chunks: list[Chunk] = []
    last_rendered: str | None = None
    for group in groups:
        ranges = [video.ranges[index] for index in group]
        first = next((frame for frame_range in ranges for frame in frame_range.missing), None)
        waits = first is not None and first == ranges[0].start and first > 0 and _missing_at(video, first - 1)
        name = f"{video.video_id} {_named(ranges)}"
        parts = tuple(Part(video.video_id, index) for index in group)
        chunks.append(Chunk(name, parts, sum(it.seconds for it in ranges), last_rendered if waits else None))
        if first is not None:
            last_rendered = name
    return chunks


def _chunks_of_gaps(video: VideoWork, target: float) -> list[Chunk]:
    """Return the chunks of a video with keyframes, of about `target` seconds: the keyframes far apart first, in one
    run; then, far gap by far gap, the near ones and what lies between them, as one chunk where that is little work. A
    gap that is more is cut, each chunk going on from the one before; near ones are chunks of their own then.

    A range is encoded by whoever finishes it; those that miss no frame, here at the end.
    """
    missing = {index for frame_range in video.ranges for index in frame_range.missing}
    far = [frame.index for frame in video.frames if frame.level == 0]
    placed: list[tuple[tuple[int, int], Chunk]] = []

    def add(frames: Sequence[int], place: tuple[int, int], what: str = "") -> None:
        """Add a chunk of those of `frames` that are missing."""
        wanted = tuple(index for index in frames if index in missing)
        if not wanted:
            return
        needs = {need for index in wanted for need in video.frames[index].needs if need in missing} - set(wanted)
        name = f"{video.video_id} {what}{brief_frames(wanted)}"
        part = Part(video.video_id, None, wanted)
        chunk = Chunk(name, (part,), _seconds(video, wanted), needs=tuple(sorted(needs)))
        placed.append((place, chunk))

    add(far, (-1, 0), "keyframes ")
    # those of a loop that lead from its last keyframe back to its first frame are a gap, too
    for place, gap in enumerate(_gaps(video, [*far, len(video.frames)], target)):
        near, between = ([index for index in gap if video.frames[index].level == level] for level in (1, 2))
        if _seconds(video, [*near, *between]) <= target:
            add([*near, *between], (place, 1))
            continue
        for index in near:
            add([index], (place - 1, 0), "keyframes ")  # before the gaps that come first: much begins from them
        for near_gap in _gaps(video, sorted({gap[0] - 1, *near, gap[-1] + 1}), target):
            between = [index for index in near_gap if video.frames[index].level == 2]
            size = math.ceil(len(between) / math.ceil(_seconds(video, between) / target))
            for turn, at in enumerate(range(0, len(between), size)):
                add(between[at : at + size], (place + LAG * turn, 1 + turn))
    return [*(chunk for _, chunk in sorted(placed, key=itemgetter(0))), *_whole_ranges(video)]


def _chunks_of_single(video: VideoWork, target: float) -> list[Chunk]:
    """Return the chunks of a video whose frames need no other, of about `target` seconds; at last the ranges that miss
    no frame."""
    missing = [index for frame_range in video.ranges for index in frame_range.missing]
    size = math.ceil(len(missing) / math.ceil(_seconds(video, missing) / target))
    chunks = []
    for at in range(0, len(missing), size):
        frames = tuple(missing[at : at + size])
        part = Part(video.video_id, None, frames)
        chunks.append(Chunk(f"{video.video_id} {brief_frames(frames)}", (part,), _seconds(video, frames)))
    return [*chunks, *_whole_ranges(video)]


def _whole_ranges(video: VideoWork) -> list[Chunk]:
    """Return a chunk of the ranges that miss no frame and are to be encoded, if there are any."""
    parts = tuple(part for part in _parts(video) if part.index is not None)
    ranges = [video.ranges[part.index] for part in parts if part.index is not None]
    return [Chunk(f"{video.video_id} {_named(ranges)}", parts, 0.0)] if parts else []


def _seconds(video: VideoWork, frames: Iterable[int]) -> float:
    """Return the estimated seconds of some frames."""
    return sum(video.frames[index].steps for index in frames) * video.plan.step_seconds


def _pass_of_gaps(video: VideoWork, max_batch: int) -> float:
    """Return the seconds of so many gaps as an actor renders at a time (`max_batch`)."""
    return 0.0 if max_batch == 1 else max_batch * video.plan.row.keyframe_every * video.plan.seconds(1, 2)


def _pass(video: VideoWork, max_batch: int) -> float:
    """Return the seconds of so many frames as an actor renders at a time."""
    return max_batch * video.plan.seconds(1, 2)


def _gaps(video: VideoWork, keyframes: Sequence[int], target: float) -> list[range]:
    """Return the frames from one of `keyframes` to a later one, as many gaps at a time as make `target` seconds."""
    gaps: list[range] = []
    seconds = 0.0
    for left, right in itertools.pairwise(keyframes):
        more = _seconds(video, range(left + 1, right))
        if gaps and seconds + more <= target:
            gaps[-1] = range(gaps[-1].start, right)
            seconds += more
        elif right > left + 1:
            gaps.append(range(left + 1, right))
            seconds = more
    return gaps


def _missing_at(video: VideoWork, frame: int) -> bool:
    return any(frame in it.missing for it in video.ranges if it.start <= frame < it.stop)


def _named(ranges: Sequence[RangeWork]) -> str:
    return brief_frames(frame for it in ranges for frame in range(it.start, it.stop))
