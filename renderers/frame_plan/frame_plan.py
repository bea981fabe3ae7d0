"""One frame as it is planned: what decides it, where it starts, and what a re-run decided about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from manifests.schema import ImagePrompt, NoisePrompt
from renderers.frame_plan.cutouts_in_time import CutoutShares
from renderers.frame_plan.handoff import Place
from renderers.frame_plan.motion import Motion
from renderers.frame_plan.renewal import Renewal
from renderers.frame_plan.source import SourceFrame
from renderers.frame_plan.weights import Weights

__all__ = [
    "FramePlan",
    "FramePrompts",
    "FrameSettings",
    "ParentFrame",
    "RegionPrompts",
    "Retake",
    "WeightedNoise",
    "WeightedPicture",
    "WeightedPrompt",
]


@dataclass(frozen=True, slots=True)
class WeightedPrompt:
    """A prompt at one frame: its weight already carries the crossfade."""

    text: str
    weight: float
    stop: float


@dataclass(frozen=True, slots=True)
class WeightedPicture:
    """An image prompt at one frame; what `prompt` itself says of weight and stop counts no more. `crops` of it are
    looked at (see `renderers.frame_plan.crops`), of an aligned one those that a step makes of the frame."""

    prompt: ImagePrompt
    weight: float
    stop: float
    crops: int = 1


@dataclass(frozen=True, slots=True)
class WeightedNoise:
    """A noise prompt at one frame; what `prompt` itself says of its weight counts no more."""

    prompt: NoisePrompt
    weight: float


class RegionPrompts(NamedTuple):
    """What one frame is drawn towards in region `number` of the row, from 0."""

    number: int
    texts: tuple[WeightedPrompt, ...]


class FramePrompts(NamedTuple):
    """All that one frame is drawn towards, or pushed away from; in those `regions` only that have a prompt of any
    weight there."""

    texts: tuple[WeightedPrompt, ...]
    pictures: tuple[WeightedPicture, ...] = ()
    noise: tuple[WeightedNoise, ...] = ()
    regions: tuple[RegionPrompts, ...] = ()


class FrameSettings(NamedTuple):
    """What a row's settings come to at one frame: prompts, the number of steps, the `motion` to it from the frame that
    it starts from, and the `target_motion` to it from the keyframe that it is drawn to, if it is; how the moved
    picture is renewed, None where nothing of the video is; the weights of the loss that change in time; those of what
    the frame is held to; what of a film it is made of, if it is; and the shares of its cutouts that change in time."""

    prompts: FramePrompts
    steps: int
    motion: Motion
    target_motion: Motion | None
    renewal: Renewal | None = None
    weights: Weights = ()
    holds: Weights = ()
    source: SourceFrame | None = None
    cutouts: CutoutShares = ()


@dataclass(frozen=True, slots=True)
class ParentFrame:
    """Frame `frame` of another video, `video_id`, that a video continues: which of its takes, the `digest` says."""

    video_id: str
    frame: int
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FramePlan:
    """All that decides one frame, but for the video's own settings."""

    place: Place
    prompts: tuple[WeightedPrompt, ...]
    steps: int
    motion: Motion  # from the frame that it starts from
    digest: str
    start_digest: str | None = None  # of the frame that it starts from; None for a cold start
    target_digest: str = ""  # of the keyframe that it is drawn to
    target_motion: Motion | None = None  # from that keyframe back to here
    seed: int | None = None  # of a retake; None: the row's
    kept: bool = False  # it starts from another take of a frame than the one that the video shows
    retaken_from: str = ""  # the digest that it would have without a retake of its own, if it has one
    pictures: tuple[WeightedPicture, ...] = ()
    noise: tuple[WeightedNoise, ...] = ()
    regions: tuple[RegionPrompts, ...] = ()
    renewal: Renewal | None = None  # of the picture that it starts from; None where nothing of the video is renewed
    weights: Weights = ()  # of the loss, those that change in time and are not 0 here
    holds: Weights = ()  # of what it is held to, those that are not 0 here
    needs: tuple[int, ...] = ()  # the numbers of those frames of the video that must be there before this one
    parent: ParentFrame | None = None  # that the first frame starts from, where the video continues another one
    cutouts: CutoutShares = ()  # those of its cutouts that change in time and are not 0 here
    source: SourceFrame | None = None  # what of a film it is made of, where the video is drawn over one

    @property
    def index(self) -> int:
        """Its number in the video."""
        return self.place.index

    @property
    def start(self) -> int | None:
        """The number of the frame that it starts from."""
        return self.place.start

    @property
    def target_frame(self) -> int | None:
        """The number of the keyframe that it is drawn to."""
        return self.place.target_frame

    @property
    def level(self) -> int:
        """0 for far keyframes, 1 for near ones, 2 for others (see `renderers.frame_plan.handoff.Place`)."""
        return self.place.level

    @property
    def share(self) -> float:
        """How much of the way to that keyframe it has behind it, above 0 and below 1; 0 for what is drawn to none."""
        return self.place.share

    @property
    def leap(self) -> float:
        """How much of a whole leap it is, 0 to 1 (see `renderers.frame_plan.handoff.Place.leap`)."""
        return self.place.leap

    @property
    def ahead(self) -> bool:
        """Whether it is a keyframe that others are drawn to."""
        return self.place.ahead

    @property
    def planned(self) -> str:
        """The digest that it would have without a retake of its own."""
        return self.retaken_from or self.digest


@dataclass(frozen=True)
class Retake:
    """A decision about one frame that was taken after it had been planned: another `seed`, or the digests of the takes
    that it starts from (`start_digest`) and is drawn to (`target_digest`) though those frames were taken again.

    It holds where frame `frame` would have the digest `instead_of` without it, and nowhere else: when the row changes
    in what decides that frame, the decision lapses. One with neither takes an earlier decision back.
    """

    frame: int
    instead_of: str
    seed: int | None = None
    start_digest: str | None = None
    target_digest: str | None = None
