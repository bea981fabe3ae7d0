"""What a worker keeps in memory of the frames that it rendered: a cache, never the truth, but for those not committed.

One thread renders while others commit, so everything here is guarded by a lock.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from infra.workers.tasks import FrameReport

if TYPE_CHECKING:
    from renderers.frame_rendering.renderer import RenderedFrame
    from renderers.frame_rendering.state import FrameState

__all__ = ["RecentFrames", "Uncommitted"]


@dataclass(frozen=True)
class Uncommitted:
    """A frame that was `rendered` from the state `start` (None: cold) and is not in storage yet; `seconds` were spent
    on it until now."""

    rendered: RenderedFrame
    start: FrameState | None
    seconds: float


@dataclass
class _Recent:
    """A video being rendered: pictures for its next segment."""

    pictures: dict[str, tuple[np.ndarray, FrameReport]] = field(default_factory=dict)


class RecentFrames:
    """Keyed by the ids of videos and the digests of frames: equal videos of two names have equal digests."""

    # Bytes of pictures kept for segments, and videos kept at all; beyond it they are read back from storage.
    MEMORY = 512 * 2**20
    VIDEOS = 64
    # Frames rendered and not committed: those of a pass and of the one before, at most.
    UNCOMMITTED = 2 * VIDEOS
    # States that frames may start from or be drawn to: two for each that is rendered in a pass.
    STATES = 2 * VIDEOS

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._videos: OrderedDict[str, _Recent] = OrderedDict()
        self._uncommitted: OrderedDict[tuple[str, str], Uncommitted] = OrderedDict()
        self._theirs: OrderedDict[tuple[str, str], FrameState] = OrderedDict()
        self._states: OrderedDict[tuple[str, str], FrameState] = OrderedDict()

    def state(self, video_id: str, digest: str) -> FrameState | None:
        """Return the state of a frame that this worker rendered or read, if it is one of the last asked for."""
        with self._lock:
            if (video_id, digest) in self._states:
                self._states.move_to_end((video_id, digest))
            return self._states.get((video_id, digest))

    def keep(self, video_id: str, digest: str, state: FrameState) -> None:
        """Keep the state of a frame that was read."""
        with self._lock:
            self._keep(video_id, digest, state)

    def rendered(self, video_id: str, digest: str, frame: Uncommitted) -> None:
        """Keep a frame until it is committed, and its state for the next one."""
        with self._lock:
            self._uncommitted[video_id, digest] = frame
            # whoever asked for the oldest will never ask for them again
            while len(self._uncommitted) > self.UNCOMMITTED:
                self._uncommitted.popitem(last=False)
            self._videos.setdefault(video_id, _Recent())
            self._videos.move_to_end(video_id)
            self._keep(video_id, digest, frame.rendered.frame.state)

    def uncommitted(self, video_id: str, digest: str) -> Uncommitted | None:
        """Take out a frame that is not committed yet."""
        with self._lock:
            return self._uncommitted.pop((video_id, digest), None)

    def committed(self, video_id: str, digest: str, picture: np.ndarray, report: FrameReport) -> None:
        """Keep the picture of a frame that lies in storage now, for its segment."""
        with self._lock:
            mine = self._videos.setdefault(video_id, _Recent())
            kept = sum(picture.nbytes for one in self._videos.values() for picture, _ in one.pictures.values())
            # those of videos that somebody else goes on with
            while len(self._videos) > self.VIDEOS or kept + picture.nbytes > self.MEMORY:
                oldest = next(iter(self._videos))
                if oldest == video_id:
                    return
                kept -= sum(picture.nbytes for picture, _ in self._videos.pop(oldest).pictures.values())
            mine.pictures[digest] = (picture, report)

    def replaced(self, video_id: str, digest: str, state: FrameState) -> None:
        """Note that somebody else committed a frame first, whose state differs: the chain goes on from theirs."""
        with self._lock:
            self._theirs[video_id, digest] = state
            while len(self._theirs) > self.UNCOMMITTED:
                self._theirs.popitem(last=False)
            if (video_id, digest) in self._states:
                self._states[video_id, digest] = state

    def outdated(self, video_id: str, start_digest: str | None, start: FrameState | None) -> bool:
        """Say whether a frame began from a state of its start that was `replaced` since."""
        with self._lock:
            theirs = self._theirs.get((video_id, start_digest or ""))
        return theirs is not None and start is not None and start.to_bytes() != theirs.to_bytes()

    def pictures(self, video_id: str) -> dict[str, tuple[np.ndarray, FrameReport]]:
        """Take out the pictures of a video, by their frames' digests."""
        with self._lock:
            recent = self._videos.get(video_id)
            taken = dict(recent.pictures) if recent is not None else {}
            if recent is not None:
                recent.pictures.clear()
            return taken

    def _keep(self, video_id: str, digest: str, state: FrameState) -> None:
        self._states[video_id, digest] = state
        self._states.move_to_end((video_id, digest))
        while len(self._states) > self.STATES:
            self._states.popitem(last=False)
