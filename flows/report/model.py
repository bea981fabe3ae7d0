"""What the report of an output tells, as frozen data: no storage, no Prefect, no HTML.

The caller gathers these records (from the listing, the frames' provenance and the failure objects); `html.py` and
`markdown.py` turn the very same records into a page and into a Prefect artifact, so the two can never disagree.
"""

from __future__ import annotations

import math
import re
import statistics
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from flows.report.review import Flag, WorstFrame
from flows.report.series import Series
from flows.retry_and_quarantine.records import FailureRecord
from flows.runs.summed import RunSummary
from manifests.problems import Problems
from manifests.schema import AxisValue, Keyframes

State = Literal["done", "rendering", "waiting", "missing", "failed", "invalid"]

#: Worst news first: the order of badges, filters and of the list of incomplete videos.
STATES: tuple[State, ...] = ("invalid", "failed", "missing", "rendering", "waiting", "done")

STATE_MEANING: dict[State, str] = {
    "done": "every frame is there and the video is published",
    "missing": "some frames are not rendered, and no run is at it",
    "rendering": "a run renders it",
    "waiting": "a run will come to it",
    "failed": "some frames failed for good",
    "invalid": "the row could not be rendered as it is written",
}

#: Render time from which on the share of all other time is worth a look.
TELLING_SECONDS = 60.0

#: Videos in the list of the slowest.
SLOWEST = 10

#: (frame number, value) pairs; a `Series` where there are many.
Pairs = tuple[tuple[int, float], ...] | Series

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")


@dataclass(frozen=True)
class VideoReport:
    """One video (or still) of the output.

    `done` counts the frames that lie in storage, of `frames` wanted; of those, the run that made the report `rendered`
    some and found the others there (`skipped`). `poster` is a PNG or a JPEG. `video_href` and `sheet_href` are relative
    to `report/index.html` (`../reef/video.mp4`), because the page must work from any folder or bucket that it is copied
    to.
    `frame_losses`, `frame_seconds` and `frame_lumas` (of rows that renew) are (frame number, value) pairs; they may
    have gaps and NaNs. `candidates` are the scores of the starts of the first frame, None for one that failed, and
    `chosen` is the number of the one that it went on with.
    `first_frame_losses` holds one loss per step of the first frame. `seams` are (frame number, seam score) pairs.
    `schedules` are the columns that change in time, by name.
    `frame_scores` are those of `flows.report.review.SCORES` that were measured, each as pairs; `judge` is the model by
    which the likeness is. `flags` have the video looked at by a person; `worst` are its worst frames by each score, and
    `frame_hrefs` their pictures, relative as the others.
    `axes` say which of a source's combinations it is.
    `notes` are what people should know of a video that is none the worse for it.
    """

    video_id: str
    prompt: str
    model: str
    settings: Mapping[str, Any]
    frames: int
    done: int
    state: State
    reason: str = ""
    poster: bytes | None = None
    video_href: str | None = None
    video_mime: str | None = None
    sheet_href: str | None = None
    frame_losses: Pairs = ()
    first_frame_losses: tuple[float, ...] = ()
    frame_seconds: Pairs = ()
    frame_lumas: Pairs = ()
    segments: int = 0
    seams: tuple[tuple[int, float], ...] = ()
    failures: tuple[FailureRecord, ...] = ()
    fps: float = 24.0
    width: int = 0
    height: int = 0
    rendered: int = 0
    skipped: int = 0
    notes: tuple[str, ...] = ()
    candidates: tuple[float | None, ...] = ()
    chosen: int = 0
    schedules: Mapping[str, Keyframes] = field(default_factory=dict)
    frame_scores: Mapping[str, Pairs] = field(default_factory=dict)
    judge: str = ""
    flags: tuple[Flag, ...] = ()
    worst: tuple[WorstFrame, ...] = ()
    frame_hrefs: Mapping[int, str] = field(default_factory=dict)
    axes: tuple[AxisValue, ...] = ()

    def __post_init__(self) -> None:
        """Raises ValueError for a link that would leave the folder of the job."""
        hrefs = {name: getattr(self, name) for name in ("video_href", "sheet_href")}
        hrefs |= {f"frame_hrefs[{frame}]": href for frame, href in self.frame_hrefs.items()}
        for name, href in hrefs.items():
            if href is not None and (_SCHEME.match(href) or href.startswith(("/", "\\"))):
                raise ValueError(
                    f"{name} {href!r} of video {self.video_id!r} is not relative: "
                    "give it relative to report/index.html, such as '../reef/video.mp4'"
                )

    @property
    def render_seconds(self) -> float:
        """Seconds that actors spent on this video's frames, as far as they are known; earlier runs' frames included."""
        return sum(seconds for _, seconds in self.frame_seconds if math.isfinite(seconds))

    @property
    def median_seam(self) -> float:
        """The median of the seams' scores; 0 without any."""
        return statistics.median(score for _, score in self.seams) if self.seams else 0.0

    @property
    def worst_seam(self) -> tuple[int, float] | None:
        """The seam that shows most."""
        return max(self.seams, key=lambda seam: seam[1], default=None)

    @property
    def unresolved(self) -> tuple[FailureRecord, ...]:
        """Failures that still stand: the frame has not been rendered since (a frame's loss is proof that it was)."""
        if self.state == "done":
            return ()
        rendered = {frame for frame, _ in self.frame_losses}
        return tuple(failure for failure in self.failures if failure.frame is None or failure.frame not in rendered)


def per_frame(video: VideoReport) -> float:
    """Mean seconds of one frame, over the frames whose time is known; 0 if none is."""
    timed = sum(math.isfinite(seconds) for _, seconds in video.frame_seconds)
    return video.render_seconds / timed if timed else 0.0


@dataclass(frozen=True)
class JobReport:
    """All of one output root, as of `finished`, and the run that made the report.

    `videos` and `problems` are the output's: whoever rendered them. `runs` made it, the newest first; `running` says
    that one of them had not ended. `hosts` is what machines lack, a sentence for each, as runs that are at work or the
    latest run found it. The rest is of the run that made the report, all its attempts together (of the
    frames that earlier attempts rendered, `rendered_before`, no video says so).

    `wall_seconds` is the time from start to end as a person waits it; `render_seconds` is the time that actors spent on
    frames, summed over all of them; `start_up_seconds` the part of the wall time before the first frame was begun
    (server, Ray, models). `actors` is the number of actors that were held, None when unknown; `gpus_per_actor` may be a
    fraction.
    """

    title: str
    manifest: str
    output: str
    started: str | datetime
    finished: str | datetime
    wall_seconds: float
    render_seconds: float
    versions: Mapping[str, str] = field(default_factory=dict)
    videos: tuple[VideoReport, ...] = ()
    problems: Problems = Problems()  # noqa: RUF009 - a tuple
    start_up_seconds: float = 0.0
    actors: int | None = None
    gpus_per_actor: float = 0.0
    runs: tuple[RunSummary, ...] = ()
    running: bool = False
    rendered_before: int = 0
    unread: int = 0
    hosts: tuple[str, ...] = ()

    @property
    def states(self) -> dict[State, int]:
        """Videos per state, worst state first, states without a video included."""
        counts = Counter(video.state for video in self.videos)
        return {state: counts[state] for state in STATES}

    @property
    def frames(self) -> int:
        """Frames wanted, of all videos."""
        return sum(video.frames for video in self.videos)

    @property
    def frames_done(self) -> int:
        """Frames that lie in storage."""
        return sum(video.done for video in self.videos)

    @property
    def rendered(self) -> int:
        """Frames that the run rendered, in all its attempts."""
        return sum(video.rendered for video in self.videos) + self.rendered_before

    @property
    def skipped(self) -> int:
        """Frames that were there already."""
        return max(0, self.frames_done - self.rendered)

    @property
    def incomplete(self) -> tuple[VideoReport, ...]:
        """Videos that are not done, worst state first, in manifest order within a state."""
        return tuple(sorted((v for v in self.videos if v.state != "done"), key=lambda video: STATES.index(video.state)))

    @property
    def to_review(self) -> tuple[VideoReport, ...]:
        """Videos that a person is to look at, those with the most frames beyond a limit first."""
        flagged = [video for video in self.videos if video.flags]
        return tuple(sorted(flagged, key=lambda video: -max(len(flag.frames) for flag in video.flags)))

    @property
    def bad_rows(self) -> int:
        """Rows with at least one problem (a row may have several)."""
        return self.problems.rows

    @property
    def complete(self) -> bool:
        """True if every row was good and every video is there."""
        return not self.problems and not self.incomplete

    @property
    def failures_by_kind(self) -> dict[str, int]:
        """Failed attempts per error class, the most frequent first; attempts that a retry made good are counted too."""
        counts = Counter(failure.kind for video in self.videos for failure in video.failures)
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    @property
    def slowest(self) -> tuple[VideoReport, ...]:
        """The videos that took the most render time, of those that this job rendered frames of: at most `SLOWEST`."""
        timed = [video for video in self.videos if video.rendered and video.render_seconds > 0]
        return tuple(sorted(timed, key=lambda video: -video.render_seconds)[:SLOWEST])

    @property
    def actor_hours(self) -> float:
        """Hours in which an actor was rendering, summed over actors."""
        return self.render_seconds / 3600

    @property
    def gpu_hours(self) -> float:
        """Actor hours times the share of a GPU that an actor holds; 0 on CPUs."""
        return self.actor_hours * self.gpus_per_actor

    @property
    def overhead(self) -> float | None:
        """Share of actor time, start-up aside, in which no frame was rendered, over the time in which one was.

        `(wall - start-up) * actors / render - 1`: 0.05 means five per cent on top of pure render time. It holds
        planning, commits, stitching and idle actors alike. None if nothing was rendered or the actors are unknown.
        """
        if self.render_seconds <= 0 or not self.actors:
            return None
        return max(0.0, (self.wall_seconds - self.start_up_seconds) * self.actors / self.render_seconds - 1)

    @property
    def telling_overhead(self) -> float | None:
        """`overhead`, where it says something: of a job of seconds it says how long a server takes to start."""
        return self.overhead if self.render_seconds >= TELLING_SECONDS else None
