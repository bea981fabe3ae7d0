"""Keyframe strings as Deforum's users know them: `0:(1.02), 60:(1.05)`, or one number or expression for all frames."""

from __future__ import annotations

import math
import re
from bisect import bisect_right
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise

from manifests.schema.expressions import Expression, KeyframeError, names_of_video
from manifests.schema.texts import short
from manifests.schema.timeline import NAMES_OF_VIDEO, NAMES_OF_VIDEO_IN_KEYS, Timeline

MAX_FRAME = 1_000_000
# Characters of expressions that are computed to check a video: a tenth of a second.
SAMPLED_CHARACTERS = 1_500_000
# What was parsed is remembered for thousands of rows, and must stay small: of longer texts it is the last ones.
REMEMBERED_LENGTH = 1000
_KEY = re.compile(r"\s*(\d+)\s*:(.*)", re.DOTALL)
_SIGN = re.compile(r"[(),]")
# A key that is no number: with quotes around it, as Deforum's users write it, or without.
_COMPUTED_KEY = re.compile(r"""\s*(["']?)([^"':]+)\1\s*:(.*)""", re.DOTALL)
_FRAME_NAME = re.compile(r"(?<!\w)t(?!\w)", re.ASCII)
_STEP_NAME = re.compile(r"(?<!\w)u(?!\w)", re.ASCII)
_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_FORM = "write '0:(1.02), 60:(1.05)', or one number or expression such as '1 + 0.02*sin(t/24)'"


class Keyframes:
    """A value that changes with the frame number; immutable, hashable, picklable.

    Between two keys a number runs in a straight line to the next key's value, and before the first key and after the
    last one it stays constant. An expression holds from its own key until the next one and is computed afresh for each
    frame. Both as in Deforum. What hangs on the video (its length, seconds, beats) is known with a `timeline` only.
    """

    __slots__ = ("_expressions", "_frames", "_timeline", "text")

    def __init__(self, text: str, timeline: Timeline | None = None) -> None:
        """Parse `text`; `Keyframes.parse` does the same and remembers what it has parsed."""
        self.text = text.strip()
        self._timeline = timeline
        found = [(_frame_of(key, self.text, timeline), key, value) for key, value in _keys(self.text, timeline)]
        keys = sorted(found, key=lambda key: key[0])
        self._frames = tuple(frame for frame, _, _ in keys)
        self._expressions = tuple(expression for _, _, expression in keys)
        for (before, one, _), (after, other, _) in pairwise(keys):
            if before == after:
                how = f", by {_shown(one)} and {_shown(other)}" if one != other else ""
                raise KeyframeError(f"keyframes '{short(self.text)}': frame {after} is keyed twice{how}")
        if not self._unheard:
            for frame in {0, *self._frames}:
                self.at(frame)

    @classmethod
    def parse(cls, text: str, timeline: Timeline | None = None) -> Keyframes:
        """Read a keyframe string; raises KeyframeError, which says what is wrong and what is allowed.

        The expressions are evaluated once at frame 0 and at every key, so most mistakes show here and not in a render.
        """
        names = names_of_video(text) if timeline is not None else ()
        known = timeline.only(names) if timeline is not None and names else None
        return _parse(text, known) if len(text) <= REMEMBERED_LENGTH else _parse_long(text, known)

    @property
    def _unheard(self) -> bool:
        """Whether its values hang on sound that nobody has heard yet."""
        return self._timeline is not None and self._timeline.unheard(names_of_video(self.text))

    @property
    def frames(self) -> tuple[int, ...]:
        """The frame numbers of the keys, ascending."""
        return self._frames

    @property
    def constant(self) -> float | None:
        """The value, if it is the same at every frame, else None."""
        first = self._expressions[0].constant
        return first if all(expression.constant == first for expression in self._expressions) else None

    @property
    def single(self) -> str | None:
        """The one expression that holds from frame 0 on; None where keys follow each other, or it begins later."""
        return self._expressions[0].text if self._frames == (0,) else None

    @property
    def longest(self) -> int:
        """The characters of the longest expression that is computed anew for each frame; 0 if all are numbers."""
        return max((len(it.text) for it in self._expressions if it.constant is None), default=0)

    def at(self, frame: float, step: float = 0.0) -> float:
        """The value at `frame` (counted from 0), when the share `step` of the frame's own steps is over; raises
        KeyframeError where an expression has no finite value."""
        index = bisect_right(self._frames, frame) - 1
        if index < 0:
            return self._expressions[0](self._frames[0], step)
        here = self._expressions[index]
        if here.constant is None:
            return here(frame, step)
        if index + 1 == len(self._frames) or frame == self._frames[index]:
            return here.constant
        left, right = self._frames[index], self._frames[index + 1]
        target = self._expressions[index + 1](right, step)
        return here.constant + (target - here.constant) * ((frame - left) / (right - left))

    def check(self, frames: int, low: float, high: float, samples: int = 1000, *, shown: range | None = None) -> None:
        """Raise KeyframeError if a value of a video of `frames` frames lies outside `low..high`; only those count that
        are `shown`, if it is given.

        Every frame of a video of up to `samples` frames is looked at, and evenly spread ones of a longer video; where
        all expressions are numbers the keys alone decide, and of long expressions fewer frames are looked at. What
        hangs on sound is checked once that was heard.
        """
        if self._unheard:
            return
        samples = min(samples, SAMPLED_CHARACTERS // max(1, self.longest))
        if all(expression.constant is not None for expression in self._expressions):
            wanted: set[int] = {0, *self._frames}
        else:
            wanted = {0, frames - 1, *self._frames, *range(0, frames, -(-frames // samples))}
        if shown is not None:
            step = -(-len(shown) // samples) or 1
            wanted = {frame for frame in wanted if frame in shown} | {*shown[::step], *shown[-1:]}
        for frame in sorted(wanted):
            value = self.at(frame)
            if not low <= value <= high:
                raise KeyframeError(
                    f"'{short(self.text)}' is {value:g} at frame {frame}; allowed is {low:g} to {high:g}"
                )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Keyframes) and self._signature() == other._signature()

    def __hash__(self) -> int:
        return hash(self._signature())

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"Keyframes({self.text!r})"

    def __reduce__(self) -> tuple[type[Keyframes], tuple[str, Timeline | None]]:
        return Keyframes, (self.text, self._timeline)

    def _signature(self) -> tuple[object, ...]:
        values = (e.text if e.constant is None else e.constant for e in self._expressions)
        known = self._timeline and self._timeline.only(names_of_video(self.text))
        return known, *zip(self._frames, values, strict=True)


@lru_cache(maxsize=4096)
def _parse(text: str, timeline: Timeline | None) -> Keyframes:
    return Keyframes(text, timeline)


# The axes of a row: each is read when it comes, when its values are checked, and when it is planned.
@lru_cache(maxsize=4)
def _parse_long(text: str, timeline: Timeline | None) -> Keyframes:
    return Keyframes(text, timeline)


def uses_steps(text: str) -> bool:
    """Whether a keyframe string may change from step to step within a frame."""
    return _STEP_NAME.search(text) is not None


def uses_frames(text: str) -> bool:
    """Whether a keyframe string may change from frame to frame."""
    return ":" in text or _FRAME_NAME.search(text) is not None or bool(names_of_video(text))


def check_text(text: str, *, steps: bool = False) -> None:
    """Raise KeyframeError for a keyframe string that can't be read, whatever its video is.

    steps: whether the setting changes from step to step within a frame, and so may say `u`.
    """
    if not steps and (found := _STEP_NAME.search(text)):
        raise KeyframeError(
            f"keyframes '{short(text)}', character {found.start() + 1}: 'u' (how much of a frame's own steps is over) "
            "can't stand here: this setting is the same throughout a frame; t is the frame number"
        )
    if not names_of_video(text):
        Keyframes.parse(text)
        return
    for _ in _keys(text.strip(), None):
        pass


def _keys(text: str, timeline: Timeline | None) -> list[tuple[int | Expression, Expression]]:
    if not text:
        raise KeyframeError(f"an empty keyframe string; {_FORM}")
    if ":" not in text:
        return [(0, Expression.parse(text, timeline))]
    keys: list[tuple[int | Expression, Expression]] = []
    for start, part in _parts(text):
        match = _KEY.fullmatch(part)
        if match is None:
            key, value = _computed_key(part, text, start, timeline)
        else:
            key, value = _number(match[1], text, start), match[2]
        try:
            keys.append((key, Expression.parse(value, timeline)))
        except KeyframeError as error:
            if len(value) + 20 > len(text):  # it is shown whole, or there is one key only
                raise
            raise KeyframeError(f"key {_shown(key)}: {error}") from error
    return keys


def _refusal(text: str, start: int, reason: str) -> KeyframeError:
    """The error for what begins at character `start`, counted from 0, of keyframes, or behind blanks there."""
    start = min(start + len(text[start:]) - len(text[start:].lstrip()), max(0, len(text) - 1))
    shown = short(text) if start < 50 else f"…{short(text[start - 20 :], 59, of=text)}"
    return KeyframeError(f"keyframes '{shown}', character {start + 1}: {reason}")


def _number(digits: str, text: str, start: int) -> int:
    number = digits.lstrip("0") or "0"
    if len(number) > len(str(MAX_FRAME)) or int(number) > MAX_FRAME:
        raise _refusal(text, start, f"frame {short(number)} is beyond the limit of {MAX_FRAME}")
    return int(number)


def _computed_key(part: str, text: str, start: int, timeline: Timeline | None) -> tuple[int | Expression, str]:
    """The key and the value of what does not begin with a number and a colon."""
    found = _COMPUTED_KEY.fullmatch(part)
    if found is None:
        raise _refusal(text, start, f"'{short(part.strip(), of=text)}' has no frame number; {_FORM}")
    written = found[2].strip()
    if written.isascii() and written.isdecimal():  # in quotes
        return _number(written, text, start), found[3]
    names = set(_NAME.findall(written))
    if not names & {*NAMES_OF_VIDEO_IN_KEYS}:
        reason = (
            f"'{short(written, of=text)}' is no frame number: write a whole number, or an expression in max_f (the "
            f"last frame) or n (the number of frames), such as 'max_f-20:(0)'; {_FORM}"
        )
        raise _refusal(text, start, reason)
    if unknown := names & {"t", "u", *NAMES_OF_VIDEO} - {*NAMES_OF_VIDEO_IN_KEYS}:
        reason = f"'{min(unknown)}' can't stand in a key: allowed are max_f (the last frame), n (the number of frames) "
        raise _refusal(text, start, f"{reason}and numbers")
    return Expression.parse(written, timeline), found[3]


def _frame_of(key: int | Expression, text: str, timeline: Timeline | None) -> int:
    if isinstance(key, int):
        return key
    value = key(0)
    # as Deforum does, half of an odd number of frames is the frame before
    frame = math.floor(value)
    if not 0 <= frame <= MAX_FRAME:
        frames = timeline.frames if timeline is not None else 0
        raise KeyframeError(
            f"keyframes '{short(text)}': key '{short(key.text)}' is frame {frame:,} of a video of {frames:,} frames; "
            f"allowed is 0 to {MAX_FRAME:,}"
        )
    return frame


def _shown(key: int | Expression) -> str:
    return str(key) if isinstance(key, int) else f"'{short(key.text)}'"


def _parts(text: str) -> Iterator[tuple[int, str]]:
    """The keys with their values, cut at the commas that stand outside brackets; and where each begins.

    Without the braces around all of them and the comma behind the last one, as Deforum's users write them.
    """
    start, end = 0, len(text)
    if text.startswith("{") and text.endswith("}"):
        inner = text[1:-1]
        start = 1 + len(inner) - len(inner.lstrip())
        end = max(start, 1 + len(inner.rstrip()))
    if text.endswith(",", start, end):
        end -= 1
    depth = 0
    for sign in _SIGN.finditer(text, start, end):
        if sign[0] == "(":
            depth += 1
        elif sign[0] == ")":
            depth -= 1
        elif depth == 0:
            yield start, text[start : sign.start()]
            start = sign.end()
    yield start, text[start:end]
