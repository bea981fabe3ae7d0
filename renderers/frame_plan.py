"""One frame as it is planned: what decides it, where it starts, and what a re-run decided about it."""

from __future__ import annotations

from dataclasses import dataclass

from renderers.camera_move import CameraMove

__all__ = ["FramePlan", "Leg", "Retake", "WeightedPrompt"]


@dataclass(frozen=True, slots=True)
class WeightedPrompt:
    """A prompt at one frame: its weight already carries the crossfade."""

    text: str
    weight: float
    stop: float


@dataclass(frozen=True, slots=True)
class Leg:
    """A stretch of the way to a frame, each with the frame's number of steps: the `camera`'s move, and for a frame that
    is drawn to a keyframe the move `back` from there and its `share` of the way to it (above 0, below 1)."""

    camera: CameraMove
    back: CameraMove | None = None
    share: float = 0.0

    @property
    def json(self) -> str:
        """As canonical JSON, for a digest."""
        back = "null" if self.back is None else self.back.json
        return f'{{"back":{back},"camera":{self.camera.json},"share":{self.share!r}}}'


@dataclass(frozen=True, slots=True)
class FramePlan:
    """All that decides frame `index`, but for the video's own settings."""

    index: int
    prompts: tuple[WeightedPrompt, ...]
    camera: CameraMove  # from the frame that it starts from, or from the end of the legs before
    steps: int
    digest: str
    parent: str | None  # digest of the frame that this one starts from; None for a cold start
    seed: int | None = None  # of a retake; None: the row's

    kept: bool = False  # it starts from another take of a frame than the one that the video shows
    retaken_from: str = ""  # the digest that it would have without a retake of its own, if it has one
    start: int | None = None  # the number of the frame that it starts from
    towards: int | None = None  # the number and the digest of the keyframe that it is drawn to
    towards_digest: str = ""
    legs: tuple[Leg, ...] = ()  # if it is drawn somewhere, or comes in several; the last one ends at the frame
    level: int = 0  # see `renderers.handoff.Place`
    needs: tuple[int, ...] = ()  # the numbers of those frames of the video that must be there before this one

    @property
    def all_steps(self) -> int:
        """Steps of all its legs."""
        return self.steps * max(1, len(self.legs))

    @property
    def planned(self) -> str:
        """The digest that it would have without a retake of its own."""
        return self.retaken_from or self.digest


@dataclass(frozen=True)
class Retake:
    """A decision about one frame that was taken after it had been planned: another `seed`, or the digests of the takes
    that it goes on from (`parent`) and is drawn towards (`towards`) though those frames were taken anew.

    It holds where frame `frame` would have the digest `instead_of` without it, and nowhere else: when the row changes
    in what decides that frame, the decision lapses. One with neither takes an earlier decision back.
    """

    frame: int
    instead_of: str
    seed: int | None = None
    parent: str | None = None
    towards: str | None = None
