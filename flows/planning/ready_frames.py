"""Which frames of a task run can be rendered now, in one pass.

They wait in queues: in each, a frame starts from the one before, so that the first of every queue can be rendered in
the same pass. A chain is one queue; of a video with keyframes those far apart are one, each near one is by itself, and
each gap is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable
from typing import Generic, Protocol, TypeVar

from flows.planning.remaining import VideoWork

__all__ = ["ReadyFrames", "RenderingVideo", "is_due"]


class RenderingVideo(Protocol):
    """What is asked of a video that is being rendered."""

    @property
    def work(self) -> VideoWork:
        """What was to do for it."""

    def has(self, frame: int, /) -> bool:
        """Return whether a frame lies in storage."""

    def wants(self, frame: int, /) -> bool:
        """Return whether a frame is missing and is to be rendered."""


V = TypeVar("V", bound=RenderingVideo)


def is_due(run: RenderingVideo, index: int) -> bool:
    """Return whether a frame is to be rendered, and all is there that it needs."""
    return run.wants(index) and all(run.has(need) for need in run.work.frames[index].needs)


class ReadyFrames(Generic[V]):
    """What is to be rendered, in queues; those come first that were added first, and none needs a later one."""

    def __init__(self) -> None:
        self._queues: dict[tuple[str, int, int | None], tuple[V, deque[int]]] = {}

    def add(self, run: V, frames: Iterable[int]) -> None:
        """Add frames of a video, each after those that it needs."""
        for index in frames:
            self._queue(run, index).append(index)

    def put_back(self, run: V, index: int) -> None:
        """Have a frame that was taken rendered once more, before all others of its queue."""
        self._queue(run, index).appendleft(index)

    def take(self, most: int, committing: Collection[tuple[str, int]] = ()) -> list[tuple[V, int]]:
        """Return the next frame of up to `most` queues; drop what need not or can't be rendered. A frame (of a video)
        that is being committed is as good as there for one that starts from it (it is in its worker's memory); others
        wait."""
        taken: list[tuple[V, int]] = []
        for run, frames in self._queues.values():
            if len(taken) == most:
                break
            coming = {index for video, index in committing if video == run.work.video_id}
            if self._is_next(run, frames, coming):
                taken.append((run, frames[0]))
        for run, index in taken:  # now only: others were to see that they are still to come
            self._queue(run, index).popleft()
        self._queues = {key: queue for key, queue in self._queues.items() if queue[1]}
        return taken

    def _is_next(self, run: V, frames: deque[int], coming: Collection[int]) -> bool:
        """Return whether the first of `frames` can be rendered now; take off those before it that never can."""
        while frames:
            frame = run.work.frames[frames[0]]
            absent = [need for need in frame.needs if not run.has(need)]
            if run.wants(frame.index) and all(need in coming or self._holds(run, need) for need in absent):
                return all(need == frame.start and need in coming for need in absent)
            frames.popleft()  # one whose start failed waits for a re-run with that one
        return False

    def _holds(self, run: V, index: int) -> bool:
        queue = self._queues.get(self._key(run, index))
        return queue is not None and index in queue[1]

    def _queue(self, run: V, index: int) -> deque[int]:
        return self._queues.setdefault(self._key(run, index), (run, deque()))[1]

    @staticmethod
    def _key(run: V, index: int) -> tuple[str, int, int | None]:
        frame = run.work.frames[index]
        return run.work.video_id, frame.level, index if frame.level == 1 else frame.target_frame
