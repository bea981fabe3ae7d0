"""In which order a job's chunks begin. Decisions only: nothing here renders, waits or looks at a clock.

A chunk can begin once the one that it starts from is done. Those that can are begun in the planner's order, which
finishes one video after the other. But a chain renders on one actor at a time: begun too late it keeps one actor busy
when all others have nothing left to do. So a chain as long as what is left for each actor goes before all else
(critical path scheduling, Graham 1969: whoever has most behind it comes first). So do keyframes that several others
wait for, once they have begun: they are little work, and much can begin after them.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Sequence

from flows.planning.chunks import Chunk

__all__ = ["Schedule"]

# Estimates are wrong, and chunks can't be cut when they have begun: a chain is urgent this long before it must be.
EARLY = 0.7


class Schedule:
    """The chunks of a job that have not begun."""

    def __init__(self, chunks: Sequence[Chunk], can_begin: Callable[[Chunk], bool]) -> None:
        """`can_begin` says whether the frames are there that a chunk needs."""
        self._can_begin = can_begin
        self._waiting = dict(enumerate(chunks))
        self._ready: list[tuple[int, Chunk]] = []
        self._ended: set[str] = set()
        self._begun = 0
        self._left = sum(chunk.seconds for chunk in chunks)
        # how many wait for a frame of a video
        self._needed = Counter((chunk.parts[0].video, need) for chunk in chunks for need in chunk.needs)
        # with all that comes after it
        self._behind: dict[str, float] = {}
        for chunk in reversed(chunks):
            self._behind[chunk.name] = self._behind.get(chunk.name, 0.0) + chunk.seconds
            if chunk.after is not None:
                self._behind[chunk.after] = max(self._behind.get(chunk.after, 0.0), self._behind[chunk.name])

    def __len__(self) -> int:
        """Return how many could begin."""
        return len(self._ready)

    def ended(self, chunk: Chunk) -> None:
        """Note that a chunk is done, or has failed."""
        self._ended.add(chunk.name)

    def look(self, *, all_of_them: bool = False) -> None:
        """Find those that can begin by now; `all_of_them`: whether they can or not, which they then say themselves."""
        for place, chunk in list(self._waiting.items()):
            able = (chunk.after is None or chunk.after in self._ended) and self._can_begin(chunk)
            if able or all_of_them:
                heapq.heappush(self._ready, (place, self._waiting.pop(place)))

    def next(self, actors: int) -> tuple[int, Chunk]:
        """Take the one to begin next on one of `actors`, and its turn among those that wait for an actor."""
        longest = max(self._ready, key=lambda ready: self._behind[ready[1].name])
        chunk = longest[1]
        # the order of beginning: one that has waited must not be passed by all that come after it
        self._begun += 1
        turn = self._begun
        if self._behind[chunk.name] * actors > EARLY * self._left and chunk.seconds < self._behind[chunk.name]:
            self._ready.remove(longest)
            heapq.heapify(self._ready)
            turn -= len(self._behind)  # before all that are not urgent
        else:
            _, chunk = heapq.heappop(self._ready)
            if sum(self._needed[part.video, frame] for part in chunk.parts for frame in part.frames) > 1:
                turn -= len(self._behind)
        self._left -= chunk.seconds
        return turn, chunk
