"""What travels between flows and workers: what is to be done, and what lies in storage afterwards. Keys and numbers, no
pixels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from manifests.errors import ErrorKind, NightreelError
from manifests.schema import ManifestRow
from renderers.frame_plan.frame_plan import FramePlan

__all__ = ["SCORES", "FrameGone", "FrameReport", "FrameTask", "ModelLacking", "SegmentReport", "SegmentTask",
           "StorageLacking", "WorkerLacks", "WorkerProgress", "scores_in"]  # fmt: skip


class FrameGone(NightreelError):
    """A frame that was rendered can't be committed, through no fault of its own: it must be rendered again."""

    kind = ErrorKind.INFRASTRUCTURE


class WorkerLacks(NightreelError):
    """What a worker's machine lacks, and so all workers there; others may have it. `lacks` names it for people."""

    def __init__(self, message: str, host: str = "", lacks: str = "") -> None:
        super().__init__(message, host, lacks)  # all arguments: it travels between processes
        self.host, self.lacks = host, lacks

    def __str__(self) -> str:
        return str(self.args[0])


class StorageLacking(WorkerLacks):
    """The output can't be used from there: no credentials, no right, no way."""

    kind = ErrorKind.STORAGE


class ModelLacking(WorkerLacks):
    """A model is not there, or not whole, or another one than that by which the job was planned."""

    kind = ErrorKind.ENVIRONMENT


@dataclass(frozen=True)
class FrameTask:
    """One frame to render. `row` is resolved; `images` maps the URIs that it names to the SHA-256 of their bytes;
    the rest is what earlier failures taught (see `FrameRenderer.render`)."""

    row: ManifestRow
    images: Mapping[str, str] = field(repr=False)  # addresses, which may hold secrets
    frame: FramePlan
    cutouts_at_once: int | None = None
    reseeded: bool = False
    replace: bool = False
    """put it in the place of an object that is there and can't be read"""
    model_digest: str = ""
    """of the model by which it was planned; '' where nobody says"""


@dataclass(frozen=True)
class FrameReport:
    """One frame that lies in storage now. `seconds` is pure render time, `total_seconds` with loading and commit;
    both are None for a frame that was rendered in an earlier run."""

    video_id: str
    frame: int
    loss: float
    losses: tuple[float, ...] = ()
    steps: int = 0
    seconds: float | None = None
    total_seconds: float | None = None
    worker: str = ""
    change: float | None = None
    """from the frame before, the camera's move undone (`frame_change`); known once it is encoded"""
    luma: float | None = None
    """the mean brightness of its picture, 0 to 255 (ITU-R BT.601)"""
    likeness: float | None = None
    """this and what follows: see `renderers.frame_rendering.scores`; frames of earlier releases have none of it"""
    judge: str | None = None
    fit: float | None = None
    flicker: float | None = None
    """from the frame before; one that starts from another frame is known once it is encoded, as `change`"""
    sharpness: float | None = None


LONGEST_NAME = 200  # of a model

#: What a frame's provenance says of its scores, by the names that a report has for them.
SCORES = ("likeness", "judge", "fit", "flicker", "sharpness", "luma")


def scores_in(provenance: Mapping[str, Any], frame: FramePlan) -> dict[str, Any]:
    """Return what a frame says of its scores, for its report; nothing that is none. A flicker from another frame than
    the one before is none of the video's."""
    said = provenance.get("scores")
    found = {name: it for name, it in said.items() if _is_score(name, it)} if isinstance(said, Mapping) else {}
    if frame.start is not None and frame.start != frame.index - 1:
        found.pop("flicker", None)
    return found


def _is_score(name: str, value: Any) -> bool:
    if name == "judge":
        return isinstance(value, str) and len(value) <= LONGEST_NAME
    return name in SCORES and type(value) in (int, float) and math.isfinite(value)


@dataclass(frozen=True)
class SegmentTask:
    """Frames `frames` of a video, all in storage, to encode; `reports` are those of the frames just rendered. `replace`
    says that some of them took the place of others, so that a segment that is there may show those. `before`
    and `after` are the digests of the frames beside these, where there are any. `leading` and `trailing` are the frames
    before and behind them that the segment is made of as well: number and digest of each, in their order."""

    row: ManifestRow
    frames: tuple[FramePlan, ...]
    reports: tuple[FrameReport, ...]
    replace: bool = False
    before: str = ""
    after: str = ""
    leading: tuple[tuple[int, str], ...] = ()
    trailing: tuple[tuple[int, str], ...] = ()
    upscaler: str = ""
    """the digest of the net that enlarges them"""
    pasted: Mapping[str, str] = field(default_factory=dict)
    """the digests of the pictures that are pasted into them, by their addresses"""


@dataclass(frozen=True)
class SegmentReport:
    """A segment that lies in storage now, with what is known about its frames, and the `change` from its last frame to
    the one after it if that was there already."""

    key: str
    bytes: int
    frames: tuple[FrameReport, ...]
    seconds: float
    change_after: float | None = None


@dataclass(frozen=True)
class WorkerProgress:
    """What a worker is doing at this moment; not `busy`: what it did last. `worker` is its process, `name` its name in
    its pool ('' outside one)."""

    worker: str
    video_id: str = ""
    frame: int = 0
    step: int = 0
    steps: int = 0
    loss: float = 0.0
    steps_per_second: float = 0.0
    busy: bool = False
    name: str = ""
    loading: bool = False
    """its first model, before any frame"""
