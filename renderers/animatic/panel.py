"""What stands below the picture of an animatic: where in the video it is, what the scenes and prompts are and how much
each counts, and a strip for each setting that changes in time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from manifests.masking import without_secrets
from manifests.schema import Keyframes
from manifests.schema.changing import prompt_name
from manifests.schema.scenes import in_time
from manifests.schema.texts import plural
from renderers.errors import BadInput
from renderers.frame_plan.neutral import NEUTRAL, SCHEDULED, constant_of, text_of
from renderers.frame_plan.video_plan import VideoPlan

__all__ = ["Panel"]

Picture = NDArray[np.uint8]

_PAPER, _INK, _DIM, _CURVE, _NOW = (24, 24, 27), (220, 220, 224), (130, 130, 138), (120, 170, 240), (245, 190, 90)
_LETTER, _LINE, _STRIP, _NAME = 13, 18, 36, 0.3
PROMPTS, STRIPS = 4, 8  # that are shown; of more it is said how many


@dataclass(frozen=True)
class _Strip:
    name: str
    values: tuple[float, ...]


class Panel:
    """The panel of one video, `width` pixels wide; as high for each of its frames."""

    def __init__(self, plan: VideoPlan, width: int) -> None:
        """Raises BadInput where a setting has no value at a frame."""
        self._plan, self._width = plan, width
        strips = [_Strip(name, _values(plan, name, keys)) for name, keys in _changing(plan)]
        self._strips, self._more = strips[:STRIPS], len(strips) - STRIPS
        self._steady = tuple(_steady(plan))
        self.height = _LINE * (2 + PROMPTS) + _STRIP * len(self._strips) + (_LINE if self._more > 0 else 0)
        self.height += self.height % 2
        self._font = ImageFont.load_default(size=_LETTER)
        self._ground = self._drawn_ground()

    def draw(self, index: int) -> Picture:
        """The panel of frame `index`, `(height, width, 3)`."""
        image = self._ground.copy()
        draw = ImageDraw.Draw(image)
        row = self._plan.row
        last = row.frames - 1
        where = f"{self._plan.video_id}   frame {index} of 0-{last}   {index / row.fps:.2f} s"
        self._text(draw, 0, "   ".join([where, *self._steady]), _INK)
        self._scenes(draw, index)
        for number, strip in enumerate(self._strips):
            top = self._top(number)
            left, right = self._field
            x = left + (right - left) * (index / last if last else 0)
            draw.line((x, top + 3, x, top + _STRIP - 3), fill=_NOW, width=1)
            self._text(draw, top, strip.name, _DIM, self._width * _NAME - 8)
            self._text(draw, top + _STRIP / 2 - 2, f"{strip.values[index] + 0.0:.5g}", _INK)  # no -0
        return np.asarray(image)

    @property
    def _field(self) -> tuple[float, float]:
        """Where the curves lie, from left to right."""
        return self._width * _NAME, self._width - 6

    def _top(self, strip: int) -> int:
        return _LINE * (2 + PROMPTS) + _STRIP * strip

    def _scenes(self, draw: ImageDraw.ImageDraw, index: int) -> None:
        shares = self._plan.story.shares(index)
        scenes = self._plan.row.scenes
        said = [f"scene {number + 1} of {len(scenes)}: {share:.0%}" for number, share in shares]
        self._text(draw, _LINE, "   ".join(said), _NOW if len(shares) > 1 else _DIM)
        for number, share in shares:  # a bar as long as the share
            y = 2 * _LINE - 2
            left = 4 if number == shares[0][0] else 4 + (self._width - 8) * shares[0][1]
            draw.line((left, y, left + (self._width - 8) * share - 2, y), fill=_NOW if number % 2 else _CURVE, width=2)
        made = self._plan.story.prompts(index)
        lines = [f"{it.weight:+.3g}  {it.text}" for it in made.texts]
        lines += [f"{it.weight:+.3g}  picture {it.prompt.image}" for it in made.pictures]
        lines += [f"{it.weight:+.3g}  noise {it.prompt.seed}" for it in made.noise]
        lines += [
            f"{it.weight:+.3g}  {it.text} (region {part.number + 1})" for part in made.regions for it in part.texts
        ]
        if len(lines) > PROMPTS:
            lines[PROMPTS - 1 :] = [f"and {plural(len(lines) - PROMPTS + 1, 'more prompt')}"]
        for number, line in enumerate(lines):
            self._text(draw, _LINE * (2 + number), without_secrets(" ".join(line.split())), _INK)

    def _drawn_ground(self) -> Image.Image:
        """What is the same for all frames: the curves."""
        image = Image.new("RGB", (self._width, self.height), _PAPER)
        draw = ImageDraw.Draw(image)
        left, right = self._field
        for number, strip in enumerate(self._strips):
            top = self._top(number)
            low, high = min(strip.values), max(strip.values)
            draw.line((left, top + _STRIP - 1, right, top + _STRIP - 1), fill=(60, 60, 66))
            draw.line(_points(strip.values, low, high, left, right, top + 4, top + _STRIP - 5), fill=_CURVE)
        if self._more > 0:
            top = self._top(len(self._strips))
            self._text(draw, top, f"and {plural(self._more, 'more setting')} that change in time", _DIM)
        return image

    def _text(
        self, draw: ImageDraw.ImageDraw, top: float, text: str, ink: tuple[int, int, int], width: float | None = None
    ) -> None:
        width = self._width - 8 if width is None else width
        text = text[:300]
        while text and draw.textlength(text, font=self._font) > width:
            text = f"{text[: -2 if not text.endswith('…') else -3]}…"
        draw.text((4, top + 2), text, fill=ink, font=self._font)


def _points(
    values: Sequence[float], low: float, high: float, left: float, right: float, top: float, bottom: float
) -> list[tuple[float, float]]:
    """A curve through `values`: of many, the lowest and highest for each column of pixels, so that no peak is lost."""
    columns = max(2, round(right - left))
    each = max(1, len(values) // columns)
    points: list[tuple[float, float]] = []
    for start in range(0, len(values), each):
        part = values[start : start + each]
        x = left + (right - left) * (start / (len(values) - 1) if len(values) > 1 else 0)
        for value in (part[0],) if each == 1 else (min(part), max(part)):
            share = (value - low) / (high - low) if high > low else 0.5
            points.append((x, bottom - (bottom - top) * share))
    return points if len(points) > 1 else [*points, (right, points[0][1])]


def _changing(plan: VideoPlan) -> Iterator[tuple[str, Keyframes]]:
    """What changes in time, by its name: the camera's axes, and weights."""
    row = plan.row
    for name in SCHEDULED:
        if constant_of(row, name) is None:
            yield name, Keyframes.parse(text_of(row, name), row.timeline)
    for prompt in (prompt for scene in row.all_scenes for prompt in scene.all_prompts):
        value = in_time(prompt.weight, row.timeline)
        if isinstance(value, Keyframes):
            yield f"weight of {prompt_name(prompt, 24)}", value


def _steady(plan: VideoPlan) -> Iterator[str]:
    """What the camera does at every frame alike, if it does anything."""
    row = plan.row
    for name in SCHEDULED:
        value = constant_of(row, name)
        if value not in (None, NEUTRAL[name]):
            yield f"{name} {value:g}"


def _values(plan: VideoPlan, name: str, keys: Keyframes) -> tuple[float, ...]:
    values, index = [], 0
    try:
        for index in range(plan.frames):
            values.append(keys.at(index))
    except ValueError as error:
        raise BadInput(f"{name} of video '{plan.video_id}' at frame {index}: {error}") from error
    return tuple(values)
