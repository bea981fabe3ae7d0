"""Keyframe strings as Deforum's users know them: `0:(1.02), 60:(1.05)`, or one number or expression for all frames."""

from __future__ import annotations

import re
from bisect import bisect_right
from functools import lru_cache
from itertools import pairwise

from manifests.schema.expressions import Expression, KeyframeError
from manifests.schema.texts import short

MAX_FRAME = 1_000_000
# What was parsed is remembered for thousands of rows, and must stay small: of longer texts it is the last ones.
REMEMBERED_LENGTH = 1000
_KEY = re.compile(r"\s*(\d+)\s*:(.*)", re.DOTALL)
_SIGN = re.compile(r"[(),]")
_FORM = "write '0:(1.02), 60:(1.05)', or one number or expression such as '1 + 0.02*sin(t/24)'"


class Keyframes:
    """A value that changes with the frame number; immutable, hashable, picklable.

    Between two keys a number runs in a straight line to the next key's value, and before the first key and after the
    last one it stays constant. An expression in `t` holds from its own key until the next one and is computed afresh
    for each frame. Both as in Deforum.
    """

    __slots__ = ("_expressions", "_frames", "text")

    def __init__(self, text: str) -> None:
        """Parse `text`; `Keyframes.parse` does the same and remembers what it has parsed."""
        self.text = text.strip()
        keys = sorted(_keys(self.text), key=lambda key: key[0])
        self._frames = tuple(frame for frame, _ in keys)
        self._expressions = tuple(expression for _, expression in keys)
        for before, after in pairwise(self._frames):
            if before == after:
                raise KeyframeError(f"keyframes '{short(self.text)}': frame {after} is keyed twice")
        for frame in {0, *self._frames}:
            self.at(frame)

    @classmethod
    def parse(cls, text: str) -> Keyframes:
        """Read a keyframe string; raises KeyframeError, which says what is wrong and what is allowed.

        The expressions are evaluated once at frame 0 and at every key, so most mistakes show here and not in a render.
        """
        return _parse(text) if len(text) <= REMEMBERED_LENGTH else _parse_long(text)

    @property
    def frames(self) -> tuple[int, ...]:
        """The frame numbers of the keys, ascending."""
        return self._frames

    @property
    def constant(self) -> float | None:
        """The value, if it is the same at every frame, else None."""
        first = self._expressions[0].constant
        return first if all(expression.constant == first for expression in self._expressions) else None

    def at(self, frame: float) -> float:
        """The value at `frame` (counted from 0); raises KeyframeError where an expression has no finite value."""
        index = bisect_right(self._frames, frame) - 1
        if index < 0:
            return self._expressions[0](self._frames[0])
        here = self._expressions[index]
        if here.constant is None:
            return here(frame)
        if index + 1 == len(self._frames) or frame == self._frames[index]:
            return here.constant
        left, right = self._frames[index], self._frames[index + 1]
        target = self._expressions[index + 1](right)
        return here.constant + (target - here.constant) * ((frame - left) / (right - left))

    def check(self, frames: int, low: float, high: float, samples: int = 1000) -> None:
        """Raise KeyframeError if a value of a video of `frames` frames lies outside `low..high`.

        Every frame of a video of up to `samples` frames is looked at, and evenly spread ones of a longer video; where
        no expression depends on `t` the keys alone decide.
        """
        if all(expression.constant is not None for expression in self._expressions):
            wanted: set[int] = {0, *self._frames}
        else:
            wanted = {0, frames - 1, *self._frames, *range(0, frames, -(-frames // samples))}
        for frame in sorted(wanted):
            value = self.at(frame)
            if not low <= value <= high:
                shown = short(self.text)
                raise KeyframeError(f"'{shown}' is {value:g} at frame {frame}; allowed is {low:g} to {high:g}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Keyframes) and self._signature() == other._signature()

    def __hash__(self) -> int:
        return hash(self._signature())

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"Keyframes({self.text!r})"

    def __reduce__(self) -> tuple[type[Keyframes], tuple[str]]:
        return Keyframes, (self.text,)

    def _signature(self) -> tuple[tuple[int, float | str], ...]:
        values = (e.text if e.constant is None else e.constant for e in self._expressions)
        return tuple(zip(self._frames, values, strict=True))


@lru_cache(maxsize=4096)
def _parse(text: str) -> Keyframes:
    return Keyframes(text)


@lru_cache(
    maxsize=4
)  # the axes of a row: each is read when it comes, when its values are checked, and when it is planned
def _parse_long(text: str) -> Keyframes:
    return Keyframes(text)


def _keys(text: str) -> list[tuple[int, Expression]]:
    if not text:
        raise KeyframeError(f"an empty keyframe string; {_FORM}")
    if ":" not in text:
        return [(0, Expression.parse(text))]
    keys = []
    for part in _split(_bare(text)):
        match = _KEY.fullmatch(part)
        if match is None:
            raise KeyframeError(f"keyframes '{short(text)}': '{short(part.strip())}' has no frame number; {_FORM}")
        number = match[1].lstrip("0") or "0"
        if len(number) > len(str(MAX_FRAME)) or int(number) > MAX_FRAME:
            raise KeyframeError(f"keyframes '{short(text)}': frame {short(number)} is beyond the limit of {MAX_FRAME}")
        keys.append((int(number), Expression.parse(match[2])))
    return keys


def _bare(text: str) -> str:
    """Keys without the braces around all of them and the comma behind the last one, as Deforum's users write them."""
    if text.startswith("{") and text.endswith("}"):
        text = text[1:-1].strip()
    return text.removesuffix(",")


def _split(text: str) -> list[str]:
    """Cut at the commas that stand outside brackets."""
    parts, depth, start = [], 0, 0
    for sign in _SIGN.finditer(text):
        if sign[0] == "(":
            depth += 1
        elif sign[0] == ")":
            depth -= 1
        elif depth == 0:
            parts.append(text[start : sign.start()])
            start = sign.end()
    return [*parts, text[start:]]
