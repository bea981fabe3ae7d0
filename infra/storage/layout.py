"""Where things lie below an output root: the one place that makes and reads storage keys."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

__all__ = [
    "CONTACT_SHEET",
    "DEEPEST",
    "LAYOUT",
    "PROVENANCE",
    "RUNS",
    "SHORT",
    "content_digest",
    "continuation_key",
    "continuations",
    "failure_key",
    "frame_key",
    "frame_of",
    "frames_present",
    "is_folder",
    "is_ours",
    "ours_in",
    "picture_key",
    "plan_key",
    "record_key",
    "retake_key",
    "run_record_key",
    "run_request_key",
    "run_state_key",
    "segment_digest",
    "segment_key",
    "source_frame_key",
    "source_list_key",
    "video_key",
]

# A key shows this much of a digest: 64 bits, far beyond any chance of two alike under one frame number.
SHORT = 16
PROVENANCE = "provenance.json"
CONTACT_SHEET = "contact_sheet.png"
RUNS = "report/runs"

# For people; a test holds it against the keys made below.
LAYOUT = (
    ("<video_id>/video.<ending>", "The finished video: mp4, webm, gif, png for a still, zip for a PNG sequence."),
    (
        "<video_id>/frames/<number>-<digest>.png",
        "One frame: picture, tokens, latent, moments and provenance in one PNG.",
    ),
    ("<video_id>/segments/<start>-<stop>-<digest>.seg", "One encoded frame range; a stitch copies these."),
    ("<video_id>/segments/<start>-<stop>-<digest>.json", "What is known of its frames: losses, seconds, workers."),
    (
        "<video_id>/plans/<digest>.json",
        "A plan by which the video was rendered, and when it was made; `status` goes by the latest.",
    ),
    (
        "<video_id>/pictures/<sha256>",
        "A copy of a picture that its row names by an address with a secret, which is kept nowhere.",
    ),
    (
        "<video_id>/source/<number>-<hash>.png",
        "A frame of the film that the video is drawn over, at the video's size, by the hash of its pixels.",
    ),
    ("<video_id>/source/<digest>.json", "Which frames a film was found to have, so that it need not be read again."),
    (
        "<video_id>/continued_by/<video_id>.json",
        "A video that continues this one: a re-run of the frame that it begins from renders it anew.",
    ),
    ("<video_id>/retakes/<stamp>.json", "What a re-run decided about single frames."),
    ("<video_id>/failures/<frame>-<digest>-<stamp>.json", "One failed attempt at a frame."),
    ("<video_id>/failures/video-<digest>-<stamp>.json", "One failed attempt at the video as a whole."),
    ("<video_id>/contact_sheet.png", "Frames of the video on one page."),
    ("<video_id>/provenance.json", "What made the video; put last, so where it is the video is whole."),
    (
        "report/index.html",
        "The report of the whole output, refreshed while a run is at work: every video with its player, settings, "
        "curves, timings and failures.",
    ),
    (
        "report/grid.html",
        "Videos that come from the axes of an `expand` block, as a table of one axis by another; where there are any.",
    ),
    ("report/summary.json", "The same for scripts."),
    ("report/runs/<run>/run.json", "What a run is to do: its videos, rows that are no good, who started it."),
    ("report/runs/<run>/state.json", "Where it stands, every few seconds; `nightreel watch` shows it."),
    ("report/runs/<run>/requests/<stamp>.json", "What a person asked of it: a worker drained, another priority."),
    ("report/frames.parquet", "One row per frame: loss, seconds, worker, change from the frame before."),
)

# Folders in each other, of which objects of ours need four: what lies deeper is somebody else's.
DEEPEST = 16
_REPORT = "report"
# What lies right in a video's folder begins so.
_VIDEO_FILES = ("video.", CONTACT_SHEET, PROVENANCE)
_IN_VIDEO = re.compile(rf"video\.[a-z0-9]+|{re.escape(CONTACT_SHEET)}|{re.escape(PROVENANCE)}")
_FOLDERS = {tuple(key.split("/")[:depth]) for key, _ in LAYOUT for depth in range(key.count("/") + 1)}


@lru_cache(maxsize=4096)  # a listing asks once for each object
def is_folder(key: str) -> bool:
    """Say whether objects of ours lie right in a folder of this key ("" for the root)."""
    parts = key.split("/") if key else []
    return any(
        len(parts) == len(names)
        and all(name.startswith("<") or name == part for name, part in zip(names, parts, strict=True))
        for names in _FOLDERS
    )


def is_ours(key: str) -> bool:
    """Say whether a key may be that of an object of ours, by its folder, and in a video's own folder by its name."""
    folder, _, name = key.rpartition("/")
    if not is_folder(folder):
        return False
    return folder.count("/") > 0 or folder == _REPORT or bool(folder and _IN_VIDEO.fullmatch(name))


def ours_in(folder: str) -> tuple[str, ...]:
    """Return what the keys of all objects of ours begin with that lie in a folder of the root: a video's, or the
    report's."""
    if folder == _REPORT:
        return (f"{folder}/",)
    below = {names[1] for names in _FOLDERS if len(names) == 2 and names[0].startswith("<")}
    return tuple(f"{folder}/{it}" for it in sorted([*(f"{name}/" for name in below), *_VIDEO_FILES]))


_FRAME = re.compile(r"/frames/(\d{6,})-([0-9a-f]{16})\.png$")


def frame_key(video_id: str, index: int, digest: str) -> str:
    """Return the key of one frame: number for people and sorting, digest for truth."""
    return f"{video_id}/frames/{index:06d}-{digest[:SHORT]}.png"


def frame_of(key: str) -> tuple[int, str] | None:
    """Read the number and the shortened digest that a frame's key shows; None if it is no frame's key."""
    match = _FRAME.search(key)
    return (int(match[1]), match[2]) if match else None


def frames_present(keys: Iterable[str], digests: Sequence[str]) -> set[int]:
    """Find the frames of a video in storage, from the listing of its `frames/`: right number AND right digest."""
    found = set()
    for key in keys:
        match = _FRAME.search(key)
        if match:
            index = int(match[1])
            if index < len(digests) and digests[index][:SHORT] == match[2]:
                found.add(index)
    return found


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _digest_of_all(encoder: dict[str, object], digests: Sequence[str]) -> str:
    """As `_digest` of {"digests": all of them, "encoder": ...}, without that text of a million frames in memory."""
    found = hashlib.sha256(b'{"digests":[')
    for number, digest in enumerate(digests):
        found.update(f'{"," if number else ""}"{digest}"'.encode())
    found.update(f'],"encoder":{json.dumps(encoder, sort_keys=True, separators=(",", ":"))}}}'.encode())
    return found.hexdigest()


def segment_digest(encoder: dict[str, object], digests: Sequence[str], beside: Sequence[Sequence[str]] = ()) -> str:
    """Digest what decides a segment: how it is encoded, its frames, and those before and behind them that it looks at,
    if it looks at any."""
    around = {"beside": [list(it) for it in beside]} if any(beside) else {}
    return _digest({"encoder": encoder, "frames": list(digests), **around})


def content_digest(
    encoder: dict[str, object], digests: Sequence[str], kept: Sequence[int] = (), *, chain: bool = True
) -> str:
    """Digest what decides a video: how it is encoded, its last frame (whose digest covers all before it), and how many;
    all its frames if they are no `chain`.

    A frame of `kept` goes on from another take of the frame before than the one shown: its digest does not cover that.
    """
    if not chain:
        return _digest_of_all(encoder, digests)
    before = {"before kept": [digests[index - 1] for index in kept]} if kept else {}
    return _digest({"encoder": encoder, "frames": len(digests), "last": digests[-1], **before})


def segment_key(video_id: str, start: int, stop: int, digest: str) -> str:
    """Return the key of the encoded frames `[start, stop)`."""
    return f"{video_id}/segments/{start:06d}-{stop:06d}-{digest[:SHORT]}.seg"


def record_key(video_id: str, start: int, stop: int, digest: str) -> str:
    """Return the key of what is known about a segment's frames: losses, seconds, workers."""
    return segment_key(video_id, start, stop, digest).removesuffix(".seg") + ".json"


def plan_key(video_id: str, digest: str) -> str:
    """Return the key of a plan by which a video was rendered; `digest` is that of the video's content."""
    return f"{video_id}/plans/{digest[:SHORT]}.json"


def picture_key(video_id: str, sha256: str) -> str:
    """Return the key of the copy of a picture that a row names, by the SHA-256 of its bytes."""
    return f"{video_id}/pictures/{sha256}"


def source_frame_key(video_id: str, index: int, pixels: str) -> str:
    """Return the key of one frame of the film that a video is drawn over; `pixels` is its hash as rows have it."""
    return f"{video_id}/source/{index:06d}-{pixels}.png"


def source_list_key(video_id: str, recipe: str) -> str:
    """Return the key of what a film was found to hold, prepared by a `recipe` (a digest)."""
    return f"{video_id}/source/{recipe[:SHORT]}.json"


def continuation_key(video_id: str, child: str) -> str:
    """Return the key of the note that the video `child` continues this one."""
    return f"{video_id}/continued_by/{child}.json"


def continuations(keys: Iterable[str], video_id: str) -> tuple[str, ...]:
    """Return the videos that continue one whose folder holds `keys`, or did once."""
    folder = f"{video_id}/continued_by/"
    names = (key.removeprefix(folder).removesuffix(".json") for key in keys if key.startswith(folder))
    return tuple(sorted(names))


def retake_key(video_id: str, stamp: str) -> str:
    """Return the key of one re-run's decisions; `stamp` puts them in order."""
    return f"{video_id}/retakes/{stamp}.json"


def failure_key(video_id: str, frame: int | None, digest: str, stamp: str) -> str:
    """Return the key of one failed attempt at a frame (or at the whole video); `stamp` keeps attempts apart."""
    place = "video" if frame is None else f"{frame:06d}"
    return f"{video_id}/failures/{place}-{digest[:SHORT]}-{stamp}.json"


def video_key(video_id: str, extension: str) -> str:
    """Return the key of the finished video."""
    return f"{video_id}/video.{extension}"


def run_record_key(run: str) -> str:
    """Return the key of what a run is to do; `run` is the name of its folder."""
    return f"{RUNS}/{run}/run.json"


def run_state_key(run: str) -> str:
    """Return the key of where a run stands."""
    return f"{RUNS}/{run}/state.json"


def run_request_key(run: str, stamp: str) -> str:
    """Return the key of one request to a run; `stamp` puts them in order."""
    return f"{RUNS}/{run}/requests/{stamp}.json"
