"""The videos of an output as its runs' documents and its folders know them: one row each, in the order in which an
operator wants to see them. No storage and no clock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Literal

from flows.report.wording import one_line
from flows.runs.stored import StoredRun
from flows.runs.wanted import Wanted, wanted

__all__ = [
    "MESSAGE",
    "MOST_A_PAGE",
    "PAGE",
    "REVIEW",
    "STATES",
    "Query",
    "Snapshot",
    "StoredVideo",
    "VideoRow",
    "VideoState",
]

VideoState = Literal["failed", "rendering", "stitching", "waiting", "missing", "done"]

#: In the order in which an operator wants to see them.
STATES: tuple[VideoState, ...] = ("failed", "rendering", "stitching", "missing", "waiting", "done")

#: What the page asks for to see the videos to review, of whatever state.
REVIEW = "review"

PAGE = 100
MOST_A_PAGE = 500
MESSAGE = 600  # characters of a reason

_LIVE: dict[str, VideoState] = {"w": "waiting", "r": "rendering", "s": "stitching", "d": "done", "f": "failed"}
_OVER: dict[str, VideoState] = {**_LIVE, "w": "missing", "r": "missing", "s": "missing"}


@dataclass(frozen=True)
class StoredVideo:
    """A video that lies in the output and that no run's documents name, as its folder says it: `state` is one of done,
    missing, failed."""

    video_id: str
    state: str
    frames: int
    done: int
    missing: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Snapshot:
    """An output at the moment `now` (UTC): its `runs`, oldest first, and `others`, videos that none of them names.
    `reviews` are the videos that the report has a person look at, with the reasons."""

    output: str
    now: datetime
    runs: tuple[StoredRun, ...] = ()
    others: tuple[StoredVideo, ...] = ()
    more_runs: int = 0
    reviews: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def rows(self) -> list[VideoRow]:
        """Every video, in the order of `STATES`: for as long as nothing is read, the same for all who look."""
        rows = _videos_of(self)
        if not self.reviews:
            return rows
        return [replace(row, review=self.reviews[row.video_id]) if row.video_id in self.reviews else row
                for row in rows]  # fmt: skip

    @cached_property
    def wants(self) -> Wanted:
        """What the runs want, by the rule of `status` and the report."""
        return wanted(self.runs, self.now)


@dataclass(frozen=True)
class Query:
    """Which videos to show: in one of the `states` (none: in any; REVIEW: those to review), whose id holds `text`, so
    many from `offset` on."""

    states: frozenset[str] = frozenset()
    text: str = ""
    offset: int = 0
    limit: int = PAGE

    def takes(self, row: VideoRow) -> bool:
        wanted = not self.states or row.state in self.states or (REVIEW in self.states and bool(row.review))
        return wanted and self.text.lower() in row.video_id.lower()


@dataclass(frozen=True)
class VideoRow:
    """A video as the page lists it: `run` is the newest run that names it, '' if none does. One that is `refused` can't
    be rendered as its row is written, and failed with all its frames. `review` is why a person is to look at it."""

    video_id: str
    state: VideoState
    frames: int
    done: int
    run: str = ""
    reason: str = ""
    refused: bool = False
    review: str = ""


@dataclass
class _Merged:
    """All videos, each as the newest run that names it knows it."""

    rows: dict[str, VideoRow] = field(default_factory=dict)

    def take(self, row: VideoRow) -> None:
        self.rows.pop(row.video_id, None)  # to the end: the videos of the newest run come last, in its order
        self.rows[row.video_id] = row


def _videos_of(snapshot: Snapshot) -> list[VideoRow]:
    """Return every video of the output, in the order of `STATES`; within a state the newest run's first, in its
    manifest's order."""
    merged = _Merged()
    for stored in snapshot.others:
        state: VideoState = "done" if stored.state == "done" else "failed" if stored.state == "failed" else "missing"
        merged.take(VideoRow(stored.video_id, state, stored.frames, stored.done, "", one_line(stored.reason, MESSAGE)))
    order: dict[str, tuple[int, int]] = {}
    for number, run in enumerate(snapshot.runs):
        for place, row in enumerate(_rows_of(run, snapshot.now, snapshot.wants)):
            merged.take(row)
            order[row.video_id] = (-number, place)
    last = (len(snapshot.runs), 0)
    return sorted(merged.rows.values(), key=lambda row: (STATES.index(row.state), *order.get(row.video_id, last)))


def _rows_of(run: StoredRun, now: datetime, wants: Wanted) -> Iterable[VideoRow]:
    state, names = run.state, _LIVE if run.alive(now) else _OVER
    done = state.done if state is not None else ()
    # what a run that is gone was to try again stands failed, as `status` finds it
    left = {it.video_id for it in state.failures} if state is not None and not run.alive(now) else ()
    for place, (video, phase) in enumerate(zip(run.record.videos, run.phases(), strict=True)):
        there = done[place] if place < len(done) else 0
        found = names.get(phase, "missing")
        shown = "failed" if found == "missing" and video.video_id in left else found
        yield VideoRow(video.video_id, shown, video.frames, there, run.record.run)
    for refused in run.record.refused:
        if wants.refused.get(refused.video_id) is not refused:
            continue  # a later run of this manifest has taken the row, or has it no more
        yield VideoRow(
            refused.video_id, "failed", refused.frames, 0, run.record.run, one_line(refused.reason, MESSAGE), True
        )
