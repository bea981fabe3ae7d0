"""One frame as it is planned: what decides it, where it starts, and what a re-run decided about it."""

from __future__ import annotations

from dataclasses import dataclass

from renderers.plan.camera_move import CameraMove
from renderers.plan.handoff import leap_share

__all__ = ["FramePlan", "Retake", "WeightedPrompt"]


@dataclass(frozen=True, slots=True)
class WeightedPrompt:
    """A prompt at one frame: its weight already carries the crossfade."""

    text: str
    weight: float
    stop: float


@dataclass(frozen=True, slots=True)
class FramePlan:
    """All that decides frame `index`, but for the video's own settings."""

    index: int
    prompts: tuple[WeightedPrompt, ...]
    camera: CameraMove  # from the frame that it starts from
    steps: int
    digest: str
    start_digest: str | None  # digest of the frame that this one starts from; None for a cold start
    seed: int | None = None  # of a retake; None: the row's

    kept: bool = False  # it starts from another take of a frame than the one that the video shows
    retaken_from: str = ""  # the digest that it would have without a retake of its own, if it has one
    start: int | None = None  # the number of the frame that it starts from
    target_frame: int | None = None  # the number and the digest of the keyframe that it is drawn to
    target_digest: str = ""
    back: CameraMove | None = None  # from that keyframe to here
    share: float = 0.0  # of the way to it, above 0 and below 1
    level: int = 2  # see `renderers.plan.handoff.Place`
    needs: tuple[int, ...] = ()  # the numbers of those frames of the video that must be there before this one

    @property
    def ahead(self) -> bool:
        """Whether it is a keyframe that others are drawn to."""
        return self.level < 2 and self.start is not None

    @property
    def leap(self) -> float:
        """See `renderers.plan.handoff.leap_share`."""
        return leap_share(self.index, self.start, self.level)

    @property
    def planned(self) -> str:
        """The digest that it would have without a retake of its own."""
        return self.retaken_from or self.digest


@dataclass(frozen=True)
class Retake:
    """A decision about one frame that was taken after it had been planned: another `seed`, or the digests of the takes
    that it goes on from (`start_digest`) and is drawn to (`target_digest`) though those frames were taken anew.

    It holds where frame `frame` would have the digest `instead_of` without it, and nowhere else: when the row changes
    in what decides that frame, the decision lapses. One with neither takes an earlier decision back.
    """

    frame: int
    instead_of: str
    seed: int | None = None
    start_digest: str | None = None
    target_digest: str | None = None
