"""The frames of a task run in lanes: in each, a frame starts from the one before, so that one of every lane can be
rendered in the same pass. A chain is one lane; of a video with keyframes those far apart are one, each near one is by
itself, and each gap is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable
from typing import Generic, Protocol, TypeVar

from flows.planning.remaining import VideoWork

__all__ = ["ReadyFrames", "RenderingVideo", "is_due"]


class RenderingVideo(Protocol):
    """What lanes ask of a video that is being rendered: its `work`, and which frames lie in storage (`available`)."""

    @property
    def work(self) -> VideoWork: ...
    @property
    def available(self) -> set[int]: ...
    def wanted(self, index: int) -> bool: ...


V = TypeVar("V", bound=RenderingVideo)


def is_due(run: RenderingVideo, index: int) -> bool:
    """Whether a frame is to be rendered, and all is there that it needs."""
    return _is_missing(run, index) and run.available.issuperset(run.work.frames[index].needs)


class ReadyFrames(Generic[V]):
    """What is to be rendered, in lanes; those come first that were added first, and none needs a later one."""

    def __init__(self) -> None:
        self._lanes: dict[tuple[str, int, int | None], tuple[V, deque[int]]] = {}

    def add(self, run: V, frames: Iterable[int]) -> None:
        """Add frames of a video, each after those that it needs."""
        for index in frames:
            self._lane(run, index).append(index)

    def put_back(self, run: V, index: int) -> None:
        """Have a frame that was taken rendered once more, before all others of its lane."""
        self._lane(run, index).appendleft(index)

    def take(self, most: int, committing: Collection[tuple[str, int]] = ()) -> list[tuple[V, int]]:
        """The next frame of up to `most` lanes; drops what need not or can't be rendered. A frame (of a video) that is
        being committed is as good as there for one that starts from it (it is in its worker's memory); others wait."""
        taken: list[tuple[V, int]] = []
        for run, frames in self._lanes.values():
            if len(taken) == most:
                break
            coming = {index for video, index in committing if video == run.work.video_id}
            if self._is_next(run, frames, coming):
                taken.append((run, frames[0]))
        for run, index in taken:  # now only: others were to see that they are still to come
            self._lane(run, index).popleft()
        self._lanes = {key: lane for key, lane in self._lanes.items() if lane[1]}
        return taken

    def _is_next(self, run: V, frames: deque[int], coming: Collection[int]) -> bool:
        """Whether the first of `frames` can be rendered now; takes off those before it that never can."""
        while frames:
            frame = run.work.frames[frames[0]]
            absent = [need for need in frame.needs if need not in run.available]
            if _is_missing(run, frame.index) and all(need in coming or self._holds(run, need) for need in absent):
                return all(need == frame.start and need in coming for need in absent)
            frames.popleft()  # one whose start failed waits for a re-run with that one
        return False

    def _holds(self, run: V, index: int) -> bool:
        lane = self._lanes.get(self._key(run, index))
        return lane is not None and index in lane[1]

    def _lane(self, run: V, index: int) -> deque[int]:
        return self._lanes.setdefault(self._key(run, index), (run, deque()))[1]

    @staticmethod
    def _key(run: V, index: int) -> tuple[str, int, int | None]:
        frame = run.work.frames[index]
        return run.work.video_id, frame.level, index if frame.level == 1 else frame.target_frame


def _is_missing(run: RenderingVideo, index: int) -> bool:
    return index not in run.available and run.wanted(index)
