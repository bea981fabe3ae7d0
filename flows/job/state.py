"""Where a job stands: each video's run, and a moment of the whole."""

from __future__ import annotations

from dataclasses import dataclass, field

from flows.failures.records import FailureRecord
from flows.job.stitching import Published
from flows.planning.remaining import RangeWork, VideoWork
from infra.workers.tasks import FrameReport, WorkerProgress

__all__ = ["JobProgress", "VideoRun"]


@dataclass
class VideoRun:
    """One video in progress. Fields are guarded by the job's lock; `available` are frames that lie in storage."""

    work: VideoWork
    available: set[int]
    ranges_left: set[int]
    rendered: int = 0
    reports: dict[int, FrameReport] = field(default_factory=dict)
    failures: list[FailureRecord] = field(default_factory=list)
    worker: str | None = None
    published: Published | None = None
    reason: str = ""
    planned: bool = False  # the plan lies beside the frames
    unstitchable: bool = False  # the stitch failed for good
    mended: set[int] = field(default_factory=set)  # frames whose objects were damaged, and were rendered anew
    renewed: frozenset[int] = frozenset()  # frames to be rendered in the place of their objects in storage
    settled: int | None = None  # frames from this one on need not be rendered
    skipped: frozenset[int] = frozenset()  # nor these
    claimed: set[int] = field(default_factory=set)  # ranges whose segments are being made, or were tried

    @classmethod
    def of(cls, work: VideoWork, renewed: frozenset[int] = frozenset()) -> VideoRun:
        """The run of a planned video, at its beginning."""
        missing = {frame for piece in work.ranges for frame in piece.missing}
        left = set() if work.complete else set(work.to_encode)
        return cls(work, set(range(work.plan.frames)) - missing, left, renewed=renewed)

    def wanted(self, frame: int) -> bool:
        """Whether a missing frame is to be rendered."""
        return (self.settled is None or frame < self.settled) and frame not in self.skipped

    def whole(self, index: int) -> bool:
        """Whether all frames of range number `index` lie in storage."""
        piece = self.work.ranges[index]
        return self.available.issuperset(range(piece.start, piece.stop))

    def renews(self, piece: RangeWork) -> bool:
        """Whether frames of a range take the place of others, and its segment too."""
        return any(piece.start <= frame < piece.stop for frame in self.renewed)

    @property
    def missing(self) -> int:
        """Frames that are not in storage."""
        return self.work.plan.frames - len(self.available)

    @property
    def done(self) -> bool:
        """Whether every frame and the video are in storage."""
        return not self.missing and (self.published is not None or self.work.complete)


@dataclass(frozen=True)
class JobProgress:
    """A moment of the job: frames and videos `done` of all, `rendered` by this run, and what the workers are doing."""

    frames: int
    frames_done: int
    rendered: int
    failed: int
    videos: int
    videos_done: int
    elapsed: float
    eta: float | None
    workers: tuple[WorkerProgress, ...]
