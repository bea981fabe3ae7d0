"""The frames of one video, from a listing of its folder: what is done, missing, failed; and what is known of each."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flows.job.storage_state import VideoListing, list_video, read_plan
from flows.job.stored_documents import DAMAGE, MOST_BYTES, parse
from flows.report.wording import clean, one_line
from flows.retry_and_quarantine.records import FailureRecord
from flows.watch.failures import safe_link
from flows.watch.videos import MESSAGE
from infra.storage.layout import SHORT, frame_key, frame_of
from infra.storage.storage import ObjectMissing, SourceRefused, Storage
from manifests.masking import without_secrets
from renderers.errors import RenderError
from renderers.frame_plan.video_plan import VideoPlan
from renderers.frame_rendering.chunks import MOST_BYTES as FRAME_BYTES
from renderers.frame_rendering.chunks import PROVENANCE, open_frame
from renderers.pictures.errors import PICTURE_ERRORS
from renderers.registry import Registry

__all__ = ["MOST_FRAMES", "VideoGrid", "frame_details", "grid_page", "read_grid"]

# Of one answer: what a page of the grid shows.
MOST_FRAMES = 600
ATTEMPTS = 20
_FAILURE = re.compile(r"/failures/(\d{6,})-([0-9a-f]{16})-[^/]+\.json$")


@dataclass(frozen=True)
class VideoGrid:
    """A video's frames: `states` has a letter for each (d done, m missing, f failed), `digests` the digest of each,
    shortened or not, '' where it is not known. `plan` None: there is none that this installation can read, and the grid
    shows what lies there."""

    video_id: str
    states: str
    digests: Sequence[str]
    failures: Mapping[int, tuple[str, ...]]
    prompt: str = ""
    size: str = ""
    model: str = ""
    video: str = ""
    plan: VideoPlan | None = None


def read_grid(output: Storage, video_id: str, registry: Registry) -> VideoGrid | None:
    """List a video's folder; None if nothing is in it.

    Raises:
        StorageError: it can't be listed or read.
    """
    listing = list_video(output, video_id)
    if not listing.objects:
        return None
    there = _frames_there(listing)
    failed = _failure_keys(listing)
    published = output.uri(f"{video_id}/{listing.provenance['video']}") if listing.provenance else ""
    try:
        stored = read_plan(output, listing, video_id, registry)
        _ = None if stored is None else stored.plan.digests  # which this version may have no formulas for
    except (RenderError, ValueError, KeyError):
        stored = None
    if stored is None:
        return _without_plan(video_id, there, failed, without_secrets(published))
    plan = stored.plan
    failures = {
        frame: keys
        for frame in failed
        if frame < plan.frames
        and (keys := tuple(key for digest, key in failed[frame] if digest == plan.digests[frame][:SHORT]))
    }
    states = "".join(
        "d" if digest[:SHORT] in there.get(frame, {}) else "f" if frame in failures else "m"
        for frame, digest in enumerate(plan.digests)
    )
    row = plan.row
    prompt = clean(without_secrets(row.shown_prompts), 4000)
    return VideoGrid(
        video_id, states, plan.digests, failures, prompt, f"{row.width} x {row.height}",
        one_line(row.model, 80), without_secrets(published), plan=plan,
    )  # fmt: skip


def _frames_there(listing: VideoListing) -> dict[int, dict[str, Any]]:
    """Frame objects by number and shortened digest."""
    there: dict[int, dict[str, Any]] = {}
    for key, info in listing.objects.items():
        named = frame_of(key)
        if named is not None:
            there.setdefault(named[0], {})[named[1]] = info
    return there


def _failure_keys(listing: VideoListing) -> dict[int, list[tuple[str, str]]]:
    """Keys of records of failure by frame, each with the shortened digest in it, oldest first."""
    failed: dict[int, list[tuple[str, str]]] = {}
    for key in sorted(listing.objects):
        match = _FAILURE.search(key)
        if match:
            failed.setdefault(int(match[1]), []).append((match[2], key))
    return failed


def _without_plan(
    video_id: str, there: Mapping[int, Mapping[str, Any]], failed: Mapping[int, list[tuple[str, str]]], published: str
) -> VideoGrid:
    frames = 1 + max([*there, *failed], default=-1)
    if frames > 1_000_000:
        frames = 0  # a number that nobody rendered
    newest = {frame: max(found, key=lambda digest: found[digest].modified) for frame, found in there.items()}
    return VideoGrid(
        video_id,
        "".join("d" if frame in newest else "f" if frame in failed else "m" for frame in range(frames)),
        tuple(newest.get(frame, "") for frame in range(frames)),
        {frame: tuple(key for _, key in keys) for frame, keys in failed.items()},
        video=published,
    )


def grid_page(grid: VideoGrid, start: int, count: int) -> dict[str, Any]:
    """Return `count` frames of a grid from `start` on, with what is known of the video."""
    frames = len(grid.states)
    count = max(1, min(count, MOST_FRAMES))
    start = max(0, min(start, max(0, frames - 1)))
    return {
        "video": grid.video_id,
        "frames": frames,
        "start": start,
        "states": grid.states[start : start + count],
        "digests": [digest[:SHORT] for digest in grid.digests[start : start + count]],
        "counts": {name: grid.states.count(name[0]) for name in ("done", "missing", "failed")},
        "failed": [frame for frame, letter in enumerate(grid.states) if letter == "f"][:2000],
        "missing": [frame for frame, letter in enumerate(grid.states) if letter == "m"][:2000],
        "prompt": grid.prompt,
        "size": grid.size,
        "model": grid.model,
        "published": grid.video,
        "plan": grid.plan is not None,
    }  # fmt: skip


def frame_details(output: Storage, grid: VideoGrid, frame: int) -> dict[str, Any]:
    """Return all that is known of one frame: its attempts that failed, and the provenance in its object.

    Raises:
        StorageError: storage can't be read.
    """
    digest = grid.digests[frame][:SHORT]
    details: dict[str, Any] = {
        "video": grid.video_id,
        "frame": frame,
        "state": grid.states[frame],
        "digest": digest,
        "provenance": "",
        "damaged": "",
        "attempts": [
            attempt
            for key in grid.failures.get(frame, ())[-ATTEMPTS:]
            if (attempt := _attempt(output, key)) is not None
        ],
    }
    if grid.states[frame] == "d":
        try:
            details["provenance"] = _provenance(output.read(frame_key(grid.video_id, frame, digest), most=FRAME_BYTES))
        except ObjectMissing:
            details["state"] = "m"
        except (SourceRefused, *PICTURE_ERRORS) as error:
            details["damaged"] = one_line(f"the frame's object can't be read: {error}", MESSAGE)
    return details


def _attempt(output: Storage, key: str) -> dict[str, Any] | None:
    try:
        record = FailureRecord.of_document(parse(output.read(key, most=MOST_BYTES)))
        return {
            "attempt": int(record.attempt),
            "kind": one_line(record.kind, 60),
            "message": clean(without_secrets(str(record.message)), 4000),
            "worker": one_line(record.worker, 120),
            "when": one_line(record.when, 40),
            "seconds": float(record.seconds),
            "log": safe_link(str(record.log)),
        }
    except (ObjectMissing, SourceRefused, *DAMAGE):
        return None


def _provenance(data: bytes) -> str:
    """Return what a frame's object says of itself, as JSON for people. Raises PICTURE_ERRORS."""
    with open_frame(data) as image:
        image.load()  # text chunks may come after the picture
        text = getattr(image, "text", {}).get(PROVENANCE, "{}")
    return clean(json.dumps(json.loads(text), indent=1, ensure_ascii=False), 60_000)
