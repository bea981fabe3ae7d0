"""Which videos a person is to look at: those with a frame whose score passes a limit. Pure: scores and limits in, words
out, so that a limit that is moved says another thing of the same frames."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from flows.report.series import Series
from manifests.schema import brief_frames

__all__ = ["LIMITS", "NO_LIMITS", "SCORES", "Flag", "Limits", "WorstFrame", "worst_frames"]

#: What is measured of frames, in the order in which people are told, and whether the worst of it is the highest.
SCORES: Mapping[str, bool] = {"likeness": False, "fit": False, "flicker": True, "sharpness": False}

#: The limits, by their names in a row's `review`, and the scores that they are of.
LIMITS: Mapping[str, tuple[str, ...]] = {
    "likeness_below": ("likeness", "fit"), "flicker_above": ("flicker",), "sharpness_below": ("sharpness",),
}  # fmt: skip

#: Frames that are named for each score.
WORST = 3

Pairs = tuple[tuple[int, float], ...] | Series


@dataclass(frozen=True)
class WorstFrame:
    """One of the frames that are worst by a `score`: its number and its `value`, and whether that passes a limit."""

    score: str
    frame: int
    value: float
    beyond: bool = False


@dataclass(frozen=True)
class Flag:
    """What has a video looked at: `frames` whose `score` is beyond the `limit`, of which `worst` is (frame, value)."""

    score: str
    limit: float
    frames: tuple[int, ...]
    worst: tuple[int, float]

    @property
    def text(self) -> str:
        """`flicker 31.2 at frame 17 is above 20 (frames 17,30-31)`."""
        frame, value = self.worst
        text = f"{self.score} {value:.4g} at frame {frame} is {_word(self.score)} {self.limit:g}"
        return f"{text} (frames {brief_frames(self.frames)})" if len(self.frames) > 1 else text


@dataclass(frozen=True)
class Limits:
    """The limits that hold for a video, by their names in `LIMITS`."""

    by_name: tuple[tuple[str, float], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.by_name)

    @classmethod
    def of(cls, usual: Mapping[str, float], given: Mapping[str, float]) -> Limits:
        """Return those that are `given`, and the `usual` ones where none is; names that are none are ignored, they are
        of a later release."""
        merged = {**usual, **given}
        return cls(tuple((name, merged[name]) for name in LIMITS if name in merged))

    def flags(self, scores: Mapping[str, Pairs]) -> tuple[Flag, ...]:
        """Return what has a video of these `scores` looked at, nothing for a score that nobody measured."""
        return tuple(
            _flag(score, limit, frames)
            for name, limit in self.by_name
            for score in LIMITS[name]
            if (frames := [(frame, value) for frame, value in scores.get(score, ()) if _beyond(score, value, limit)])
        )

    def limit_of(self, score: str) -> float | None:
        """Return the limit of a score; None where there is none."""
        return next((limit for name, limit in self.by_name if score in LIMITS[name]), None)


NO_LIMITS = Limits()


def worst_frames(scores: Mapping[str, Pairs], limits: Limits = NO_LIMITS) -> tuple[WorstFrame, ...]:
    """Return the worst frames by each score, the worst first."""
    found = []
    for score, highest in SCORES.items():
        limit = limits.limit_of(score)
        known = [(frame, value) for frame, value in scores.get(score, ()) if math.isfinite(value)]
        for frame, value in sorted(known, key=lambda it: (-it[1] if highest else it[1], it[0]))[:WORST]:
            found.append(WorstFrame(score, frame, value, limit is not None and _beyond(score, value, limit)))
    return tuple(found)


def _flag(score: str, limit: float, frames: list[tuple[int, float]]) -> Flag:
    worst = (max if SCORES[score] else min)(frames, key=lambda it: it[1])
    return Flag(score, limit, tuple(frame for frame, _ in frames), worst)


def _beyond(score: str, value: float, limit: float) -> bool:
    return value > limit if SCORES[score] else value < limit


def _word(score: str) -> str:
    return "above" if SCORES[score] else "below"
