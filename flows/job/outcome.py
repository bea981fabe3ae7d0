"""How a job stands in numbers, and in one sentence: in its run's state, its progress, its report and its command.

One rule counts rows that are no good, everywhere. A *refused* row is good by itself but can't be rendered (its picture
is missing, its video would replace another): it is a video that failed, all of its frames missing. A *bad* row can't be
read: nobody knows its frames, so it is no video and is counted by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch

from flows.job.job import RenderJob
from manifests.schema.texts import plural

__all__ = ["GOES_ON", "JobCounts", "Outcome", "outcome", "outcome_of_error"]

GOES_ON = "what it committed stays, and the next run goes on from there"


@dataclass(frozen=True)
class JobCounts:
    """The numbers of a job; `videos_failed` are those that can't be, or could not be, rendered or published."""

    frames: int
    frames_missing: int
    videos: int
    videos_done: int
    videos_failed: int
    bad_rows: int
    rendered: int

    @classmethod
    def of(cls, job: RenderJob, rendered_before: int = 0) -> JobCounts:
        """Count a job; `rendered_before` frames were rendered by earlier attempts of its run."""
        missing, frames = job.frames_missing
        runs = list(job.runs.values())
        return cls(
            frames=frames,
            frames_missing=missing,
            videos=len(runs) + len(job.refused),
            videos_done=sum(run.done for run in runs),
            videos_failed=job.videos_failed,
            bad_rows=job.bad_rows,
            rendered=sum(run.rendered for run in runs) + rendered_before,
        )

    @property
    def videos_text(self) -> str:
        """`2 of 3 videos done, 1 failed, 2 bad rows`: what is zero is left out."""
        parts = [f"{self.videos_done:,} of {plural(self.videos, 'video')} done"]
        parts += [f"{self.videos_failed:,} failed"] if self.videos_failed else []
        parts += [plural(self.bad_rows, "bad row")] if self.bad_rows else []
        return ", ".join(parts)

    @property
    def all_text(self) -> str:
        """`all 13 frames of 2 videos are`."""
        if self.frames == 1:
            return "the only frame of 1 video is"
        return f"all {self.frames:,} frames of {plural(self.videos, 'video')} are"

    @property
    def progress_text(self) -> str:
        """`13 of 14 frames, 2 of 3 videos done, 1 failed`."""
        done = self.frames - self.frames_missing
        return f"{done:,} of {plural(self.frames, 'frame')}, {self.videos_text}"

    @property
    def rendered_text(self) -> str:
        """`6 frames rendered by this run`."""
        return f"{plural(self.rendered, 'frame')} rendered by this run"


@dataclass(frozen=True)
class Outcome:
    """How a job ended: the name of its run's final state, and what that says. `complete`: all is there."""

    name: str
    message: str
    counts: JobCounts

    @property
    def complete(self) -> bool:
        """Whether every row was good and every video is there."""
        return self.name == "Completed"


def outcome(job: RenderJob, rendered_before: int = 0) -> Outcome:
    """Return how a job that has ended did so."""
    counts = JobCounts.of(job, rendered_before)
    name, headline = _named(job, counts)
    if name == "Completed":
        return Outcome(name, f"{headline}; {counts.rendered_text}", counts)
    return Outcome(name, f"{headline}; {counts.videos_text}; {counts.rendered_text}", counts)


@singledispatch
def outcome_of_error(error: BaseException) -> tuple[str, str]:
    """Return the name of the state in which `error` ends a run, and what there is to say of it.

    What ends a run and is no error registers its own; Prefect's are in flows/orchestration/endings.py.
    """
    return type(error).__name__, str(error)


@outcome_of_error.register
def _(_: KeyboardInterrupt) -> tuple[str, str]:
    return "Stopped", f"by Ctrl-C: {GOES_ON}"


@outcome_of_error.register
def _(_: SystemExit) -> tuple[str, str]:
    return "Stopped", f"its process was told to end: {GOES_ON}"


def _named(job: RenderJob, counts: JobCounts) -> tuple[str, str]:
    missing = f"{counts.frames_missing}/{counts.frames} frames missing"
    if job.lost:
        return "ClusterLost", f"{missing}; {job.lost}"
    if job.gave_up:
        return "TooManyFailures", f"{missing}; gave up: {job.gave_up}"
    if counts.frames_missing:
        return "FramesMissing", missing
    unfinished = [run for run in job.runs.values() if not run.done]
    if unfinished:
        reason = next((run.reason for run in unfinished if run.reason), "")
        return "VideosMissing", f"{plural(len(unfinished), 'video')} not published{f': {reason}' if reason else ''}"
    if counts.bad_rows:
        rows = plural(counts.bad_rows, "row of the manifest is", "rows of the manifest are")
        return "RowsInvalid", f"{rows} invalid; all others are rendered"
    return "Completed", f"{plural(counts.frames, 'frame')}, {plural(counts.videos, 'video')}"
