"""Where the videos of a job stand, by their names: a run is made of a video when it is first asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from flows.job.state import VideoRun
from flows.planning.remaining import VideoWork

__all__ = ["VideoRuns", "missing_of", "works_of"]


class VideoRuns(Mapping[str, VideoRun]):
    """The runs of videos, in the order of these. Of a video that nobody has asked for, all that is known is its work.
    Safe to share by threads: whoever asks for a run gets the same one."""

    def __init__(self, works: Iterable[VideoWork]) -> None:
        self._works = {work.video_id: work for work in works}
        self._runs: dict[str, VideoRun] = {}

    def __getitem__(self, video_id: str) -> VideoRun:
        run = self._runs.get(video_id)
        # of two that are made at the same moment one is everybody's
        return run if run is not None else self._runs.setdefault(video_id, VideoRun(self._works[video_id]))

    def __iter__(self) -> Iterator[str]:
        return iter(self._works)

    def __len__(self) -> int:
        return len(self._works)

    def __contains__(self, video_id: object) -> bool:
        return video_id in self._works

    @property
    def works(self) -> Iterable[VideoWork]:
        """What was to do for each, as it was planned."""
        return self._works.values()

    @property
    def missing(self) -> int:
        """How many frames are not in storage now."""
        runs = self._runs
        return sum(
            run.missing if (run := runs.get(video)) is not None else work.missing for video, work in self._works.items()
        )


def works_of(runs: Mapping[str, VideoRun]) -> Iterable[VideoWork]:
    """Return what was to do for each of `runs`, without making any."""
    return runs.works if isinstance(runs, VideoRuns) else [run.work for run in runs.values()]


def missing_of(runs: Mapping[str, VideoRun]) -> int:
    """Return how many frames of `runs` are not in storage now, without making any."""
    return runs.missing if isinstance(runs, VideoRuns) else sum(run.missing for run in runs.values())
