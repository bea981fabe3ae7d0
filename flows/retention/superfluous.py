"""Which objects of an output nothing needs any more. Pure: listings and plans in, decisions out.

What a video is made of stays, whatever its age: the published file with its provenance and contact sheet, the latest
plan and the one that was published, every frame that these show or start from, all decisions of re-runs.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

from flows.planning.remaining import VideoWork
from flows.runs.latest import latest_of
from flows.runs.stored import StoredRun
from infra.storage.layout import RUNS, SHORT, frame_of, plan_key, source_frame_key
from infra.storage.storage import ObjectInfo

__all__ = ["KINDS", "Kind", "Superfluous", "superfluous_of_video", "superfluous_runs"]

#: What can be removed. A frame or plan is superfluous once another plan of its video has taken its place, a segment
#: also when its video is published: it is made of the frames again where a re-run needs it.
Kind = Literal["failures", "plans", "segments", "frames", "pictures", "source", "runs"]
KINDS: tuple[Kind, ...] = get_args(Kind)

_OURS = re.compile(
    r"(?P<failures>failures/(?:video|\d{6,})-[0-9a-f]{16}-[^/]+\.json)"
    r"|(?P<plans>plans/[0-9a-f]{16}\.json)"
    r"|(?P<segments>segments/\d{6,}-\d{6,}-[0-9a-f]{16}\.(?:seg|json))"
    r"|(?P<frames>frames/\d{6,}-[0-9a-f]{16}\.png)"
    r"|(?P<pictures>pictures/[0-9a-f]{64})"
    r"|(?P<source>source/\d{6,}-[0-9a-f]{16}\.png)"
)


@dataclass(frozen=True)
class Superfluous:
    """An object that nothing needs any more."""

    kind: Kind
    key: str
    bytes: int


def superfluous_of_video(
    video_id: str, objects: Mapping[str, ObjectInfo], works: Mapping[str, VideoWork], failures: Collection[str],
    before: datetime, continued: Collection[str] = (),
) -> Iterator[Superfluous]:  # fmt: skip
    """Yield what can go of a video's folder that was put `before`.

    `works` are its plans that count, by the content that each is stored under, the latest first; `failures` the keys of
    those that still stand; `continued` the digests of frames from which other videos begin. What does not look like one
    of our objects is somebody else's, and stays.
    """
    plans = {plan_key(video_id, content) for content in works}
    works_now = list(works.values())
    done = bool(works_now) and works_now[0].complete
    there = {named[1] for named in map(frame_of, objects) if named is not None}  # few, where a plan may have a million
    frames = there.intersection(_digests(works_now)) | {digest[:SHORT] for digest in continued}
    segments = {key for work in works_now for it in work.ranges for key in (it.segment, _record(it.segment))}
    if done:
        segments -= {it.segment for it in works_now[0].ranges}
    pictures = {sha256 for work in works_now for sha256 in work.plan.images.values()}
    standing = set[str]() if done else set(failures)
    films = {it for work in works_now for it in _film(video_id, work)}
    kept = {"source": films, "failures": standing, "plans": plans, "segments": segments}

    def needed(kind: str, key: str) -> bool:
        if kind == "frames":
            named = frame_of(key)
            return named is None or named[1] in frames
        if kind == "pictures":
            return key.rsplit("/", 1)[1] in pictures
        return key in kept[kind]

    for info in objects.values():
        found = _OURS.fullmatch(info.key.removeprefix(f"{video_id}/"))
        if found and info.modified < before and not needed(str(found.lastgroup), info.key):
            yield Superfluous(_KIND[str(found.lastgroup)], info.key, info.size)


_KIND: Mapping[str, Kind] = {kind: kind for kind in KINDS}


def _digests(works: Iterable[VideoWork]) -> Iterator[str]:
    """The digests of all frames that plans show, and of those that they start from or are drawn to: where a re-run kept
    what follows, that is another take than the one shown."""
    for work in works:
        for frame in work.plan.as_placed():
            yield from (digest[:SHORT] for digest in (frame.digest, frame.start_digest, frame.target_digest) if digest)


def _film(video_id: str, work: VideoWork) -> Iterator[str]:
    """The keys of the frames of the film that a video is drawn over."""
    found = work.plan.row.source.found
    for index in range(0 if found is None else found.count):
        yield source_frame_key(video_id, index, found.hash_of(index))


def _record(segment: str) -> str:
    return segment.removesuffix(".seg") + ".json"


def superfluous_runs(
    runs: Sequence[StoredRun], objects: Mapping[str, ObjectInfo], before: datetime, now: datetime
) -> Iterator[Superfluous]:
    """Yield the objects of `runs` (oldest first) that were heard of last `before`, and have ended or died; `objects`
    are all below `report/runs/`. The latest run of each manifest, or of each of its parts, stays: it says which of its
    rows are no good."""
    latest = {run.record.run for run in latest_of(runs)}
    folders: dict[str, list[ObjectInfo]] = {}
    for info in objects.values():
        folders.setdefault(info.key.removeprefix(f"{RUNS}/").split("/")[0], []).append(info)
    for run in runs:
        heard = run.state.updated if run.state is not None else run.record.began
        if run.alive(now) or heard >= before or run.record.run in latest:
            continue
        for info in folders.get(run.record.run, ()):
            yield Superfluous("runs", info.key, info.size)
