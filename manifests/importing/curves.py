"""Numbers that change in time, as other tools write them: checked by nightreel's own parser, renamed, drawn anew.

A formula is never evaluated but by `manifests.schema.keyframes`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

from manifests.schema.expressions import MAX_LENGTH, KeyframeError
from manifests.schema.keyframes import Keyframes
from manifests.schema.timeline import Timeline

__all__ = ["LONGEST_BAKED", "Curve", "baked", "number_words", "renamed"]

#: Characters of a column of keyframes, and frames that are computed one by one.
LONGEST_BAKED = 100_000
_MOST_FRAMES = 20_000
_STRAIGHT = 1e-9
# How near fewer keys come to the values, as shares of what these go through: the first that fits.
_PLAYS = (1e-5, 3e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2)
_WORD = re.compile(r"(?<![\w.])[A-Za-z_]\w*")
_DEGREES = re.compile(r"(?<![\w.])(radians|degrees)\s*\(")


class Curve:
    """One number of a video: a constant, an expression, or keyframes, in the spelling of nightreel."""

    def __init__(self, text: str | float, timeline: Timeline) -> None:
        """Read `text`.

        Raises:
            KeyframeError: it can't be read, or has no value; the message says where.
        """
        self.text = number_words(text) if isinstance(text, int | float) else text.strip()
        self.timeline = timeline
        self._keyframes = Keyframes.parse(self.text, timeline)

    @property
    def constant(self) -> float | None:
        """Its value, if it is always the same."""
        return self._keyframes.constant

    @cached_property
    def single(self) -> str | None:
        """The one expression that holds at all frames; None where keys follow each other."""
        if self.constant is not None:
            return number_words(self.constant)
        return self._keyframes.single

    def at(self, frame: float) -> float:
        """The value at a frame."""
        return self._keyframes.at(frame)

    def is_always(self, value: float) -> bool:
        """Whether it is `value` at every frame."""
        return self.constant == value


def number_words(value: float) -> str:
    """A number in few digits."""
    if not math.isfinite(value):
        raise KeyframeError(f"{value} is not a finite number")
    return f"{value:.12g}"


def renamed(text: str, names: Mapping[str, str]) -> str:
    """`text` with other names, and with numpy's `radians(x)` and `degrees(x)` written out."""
    text = _WORD.sub(lambda word: names.get(word[0], word[0]), text) if names else text
    for _ in range(100):
        if (found := _DEGREES.search(text)) is None:
            return text
        end = _closing(text, found.end() - 1)
        factor = "pi/180" if found[1] == "radians" else "180/pi"
        text = f"{text[: found.start()]}(({text[found.end() : end]})*{factor}){text[end + 1 :]}"
    return text


def _closing(text: str, start: int) -> int:
    """Where the bracket closes that opens at `start`; the end of a text in which it does not."""
    depth = 0
    for at in range(start, len(text)):
        depth += (text[at] == "(") - (text[at] == ")")
        if not depth:
            return at
    return len(text)


def baked(
    value: Callable[[int], float] | Sequence[float], frames: int, say: Callable[[str], object] | None = None,
    longest: int = LONGEST_BAKED,
) -> str:  # fmt: skip
    """Keyframes that have the value of each of `frames` frames; what runs straight to one part in 10^9 becomes two
    keys. In six digits where twelve are longer than `longest` characters; where that is too long, and `say` is there to
    hear of it, in fewer keys, so that a line through them runs as near to each frame's value as that takes.

    Raises:
        KeyframeError: there are more frames than are looked at one by one, or their keys are longer than a column may
            be.
    """
    if frames > _MOST_FRAMES:
        raise KeyframeError(f"it would take a key for each of {frames:,} frames, and at most {_MOST_FRAMES:,} are made")
    values = [float(value(at) if callable(value) else value[at]) for at in range(frames)]
    keys = _corners(values)
    if len(keys) == 1 or all(values[at] == values[0] for at in keys):
        return number_words(values[0])
    for spelling in ("{}:({:.12g})", "{}:({:.6g})", "{}:{:.6g}"):
        text = (", " if "(" in spelling else ",").join(spelling.format(at, values[at] + 0.0) for at in keys)
        if len(text) <= longest:
            return text
    if say is not None and (thin := _thinned(values, longest)) is not None:
        text, fewer, within = thin
        say(f"{fewer:,} keys for {len(keys):,}, within {within:.3g} of each frame's value: a column holds no more")
        return text
    raise KeyframeError(
        f"{len(keys):,} keys are longer than a column may be ({longest:,} characters); cut it into several videos"
    )


def _thinned(values: Sequence[float], longest: int) -> tuple[str, int, float] | None:
    """Keyframes that fit, how many they are, and how near they are to all of `values`; None where that would be farther
    than a hundredth of what these go through."""
    whole = max(values) - min(values)
    for share in _PLAYS:
        within = share * whole
        decimals = max(0, 1 - math.floor(math.log10(within)))  # half of the last one is a twentieth of it at most
        keys = _corners(values, 0.95 * within)
        text = ",".join(f"{at}:{round(values[at], decimals) + 0.0:.{decimals}f}" for at in keys)
        if len(text) <= longest:
            return text, len(keys), within
    return None


def _corners(values: Sequence[float], within: float = 0.0) -> list[int]:
    """The frames at which a line through `values` bends, that passes each of them `within` so much."""
    keys = [0]
    start = 0
    while start < len(values) - 1:
        low, high, stop = -math.inf, math.inf, start + 1
        # each value that is passed narrows the slopes of the lines that run near enough to all so far
        for at in range(start + 1, len(values)):
            slope = (values[at] - values[start]) / (at - start)
            if not low <= slope <= high:
                break
            stop = at
            play = max(within, _STRAIGHT * max(1.0, abs(values[at]))) / (at - start)
            low, high = max(low, slope - play), min(high, slope + play)
        keys.append(stop)
        start = stop
    return keys


def is_long(expression: str) -> bool:
    """Whether an expression has more characters than one may have."""
    return len(expression) > MAX_LENGTH
