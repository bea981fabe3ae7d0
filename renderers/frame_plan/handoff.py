"""Where each frame of a video starts: the order and the ties of a chain, and of a video with keyframes.

In a *chain* every frame starts from the one before, so one actor at a time renders it. With *keyframes* a few frames
run ahead, each from the keyframe before it by the camera's moves in one leap; what lies between two keyframes starts
from the left one and is drawn towards the right one, so that all these gaps can be rendered side by side. There are two
levels: keyframes far apart, few enough that running ahead takes little time, and between two of them, each by a leap
from the left one and drawn towards the right one, keyframes near enough that the gaps are small pieces of work.

Of a video that is drawn over a film frame by frame (`source.mode` each) no frame needs another: all are *single*.

The last frames of a *loop* are a gap too, whichever way the others follow each other: what it is drawn to is the first
frame, which comes again after the last.

Pure, and decided by the video alone: neither a cluster nor what was rendered before has a say.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterator
from dataclasses import dataclass

__all__ = ["FAR", "HOLD", "LEAP", "PULL", "Place", "chain_places", "keyframe_places", "single_places"]

# Near keyframes from one far keyframe to the next.
FAR = 4
# Weight of the squared distance between a frame and what it is drawn to, at the end of the way there.
PULL = 300.0
# Power of the share of the way by which its steps get smaller: Adam's are as long as ever, however hard the pull.
HOLD = 2
# Times that a far keyframe has the steps of another frame, and times the learning rate of a cold start that it begins
# with. One that leaps as a frame follows a frame loses, leap by leap, what a chain draws again on the way.
LEAP = 3
# Frames of a leap that has all of this; a leap over one frame is a frame like any other.
LEAP_FRAMES = 32


@dataclass(frozen=True, slots=True)
class Place:
    """Where frame `index` of a video lies: the frame `start` that it starts from (None: a cold start), and of a frame
    between two keyframes those two, `left` and `target_frame`, to the second of which it is drawn. `level` is 0 for far
    keyframes and the first frame of a video that has them, 1 for near ones, 2 for the frames of the gaps and of
    chains. `target_time` is the number that the target has in time, where that is not its own: the first frame of a
    loop, which comes again after the last; and which knows it by `again`."""

    index: int
    start: int | None
    left: int | None = None
    target_frame: int | None = None
    level: int = 2
    target_time: int | None = None
    again: bool = False

    @property
    def target_at(self) -> int | None:
        """When what it is drawn to is shown, in frames; None for what is drawn to none."""
        return self.target_frame if self.target_time is None else self.target_time

    @property
    def share(self) -> float:
        """How much of the way from `left` to its target it has behind it: 0 for what is drawn to none."""
        if self.left is None or self.target_at is None:
            return 0.0
        return (self.index - self.left) / (self.target_at - self.left)

    @property
    def leap(self) -> float:
        """How much of a whole leap it is from `start` to here, 0 to 1: 0 for what is no far keyframe."""
        if self.level or self.start is None:
            return 0.0
        return min(1.0, (self.index - self.start - 1) / (LEAP_FRAMES - 1))

    @property
    def ahead(self) -> bool:
        """Whether it is a keyframe that others are drawn to; so is the first frame of a loop."""
        return self.again or (self.level < 2 and self.start is not None)


def chain_places(frames: int, closing: int = 0) -> Iterator[Place]:
    """A chain of `frames` frames; of a loop the last `closing` lead back to the first."""
    going = frames - closing
    for index in range(going + 1 if closing else frames):
        yield Place(index, index - 1 if index else None, again=bool(closing) and not index)
    yield from _closing_places(going, frames)


def _closing_places(left: int, frames: int) -> Iterator[Place]:
    """The frames of a loop after frame `left`, each from the one before, and drawn to the first frame."""
    for index in range(left + 1, frames):
        yield Place(index, index - 1, left, 0, target_time=frames)


def single_places(frames: int) -> Iterator[Place]:
    """`frames` frames none of which starts from another: each has a frame of a film to start from."""
    return (Place(index, None) for index in range(frames))


def keyframe_places(frames: int, every: int, cuts: Collection[int] = (), closing: int = 0) -> Iterator[Place]:
    """The frames of a video with a keyframe about every `every` frames, each after all that it needs.

    `cuts` are frames at which something new begins (a scene): the frame before and the frame itself are far keyframes,
    so that nothing is drawn towards what it must not show yet. Of a loop the last `closing` frames lead back to the
    first, and the frame before them is a far keyframe.
    """
    last = frames - closing if closing else frames - 1
    far = sorted({*range(0, last + 1, every * FAR), *_both_sides(cuts, last + 1), last})
    yield Place(0, None, level=0, again=bool(closing))
    for start, index in itertools.pairwise(far):
        yield Place(index, start, level=0)
    keyframes = [*far]
    for left, right in itertools.pairwise(far):
        for index in range(left + every, right, every):
            keyframes.append(index)
            yield Place(index, left, left, right, 1)
    for left, right in itertools.pairwise(sorted(keyframes)):
        for index in range(left + 1, right):
            yield Place(index, index - 1, left, right)
    yield from _closing_places(last, frames)


def _both_sides(cuts: Collection[int], frames: int) -> Iterator[int]:
    for cut in cuts:
        if 0 < cut < frames:
            yield from (cut - 1, cut)
