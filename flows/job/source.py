"""Where the work of a job comes from, and what it amounts to. A manifest is one source (flows/job/manifest_source.py),
what lies in storage another: a re-run (flows/job/reruns.py)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from flows.job.row_warnings import Warnings
from flows.job.state import VideoRun
from flows.job.video_runs import missing_of, works_of
from flows.planning.remaining import VideoWork
from infra.storage.storage import ReadingPolicy, Storage
from infra.workers.tasks import FrameReport
from manifests.problems import Problems
from manifests.schema import ManifestRow

__all__ = ["Comparison", "JobPlan", "WorkSource"]


@dataclass(frozen=True)
class JobPlan:
    """What a job is to do: a run for each video, problems of the manifest's rows, and good rows that can't be rendered
    with the reasons. `errors` has those reasons, by video id, for which the row is not to blame. `damaged` says of
    documents in the output that can't be read which it is and what to do. `warnings` are of good rows. `parts` is how
    many parts the manifest has, where this is one of them. `runs` is never changed, only replaced by another plan's."""

    runs: Mapping[str, VideoRun] = field(default_factory=dict)
    problems: Problems = Problems()  # noqa: RUF009 - a tuple
    refused: tuple[tuple[ManifestRow, str], ...] = ()
    errors: Mapping[str, Exception] = field(default_factory=dict)
    damaged: tuple[str, ...] = ()
    warnings: Warnings = field(default_factory=Warnings)
    parts: int = 0

    @property
    def frames_missing(self) -> tuple[int, int]:
        """Frames that are still missing, of all frames wanted (rows that could not be planned count whole)."""
        refused = sum(row.frames for row, _ in self.refused)
        return missing_of(self.runs) + refused, sum(work.settings.frames for work in self.works) + refused

    @property
    def works(self) -> Iterable[VideoWork]:
        """What was to do for each video, as it was planned."""
        return works_of(self.runs)


class Comparison(Protocol):
    """Looks at every frame as it is rendered, and decides whether there is a next."""

    def __call__(self, run: VideoRun, index: int, render: Callable[[], FrameReport | None]) -> FrameReport | None:
        """Call `render` and return what it returns; see `VideoRun.converge`."""


class WorkSource(Protocol):
    """Knows what a job is to do."""

    @property
    def comparison(self) -> Comparison | None:
        """What each frame is to be rendered through, one after the other; None: frames may be rendered together, and
        one begun before it is known what became of the one before."""

    def folders(self, output: Storage) -> tuple[str, ...]:
        """Return the folders of the manifests that its rows are of: what they name may lie there."""

    def read(self, output: Storage, *, write: bool, reading: ReadingPolicy) -> JobPlan:
        """Plan against storage; `write` False promises to leave no trace. `reading`: what rows may name."""

    def plan_again(self, output: Storage, plan: JobPlan) -> JobPlan | None:
        """Return the plan of what is to do after all chunks of `plan`, or None if that was all."""

    def summary(self, plan: JobPlan) -> str:
        """Return a sentence for people: what will be rendered."""
