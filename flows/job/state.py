"""Where a video of a job stands."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from functools import cached_property

from flows.job.stitching import Published
from flows.planning.remaining import RangeWork, VideoWork
from flows.planning.retakes import followers
from flows.retry_and_quarantine.records import FailureRecord
from infra.workers.tasks import FrameReport, SegmentReport

__all__ = ["VideoRun", "VideoSnapshot"]


@dataclass(frozen=True)
class VideoSnapshot:
    """A moment of one video: its frames in storage (`available`), of which this run `rendered` some."""

    available: frozenset[int]
    rendered: int
    reports: dict[int, FrameReport]
    failures: tuple[FailureRecord, ...]
    reason: str
    published: bool


class VideoRun:
    """One video in progress, shared by the threads that render, encode and stitch it and by those that show it.

    `work`, `renewed` and `skipped` never change. All that does change begins with an underscore, is guarded by `_lock`,
    and is read and written by the methods of this class alone, which hold that lock (a test watches every access).
    What they return is a copy. The lock is held for moments only: never while a frame, storage or a worker is waited
    for, and no other lock is taken under it.
    """

    def __init__(
        self, work: VideoWork, renewed: frozenset[int] = frozenset(), skipped: frozenset[int] = frozenset()
    ) -> None:
        """Begin with what `work` says of storage. `renewed` frames are rendered in the place of their objects in
        storage, `skipped` ones are missing and stay so."""
        self.work, self.renewed, self.skipped = work, renewed, skipped
        self._lock = threading.RLock()
        self._available = set(range(work.settings.frames)) - work.missing_frames
        self._ranges_left = set() if work.complete else set(work.to_encode)
        self._claimed = set[int]()  # ranges whose segments are being made, or were tried
        self._repaired = set[int]()
        self._converged_at: int | None = None
        self._reports = dict[int, FrameReport]()
        self._failures: list[FailureRecord] = []
        self._rendered = 0
        self._estimated = 0.0
        self._to_come = work.seconds
        self._never: tuple[frozenset[int], Collection[int]] = frozenset(), ()  # given up, and what starts from those
        self._render_seconds = 0.0
        self._latest: tuple[float, int] | None = None
        self._first_frame_at: float | None = None
        self._worker: str | None = None
        self._plan_saved = self._waits_in_vain = False
        self._published: Published | None = None
        self._unstitchable = False
        self._reason = ""

    @cached_property
    def model_digest(self) -> str:
        """Of the model by which it was planned."""
        return self.work.plan.entry.digest

    # -- frames --------------------------------------------------------------------------------------------------------

    @property
    def available(self) -> frozenset[int]:
        """Frames that lie in storage: a copy. `has` and `has_all` answer without making one."""
        with self._lock:
            return frozenset(self._available)

    @property
    def missing(self) -> int:
        """How many frames are not in storage."""
        with self._lock:
            return self.work.settings.frames - len(self._available)

    def has(self, frame: int) -> bool:
        """Return whether a frame lies in storage."""
        with self._lock:
            return frame in self._available

    def has_all(self, frames: Iterable[int]) -> bool:
        """Return whether all of `frames` lie in storage."""
        with self._lock:
            return self._available.issuperset(frames)

    def wants(self, frame: int) -> bool:
        """Return whether a frame is missing and is to be rendered."""
        with self._lock:
            over = self._converged_at is not None and frame >= self._converged_at
            return not over and frame not in self._available and frame not in self.skipped

    def committed(self, report: FrameReport) -> None:
        """Note that this run has put a frame into storage."""
        with self._lock:
            self._available.add(report.frame)
            self._rendered += 1
            self._reports[report.frame] = report
            estimated = self._estimate(report.frame)
            self._estimated += estimated
            self._to_come = max(0.0, self._to_come - estimated)
            self._render_seconds += report.seconds or 0.0
            self._latest = (time.time(), report.frame)
            if self._first_frame_at is None:
                self._first_frame_at = time.time() - (report.total_seconds or 0.0)

    def lost(self, frame: int) -> None:
        """Note that a frame's object can't be read and could not be replaced."""
        with self._lock:
            self._available.discard(frame)

    def begin_repair(self, frame: int) -> bool:
        """Return whether a damaged frame may be rendered again in place: once only."""
        with self._lock:
            if frame in self._repaired:
                return False
            self._repaired.add(frame)
            return True

    def begin_waiting_in_vain(self) -> bool:
        """Return whether it is to be said that the video waits for a frame of another that does not come: once only."""
        with self._lock:
            said, self._waits_in_vain = self._waits_in_vain, True
            return not said

    @property
    def repaired(self) -> frozenset[int]:
        """Frames whose objects were damaged, and were rendered again."""
        with self._lock:
            return frozenset(self._repaired)

    @property
    def converged_at(self) -> int | None:
        """The frame from which on a re-run need not render, since they no longer differ; None while they do."""
        with self._lock:
            return self._converged_at

    def converge(self, frame: int) -> None:
        """Note that frames from `frame` on need not be rendered."""
        with self._lock:
            self._converged_at = frame

    def outcome(self, frames: Collection[int]) -> tuple[int, int]:
        """Return how many of `frames` this run has rendered, and how many are missing."""
        with self._lock:
            rendered = sum(frame in self._reports for frame in frames)
            return rendered, sum(frame not in self._available for frame in frames)

    # -- ranges and their segments -------------------------------------------------------------------------------------

    @property
    def ranges_left(self) -> frozenset[int]:
        """Numbers of the ranges whose segments are still to be made."""
        with self._lock:
            return frozenset(self._ranges_left)

    def whole(self, number: int) -> bool:
        """Return whether all frames lie in storage that a range's segment is made of."""
        frame_range = self.work.ranges[number]
        return self.has_all((*range(frame_range.start, frame_range.stop), *frame_range.before, *frame_range.behind))

    def claim(self) -> int | None:
        """Return the number of a range whose frames are all there, for the caller to encode: nobody else gets it."""
        with self._lock:
            for number in sorted(self._ranges_left - self._claimed):
                if self.whole(number):
                    self._claimed.add(number)
                    return number
        return None

    def renews(self, frame_range: RangeWork) -> bool:
        """Return whether frames that a range's segment is made of take the place of others, and so does that."""
        beside = {*frame_range.before, *frame_range.behind}
        return any(frame_range.start <= frame < frame_range.stop or frame in beside for frame in self.renewed)

    def reports_of(self, frames: Iterable[int]) -> tuple[FrameReport, ...]:
        """Return this run's reports of `frames`; others have none."""
        with self._lock:
            return tuple(self._reports[frame] for frame in frames if frame in self._reports)

    def encoded(self, number: int, segment: SegmentReport) -> None:
        """Note that a range's segment lies in storage, and what its encoding found out about its frames."""
        following = self.work.plan.following(self.work.ranges[number].stop - 1)
        with self._lock:
            self._ranges_left.discard(number)
            for report in segment.frames:
                if report.frame in self._reports:
                    # the change to its first frame is perhaps known by the range before
                    known = self._reports[report.frame].change if report.change is None else report.change
                    self._reports[report.frame] = replace(report, change=known)
            if segment.change_after is not None and following in self._reports:
                self._reports[following] = replace(self._reports[following], change=segment.change_after)

    # -- the video -----------------------------------------------------------------------------------------------------

    @property
    def ready_to_stitch(self) -> bool:
        """Whether every frame and segment lies in storage, and nothing but the stitch is left."""
        with self._lock:
            waits = self._published is None and not self._unstitchable and not self.work.complete
            return waits and not self.missing and not self._ranges_left

    @property
    def published(self) -> Published | None:
        """The video that this run has published; None where it was there already, or is not yet."""
        with self._lock:
            return self._published

    def publish(self, published: Published) -> None:
        """Note that the video lies in storage."""
        with self._lock:
            self._published = published

    def give_up_stitching(self, reason: str) -> None:
        """Note that the stitch failed for good."""
        with self._lock:
            self._reason, self._unstitchable = reason, True

    @property
    def done(self) -> bool:
        """Whether every frame and the video are in storage."""
        with self._lock:
            return not self.missing and (self._published is not None or self.work.complete)

    # -- what happened -------------------------------------------------------------------------------------------------

    @property
    def rendered(self) -> int:
        """How many frames this run has rendered."""
        with self._lock:
            return self._rendered

    def estimates(self, given_up: Collection[int | None] = ()) -> tuple[float, float]:
        """What the plan estimated for the frames that this run has rendered, and for those to come, in seconds of one
        actor: a first frame has many times the steps of a later one. What starts from a frame that was `given_up` does
        not come."""
        behind = self._behind(frozenset(it for it in given_up if it is not None))
        with self._lock:
            if self.done:
                return self._estimated, 0.0
            never = sum(self._estimate(it) for it in behind if it not in self._available)
            return self._estimated, max(0.0, self._to_come - never)

    def _behind(self, given_up: frozenset[int]) -> Collection[int]:
        with self._lock:
            known, behind = self._never
        if known != given_up:
            behind = followers(self.work.plan, given_up)  # a walk over all frames
            with self._lock:
                self._never = given_up, behind
        return behind

    def _estimate(self, frame: int) -> float:
        return self.work.frames[frame].steps * self.work.plan.step_seconds

    @property
    def render_seconds(self) -> float:
        """Seconds that workers spent on the frames that this run has rendered."""
        with self._lock:
            return self._render_seconds

    @property
    def latest(self) -> tuple[float, int] | None:
        """When this run committed a frame last (Unix time), and which; None before the first."""
        with self._lock:
            return self._latest

    @property
    def first_frame_at(self) -> float | None:
        """When this run began to render its first frame (Unix time); None before its end."""
        with self._lock:
            return self._first_frame_at

    @property
    def reports(self) -> dict[int, FrameReport]:
        """What is known of the frames that this run has rendered."""
        with self._lock:
            return dict(self._reports)

    @property
    def failures(self) -> list[FailureRecord]:
        """Attempts that failed, in their order."""
        with self._lock:
            return list(self._failures)

    def failed(self, record: FailureRecord) -> None:
        """Note an attempt that failed."""
        with self._lock:
            self._failures.append(record)

    @property
    def reason(self) -> str:
        """Why something of the video failed for good, '' if nothing did."""
        with self._lock:
            return self._reason

    def failed_for_good(self, reason: str) -> None:
        """Note why a frame or segment is not tried again."""
        with self._lock:
            self._reason = reason

    @property
    def worker(self) -> str | None:
        """Who did something for the video last, and so may have its state in memory."""
        with self._lock:
            return self._worker

    def worked(self, worker: str) -> None:
        """Note who did something for the video."""
        with self._lock:
            self._worker = worker

    @property
    def plan_saved(self) -> bool:
        """Whether this run has put the plan beside the frames."""
        with self._lock:
            return self._plan_saved

    def saved_plan(self) -> None:
        """Note that the plan lies in storage."""
        with self._lock:
            self._plan_saved = True

    def continue_from(self, before: VideoRun) -> None:
        """Take over what `before`, the run of the same video under an earlier plan, has done."""
        was, first_frame_at = before.snapshot(), before.first_frame_at
        seconds, latest, (estimated, _) = before.render_seconds, before.latest, before.estimates()
        with self._lock:
            self._render_seconds, self._latest, self._estimated = seconds, latest, estimated
            self._reports, self._failures, self._rendered = was.reports, list(was.failures), was.rendered
            self._first_frame_at = first_frame_at

    def failing_frames(self) -> set[int | None]:
        """Return the frames that failed and are not there (None: a segment or the stitch); none of a video that is
        done."""
        with self._lock:
            return set() if self.done else {it.frame for it in self._failures if it.frame not in self._available}

    def snapshot(self) -> VideoSnapshot:
        """Return everything that a report tells, as of one moment."""
        with self._lock:
            published = self._published is not None or self.work.published
            return VideoSnapshot(
                frozenset(self._available), self._rendered, dict(self._reports), tuple(self._failures), self._reason,
                published,
            )  # fmt: skip
