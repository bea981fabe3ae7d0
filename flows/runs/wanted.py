"""What the runs of an output say of its videos that its folders do not: what is still to come, and what can't be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from flows.runs.latest import latest_of
from flows.runs.record import RefusedVideo
from flows.runs.stored import StoredRun
from manifests.problems import Problems
from manifests.results import RowProblem

__all__ = ["Turn", "Wanted", "wanted"]

#: Where a video stands with a run that lives: its turn has not come, or it is rendered.
Turn = Literal["waiting", "rendering"]

_TURNS: Mapping[str, Turn] = {"w": "waiting", "r": "rendering", "s": "rendering"}


@dataclass(frozen=True)
class Wanted:
    """What the runs of an output want. Of each manifest its latest run counts (`latest_of`): a row that was repaired
    since is good.

    `frames` holds how many frames each wanted video has, `turns` those that a living run is still to finish, `refused`
    the good rows that can't be rendered and that no later run has taken, `problems` what is wrong with bad rows.
    `reviews` are the limits of scores that the latest runs' rows set, by their names in `review`: of every video of
    which a run says so, be it that there are none. A limit that is moved leaves the stored plan as it was.
    """

    frames: Mapping[str, int] = field(default_factory=dict)
    turns: Mapping[str, Turn] = field(default_factory=dict)
    refused: Mapping[str, RefusedVideo] = field(default_factory=dict)
    problems: Problems = Problems()  # noqa: RUF009 - a tuple
    reviews: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @property
    def videos(self) -> tuple[str, ...]:
        """Every video that is named, in the order of the runs and their rows."""
        return tuple({**self.frames, **self.refused})


def wanted(runs: Sequence[StoredRun], now: datetime | None = None) -> Wanted:
    """Return what `runs`, oldest first, want. `now` decides which of them live."""
    taken = {video.video_id: run.record.run for run in runs for video in run.record.videos}
    last = latest_of(runs)
    return Wanted(
        frames={video.video_id: video.frames for run in last for video in run.record.videos},
        turns={video: turn for run in runs if run.alive(now) for video, turn in _turns(run)},
        refused={
            video.video_id: video
            for run in last
            for video in run.record.refused
            if taken.get(video.video_id, "") <= run.record.run
        },
        problems=_problems(last, taken),
        reviews=_reviews(runs),
    )


def _reviews(runs: Sequence[StoredRun]) -> dict[str, Mapping[str, float]]:
    """The limits that rows set, as the latest run of each video had them."""
    none: Mapping[str, float] = {}
    found: dict[str, Mapping[str, float]] = {}
    for run in runs:
        if run.record.reviews is not None:
            found |= dict.fromkeys((video.video_id for video in run.record.videos), none)
            found |= run.record.reviews
    return found


def _problems(last: Sequence[StoredRun], taken: Mapping[str, str]) -> Problems:
    """What is wrong with rows that no later run has taken, each once."""
    found, seen = Problems(), set[RowProblem]()
    for run in last:
        problems = run.record.all_problems
        outdated = [it for it in problems if taken.get(it.video_id or "", "") > run.record.run or it in seen]
        found = found.joined(problems.without(outdated))
        seen.update(problems)
    return found


def _turns(run: StoredRun) -> Iterator[tuple[str, Turn]]:
    for video, letter in zip(run.record.videos, run.phases(), strict=True):
        if (turn := _TURNS.get(letter)) is not None:
            yield video.video_id, turn
