"""Prompts as other tools write them: weights in brackets, `--neg`, tags of small models, mathematics in backticks."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from manifests.schema import KeyframeError, Prompt, Scene, format_prompts
from manifests.schema.scenes import LONGEST_TEXT, MAX_WEIGHT, NUMBER, number_text

__all__ = ["NEGATIVE", "Piece", "Reading", "Story", "bare", "compact", "read_weighted", "spelled",
           "trailing_weights"]  # fmt: skip

#: What a negative prompt of a diffusion model weighs here, and where it stops pushing: more would tear pictures apart.
NEGATIVE = ("-0.5", "-0.9")

_TAG = re.compile(r"<[^<>:]{1,40}:[^<>]{0,200}>")
_MATHS = re.compile(r"\(([^()`]{0,2000}):\s*`([^`]{1,4000})`\s*\)")
_BACKTICK = re.compile(r"`[^`]{0,4000}`|`")
_WEIGHT = re.compile(r":\s*-?\d*\.?\d+\s*(?=[)\]}>])")
_NEGATED = re.compile(r"(?:^|\s)--neg(?:\s+|$)")
_BRACKETS = re.compile(r"[()\[\]{}]")
_SIGNS = re.compile(r"[()\[\]{}<>|:\\\"`~^]|--+|::")
_LONG_DASH = re.compile(r"(?:^|\s)[—–](?=\w)")


@dataclass(frozen=True, slots=True)
class Piece:
    """One prompt: its text, and weight and stop as columns have them."""

    text: str
    weight: str = "1"
    stop: str = "-inf"

    def values(self) -> dict[str, str]:
        """As a source has it; what is usual is left out."""
        made = {"text": self.text}
        if self.weight != "1":
            made["weight"] = self.weight
        if self.stop != "-inf":
            made["stop"] = self.stop
        return made


@dataclass
class Reading:
    """What a text came to, and what was done to it, in words."""

    pieces: list[Piece] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def note(self, words: str) -> None:
        """Remember what was done, once."""
        if words not in self.notes:
            self.notes.append(words)


def bare(text: str) -> str:
    """`text` without every sign that any tool reads as more than text."""
    text = re.sub(r"\s+", " ", _LONG_DASH.sub(" ", _SIGNS.sub(" ", text))).strip(" ,;-")
    # `AND`, `Negative prompt`, `12 30` may stay: without their signs they are words
    return text[:LONGEST_TEXT] or "a picture"


def read_weighted(text: str, weight: Callable[[str], str]) -> Reading:
    """A prompt of Stable Diffusion's tools: brackets are left out, `(x:`formula`)` becomes a prompt of its own, of the
    weight that `weight` makes of the formula, and what is behind `--neg` pushes away."""
    found = Reading()
    wanted, *unwanted = _NEGATED.split(text)
    _read_part(wanted, weight, found, negative=False)
    for part in unwanted:
        _read_part(part, weight, found, negative=True)
    return found


def _read_part(text: str, weight: Callable[[str], str], found: Reading, *, negative: bool) -> None:
    def own(match: re.Match[str]) -> str:
        words = _plain(match[1], found)
        if not words:
            return " "
        try:
            value = weight(match[2])
        except KeyframeError as error:
            found.note(f"the weight of '{words[:40]}' can't be read, and is 1 ({error})")
            value = "1"
        found.note("a part with a formula is a prompt of its own")
        pieces.append(Piece(words, f"-{NEGATIVE[0][1:]}*({value})", NEGATIVE[1]) if negative else Piece(words, value))
        return " "

    pieces: list[Piece] = []
    rest = _plain(_MATHS.sub(own, text), found)
    if rest:
        found.pieces.append(Piece(rest, *NEGATIVE) if negative else Piece(rest))
    found.pieces += pieces
    if negative and (rest or pieces):
        found.note(f"what is behind --neg pushes away, with the weight {NEGATIVE[0]} and the stop {NEGATIVE[1]}")


def _plain(text: str, found: Reading) -> str:
    if _TAG.search(text):
        found.note("tags of small models are left out")
        text = _TAG.sub(" ", text)
    if "`" in text:
        found.note("a formula that is no weight is left out")
        text = _BACKTICK.sub(" ", text)
    without = _WEIGHT.sub("", text)
    if without != text or _BRACKETS.search(text):
        found.note("brackets around words, and their weights, are left out")
        text = _BRACKETS.sub(" ", without)
    parts = (re.sub(r"\s+", " ", it).strip() for it in text.split(","))
    return ", ".join(it for it in parts if it)[:LONGEST_TEXT]


def trailing_weights(text: str) -> Piece | None:
    """`text:weight:stop` of VQGAN-CLIP, whose numbers stand behind the last two colons; None for an empty text."""
    parts = text.rsplit(":", 2)
    values: list[str] = []
    while len(parts) > 1 and NUMBER.fullmatch(parts[-1].strip()):
        values.insert(0, parts.pop().strip())
    words = re.sub(r"\s+", " ", ":".join(parts)).strip()[:LONGEST_TEXT]
    if not words:
        return None
    weight = spelled(values[0], MAX_WEIGHT) if values else "1"
    stop = spelled(values[1], math.inf) if len(values) > 1 else "-inf"
    return Piece(words, weight, "-inf" if stop == "inf" else stop)


def spelled(value: str, most: float = MAX_WEIGHT) -> str:
    """A number as a weight or a stop may be: within bounds, in the one spelling."""
    number = float(value)
    if math.isnan(number):
        return "1" if most == MAX_WEIGHT else "-inf"
    return number_text(min(most, max(-most, number)))


def compact(pieces: Iterable[Piece]) -> str:
    """Prompts in the compact grammar, for `prefix` and `suffix`."""
    prompts = tuple(Prompt(text=it.text, weight=it.weight, stop=it.stop) for it in pieces)
    return format_prompts([Scene(at=0, prompts=prompts)])


class Story:
    """The scenes of a video, by the frames at which they begin."""

    def __init__(self) -> None:
        self._scenes: dict[int, dict[str, Any]] = {}

    def scene(
        self, at: int, pieces: Iterable[Piece], images: Iterable[dict[str, Any]] = (), crossfade: int | None = None
    ) -> None:
        """Begin a scene; another one at the same frame gives way."""
        prompts, pictures = [it.values() for it in pieces if it.text], list(images)
        if not prompts and not pictures:
            return
        made: dict[str, Any] = {"at": at}
        if crossfade is not None:
            made["crossfade"] = crossfade
        if prompts:
            made["prompts"] = prompts
        if pictures:
            made["images"] = pictures
        self._scenes[at] = made

    def values(self, frames: int) -> tuple[list[dict[str, Any]], list[str]]:
        """The scenes of a video of so many frames, and what was done so that they fit in, in words."""
        notes = []
        ordered = [self._scenes[at] for at in sorted(self._scenes)]
        inside = [it for it in ordered if it["at"] < frames]
        if len(inside) < len(ordered):
            notes.append(f"what begins after the last frame, {frames - 1}, is left out")
        if not inside and ordered:
            inside = [{**ordered[0], "at": 0}]
        if inside and inside[0]["at"] != 0:
            notes.append(f"the first prompt, of frame {inside[0]['at']}, begins with the video")
            inside[0] = {**inside[0], "at": 0}
        return inside, notes
