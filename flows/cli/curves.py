"""How a value goes over a video, as a picture of signs: three lines of Braille, whose dots are two to a sign across and
four down. Where a column of dots stands for many frames it reaches from their lowest value to their highest."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from manifests.schema import KeyframeError, Keyframes

__all__ = ["curve", "sampled"]

WIDTH, HEIGHT = 48, 3  # signs
# Frames that are looked at for each column of dots: a plan of a million would take seconds.
SAMPLES = 50
_BLANK = 0x2800
# the bits of the dots of a sign, by column, from the top
_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))

Range = tuple[float, float]


def sampled(keyframes: Keyframes, frames: int, columns: int = 2 * WIDTH) -> list[Range | None]:
    """The lowest and the highest value of the frames of each of at most `columns` equal parts of a video; None where
    there is none."""
    columns = min(columns, frames)
    edges = [column * frames // columns for column in range(columns + 1)]
    return [_range(keyframes.at, edges[i], edges[i + 1]) for i in range(columns)]


def _range(at: Callable[[float], float], start: int, stop: int) -> Range | None:
    values = []
    for frame in range(start, stop, max(1, (stop - start) // SAMPLES)):
        try:
            values.append(at(frame))
        except KeyframeError:
            continue  # of a long video not every frame was looked at before
    return (min(values), max(values)) if values else None


def curve(parts: Sequence[Range | None], height: int = HEIGHT) -> str:
    """The picture of `parts`, from left to right; neighbours are joined, so that a leap is a line."""
    known = [part for part in parts if part is not None]
    if not known:
        return ""
    low, high = min(part[0] for part in known), max(part[1] for part in known)
    rows = 4 * height
    half = max(high / 2 - low / 2, 1e-12 * max(abs(low), abs(high)), math.ulp(0.0))  # what is huge has no whole spread

    def level(value: float) -> int:
        return rows - 1 - round((value / 2 - low / 2) / half * (rows - 1))

    lines = [[_BLANK] * math.ceil(len(parts) / 2) for _ in range(height)]
    before: tuple[int, int] | None = None
    for column, part in enumerate(parts):
        if part is None:
            before = None
            continue
        top, bottom = level(part[1]), level(part[0])
        here = top, bottom
        if before is not None:  # to where the one before it ends
            top, bottom = min(top, before[1] + 1), max(bottom, before[0] - 1)
        for dot in range(top, bottom + 1):
            lines[dot // 4][column // 2] |= _DOTS[column % 2][dot % 4]
        before = here
    return "\n".join("".join(map(chr, line)) for line in lines)
