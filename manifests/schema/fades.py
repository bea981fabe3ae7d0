"""How the scenes of a video follow each other: which of them a frame shows, and how much of each."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence

from manifests.schema.scenes import Scene

__all__ = ["Fades", "Shares"]

Shares = tuple[tuple[int, float], ...]
"""The scenes that a frame shows, by number, each with its share; the shares come to 1."""

# The first scene, and nothing else.
_FIRST: Shares = ((0, 1.0),)


class Fades:
    """The scenes of one video, in order.

    A new one fades in over its own `crossfade` frames from its key on, or over those given here. With `travel` each
    stands alone at its key, and the video goes evenly from key to key, after it has waited for the share `hold` of the
    way (prompt-travel's `prompt_fixed_ratio`).
    """

    def __init__(self, scenes: Sequence[Scene], crossfade: int, *, travel: bool = False, hold: float = 0.0) -> None:
        self._starts = [scene.at for scene in scenes]
        self._travel, self._hold = travel, hold
        self._crossfades = [crossfade if scene.crossfade is None else scene.crossfade for scene in scenes]

    def shares(self, index: int) -> Shares:
        """The scenes that frame `index` shows."""
        current = bisect_right(self._starts, index) - 1
        if self._travel:
            return self._travelled(current, index)
        if current == 0:
            return _FIRST
        start = self._starts[current]
        share = min(1.0, (index - start + 1) / (self._fade(current) + 1))
        if share == 1.0:
            return ((current, 1.0),)
        return (current - 1, 1 - share), (current, share)

    def closed(self, index: int, frames: int, closing: int) -> float:
        """How much frame `index` of a loop of `frames` frames shows of the first one, which comes again after the last:
        evenly more over the last `closing` frames; with `travel` all the way from the key of the last scene."""
        begins = float(frames - closing)
        if self._travel:
            begins = self._starts[-1] + self._hold * (frames - self._starts[-1])
        return max(0.0, (index - begins) / (frames - begins)) if begins < frames else 0.0

    def shown(self, number: int, frames: int) -> range:
        """The frames of a video of `frames` frames that show scene `number`."""
        stop = frames
        if self._travel:
            stop = self._starts[number + 1] if number + 1 < len(self._starts) else frames
            # one that is waited for all the way is a cut
            begins = min(math.floor(self._waits_until(number - 1)) + 1, self._starts[number]) if number else 0
            return range(begins, stop)
        if number + 1 < len(self._starts):
            stop = min(frames, self._starts[number + 1] + self._fade(number + 1))
        return range(self._starts[number], stop)

    def _travelled(self, current: int, index: int) -> Shares:
        wait = self._waits_until(current)
        if current + 1 == len(self._starts) or index <= wait:
            return ((current, 1.0),)
        share = (index - wait) / (self._starts[current + 1] - wait)
        return (current, 1 - share), (current + 1, share)

    def _waits_until(self, number: int) -> float:
        """The last moment at which scene `number` stands alone; of the last scene, that of its key."""
        start = self._starts[number]
        if number + 1 == len(self._starts):
            return start
        return start + self._hold * (self._starts[number + 1] - start)

    def _fade(self, number: int) -> int:
        # a scene that begins before the last fade has ended cuts that fade short.
        fade = self._crossfades[number]
        return min(fade, self._starts[number + 1] - self._starts[number]) if number + 1 < len(self._starts) else fade
