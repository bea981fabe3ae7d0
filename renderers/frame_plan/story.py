"""What a row asks for in time: the prompts of each frame, with the weights that they have there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple, TypeAlias, TypeVar

from manifests.schema import AnyPrompt, ImagePrompt, KeyframeError, Keyframes, ManifestRow, NoisePrompt, Prompt, Scene
from manifests.schema.fades import Fades, Shares
from manifests.schema.scenes import MAX_WEIGHT, in_time
from manifests.schema.texts import short
from renderers.canonical import rounded
from renderers.errors import BadInput
from renderers.frame_plan.crops import CROPS, crops_of
from renderers.frame_plan.frame_plan import (
    FramePrompts,
    RegionPrompts,
    WeightedNoise,
    WeightedPicture,
    WeightedPrompt,
)

__all__ = ["Story"]

# Frames' prompts that are remembered: a fade from scene to scene may have its own at each of a million frames.
REMEMBERED = 4096

Made: TypeAlias = WeightedPrompt | WeightedPicture | WeightedNoise
M = TypeVar("M", WeightedPrompt, WeightedPicture, WeightedNoise)


class _Guide(NamedTuple):
    """One prompt of a row: what it is `at` a frame with a weight, a stop and a share; its weight and stop in time; its
    name."""

    at: Callable[[float, float, float], Made]
    weight: float | Keyframes
    stop: float | Keyframes
    name: str

    @property
    def steady(self) -> bool:
        """Whether it is the same at every frame."""
        return not (isinstance(self.weight, Keyframes) or isinstance(self.stop, Keyframes))


class Story:
    """What one video is drawn towards; of its pictures `crops` are looked at. The last `closing` frames of a loop fade
    to what its first is drawn towards."""

    def __init__(self, row: ManifestRow, crops: int = CROPS, closing: int = 0) -> None:
        throughout: tuple[AnyPrompt, ...] = (*(row.image_prompts or ()), *(row.noise_prompts or ()))
        self._whole = _Part(row, row.scenes, row.fades, crops, closing, throughout)
        self._regions = [_Part(row, it, row.fades_of(it), crops, closing) for it in row.region_scenes]
        self._known: dict[FramePrompts, FramePrompts] = {}

    def shares(self, index: int) -> Shares:
        """The scenes of the whole that frame `index` shows, by number, each with its share."""
        return self._whole.shares(index)

    def prompts(self, index: int) -> FramePrompts:
        """The prompts of frame `index`; equal ones are one object, since a plan may have a million frames.

        Raises:
            BadInput: a weight or a stop has no value here, or one that is not allowed.
        """
        made = self._whole.prompts(index)
        if not self._regions:
            return made
        texts = (part.prompts(index).texts for part in self._regions)
        regions = tuple(RegionPrompts(n, it) for n, it in enumerate(texts) if any(text.weight for text in it))
        made = made._replace(regions=regions)
        if len(self._known) >= REMEMBERED:
            self._known.clear()
        return self._known.setdefault(made, made)


class _Part:
    """What the whole of the frame is drawn towards, or a region of it."""

    def __init__(
        self,
        row: ManifestRow,
        scenes: Sequence[Scene],
        fades: Fades,
        crops: int,
        closing: int,
        throughout: Sequence[AnyPrompt] = (),
    ) -> None:
        self._frames, self._closing = row.frames, closing
        self._video_id, self._fades = row.video_id, fades
        self._scenes = [_guides(row, scene.all_prompts, crops) for scene in scenes]
        self._throughout = _guides(row, throughout, crops)
        self._steady = [all(guide.steady for guide in (*scene, *self._throughout)) for scene in self._scenes]
        self._known: dict[Shares, FramePrompts] = {}

    def shares(self, index: int) -> Shares:
        """The scenes that frame `index` shows."""
        return self._fades.shares(index)

    def prompts(self, index: int) -> FramePrompts:
        """The prompts of frame `index`."""
        share = self._fades.closed(index, self._frames, self._closing) if self._closing else 0.0
        if not share:
            return self._prompts(index)
        return _faded(self._prompts(index), self._prompts(0), share)

    def _prompts(self, index: int) -> FramePrompts:
        """Those of frame `index`, if the video is no loop."""
        shares = self.shares(index)
        if not all(self._steady[scene] for scene, _ in shares):
            return self._made(shares, index)
        known = self._known.get(shares)
        if known is None:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            known = self._known[shares] = self._made(shares, index)
        return known

    def _made(self, shares: Shares, index: int) -> FramePrompts:
        made = [*self._at(self._throughout, 1.0, index)]
        for scene, share in shares:
            made += self._at(self._scenes[scene], share, index)
        return FramePrompts(
            tuple(it for it in made if isinstance(it, WeightedPrompt)),
            tuple(it for it in made if isinstance(it, WeightedPicture)),
            tuple(it for it in made if isinstance(it, WeightedNoise)),
        )

    def _at(self, guides: Iterable[_Guide], share: float, index: int) -> Iterator[Made]:
        for guide in guides:
            weight = self._value(guide, "weight", index)
            stop = self._value(guide, "stop", index)
            if isinstance(guide.weight, Keyframes) and not weight:
                continue  # as if it were not there: whoever lets it begin later keeps the frames before
            yield guide.at(weight, stop, share)

    def _value(self, guide: _Guide, field: str, index: int) -> float:
        """A weight or a stop at a frame."""
        value = guide.weight if field == "weight" else guide.stop
        if not isinstance(value, Keyframes):
            return value
        try:  # validation of long videos looks at a sample of the frames
            number = rounded(value.at(index))
        except KeyframeError as error:
            raise BadInput(f"{field} of {guide.name} in video '{self._video_id}' at frame {index}: {error}") from error
        if field == "weight" and abs(number) > MAX_WEIGHT:
            raise BadInput(
                f"weight of {guide.name} in video '{self._video_id}' is {number:g} at frame {index}; allowed is "
                f"{-MAX_WEIGHT:g} to {MAX_WEIGHT:g}"
            )
        return number


def _faded(one: FramePrompts, other: FramePrompts, share: float) -> FramePrompts:
    """`one`, faded by `share` to `other`; a prompt of both is there once."""
    if one == other:
        return one
    return FramePrompts(
        _summed(one.texts, other.texts, share),
        _summed(one.pictures, other.pictures, share),
        _summed(one.noise, other.noise, share),
    )


def _summed(one: Iterable[M], other: Iterable[M], share: float) -> tuple[M, ...]:
    weights: dict[M, float] = {}
    for prompts, part in ((one, 1 - share), (other, share)):
        for prompt in prompts:
            alone = replace(prompt, weight=0.0)
            weights[alone] = weights.get(alone, 0.0) + part * prompt.weight
    return tuple(replace(prompt, weight=rounded(weight)) for prompt, weight in weights.items())


def _guides(row: ManifestRow, prompts: Iterable[AnyPrompt], crops: int) -> list[_Guide]:
    return [_guide(row, prompt, crops) for prompt in prompts]


def _guide(row: ManifestRow, prompt: AnyPrompt, crops: int) -> _Guide:
    weight = in_time(prompt.weight, row.timeline)
    if isinstance(prompt, NoisePrompt):
        noise = prompt.model_copy(update={"weight": "1"})
        return _Guide(partial(_noise, noise), weight, 0.0, f"noise {prompt.seed}")
    stop = in_time(prompt.stop, row.timeline)
    if isinstance(prompt, Prompt):
        return _Guide(partial(_text, prompt.text), weight, stop, f"prompt '{short(prompt.text)}'")
    plain = prompt.model_copy(update={"weight": "1", "stop": "-inf"})
    return _Guide(partial(_picture, plain, crops_of(prompt, crops)), weight, stop, f"picture '{short(prompt.image)}'")


def _text(text: str, weight: float, stop: float, share: float) -> WeightedPrompt:
    return WeightedPrompt(text, rounded(weight * share), rounded(stop))


def _picture(prompt: ImagePrompt, crops: int, weight: float, stop: float, share: float) -> WeightedPicture:
    return WeightedPicture(prompt, rounded(weight * share), rounded(stop), crops)


def _noise(prompt: NoisePrompt, weight: float, stop: float, share: float) -> WeightedNoise:
    # as its number was written where nothing fades: frames have addresses by it
    return WeightedNoise(prompt, weight if share == 1.0 else rounded(weight * share))
