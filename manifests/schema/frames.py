"""Frame ranges as people write them: `120-180,200`, both ends included; in code they are half-open ranges.

`0-100x10` is every tenth of them, as render farms write it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from manifests.errors import ErrorKind, NightreelError

MAX_FRAME = 1_000_000
_SHOWN_RANGES = 20
_PART = re.compile(r"(\d+)(?:\s*-\s*(\d+)(?:\s*x\s*(\d+))?)?", re.ASCII | re.IGNORECASE)


class FrameRangeError(NightreelError, ValueError):
    """A frame range that can't be read."""

    kind = ErrorKind.BAD_INPUT


def parse_frames(text: str) -> tuple[range, ...]:
    """Read `120-180,200` as `(range(120, 181), range(200, 201))`: sorted, and joined where they touch or overlap.
    `0-100x10` is each tenth from 0 on.

    Raises FrameRangeError, which names the offending part and what is allowed.
    """
    ranges: list[range] = []
    for part in text.split(","):
        match = _PART.fullmatch(part.strip())
        if match is None:
            raise FrameRangeError(
                f"frame range '{part.strip()}': not a frame number or a range; write '120-180,200', or '0-100x10' "
                "for every tenth, counted from 0"
            )
        start, end = (_frame(part, number) for number in (match[1], match[2] or match[1]))
        if end < start:
            raise FrameRangeError(f"frame range '{part.strip()}': end {end} precedes start {start}")
        step = int(match[3].lstrip("0")[:8] or "0") if match[3] else 1
        if step < 1:
            raise FrameRangeError(f"frame range '{part.strip()}': step {step} gets nowhere; write 1 or more")
        every = range(start, end + 1, step)
        if step > 1 and len(ranges) + len(every) > MAX_FRAME:  # each of many parts may name half a million
            raise FrameRangeError(f"frame range '{part.strip()}': with those before it more than {MAX_FRAME:,} frames")
        ranges += [every] if step == 1 else [range(frame, frame + 1) for frame in every]
    return join_ranges(ranges)


def format_frames(frames: Iterable[int]) -> str:
    """Write frame numbers, in any order, as `120-180,200`, the inverse of `parse_frames`; none give an empty text."""
    return _text(_ranges_of(frames))


def brief_frames(frames: Iterable[int]) -> str:
    """Write frame numbers as `format_frames` does, the middle left out where there are many ranges:
    `0,2,4,...,99996,99998 (50,000 frames)`. For names and tables."""
    ranges = _ranges_of(frames)
    if len(ranges) <= _SHOWN_RANGES:
        return _text(ranges)
    half = _SHOWN_RANGES // 2
    return f"{_text(ranges[:half])},...,{_text(ranges[-half:])} ({sum(map(len, ranges)):,} frames)"


def _ranges_of(frames: Iterable[int]) -> tuple[range, ...]:
    if isinstance(frames, range) and frames.step == 1:
        return join_ranges([frames])
    return join_ranges(range(frame, frame + 1) for frame in frames)


def _text(ranges: Iterable[range]) -> str:
    return ",".join(str(r.start) if len(r) == 1 else f"{r.start}-{r.stop - 1}" for r in ranges)


def join_ranges(ranges: Iterable[range]) -> tuple[range, ...]:
    """Sort half-open ranges of step 1 and join those that touch or overlap; empty ones vanish."""
    joined: list[range] = []
    for r in sorted((r for r in ranges if len(r)), key=lambda r: r.start):
        if joined and r.start <= joined[-1].stop:
            joined[-1] = range(joined[-1].start, max(joined[-1].stop, r.stop))
        else:
            joined.append(r)
    return tuple(joined)


def _frame(part: str, number: str) -> int:
    digits = number.lstrip("0") or "0"
    if len(digits) > len(str(MAX_FRAME)) or int(digits) >= MAX_FRAME:
        raise FrameRangeError(f"frame range '{part.strip()[:40]}': frame {digits[:20]} is beyond {MAX_FRAME - 1}")
    return int(digits)
