"""A row in the making. It asks the row's schema whether there is a column for what another tool says, so that what it
comes to is always valid for this version, and takes in a column on the day on which there is one."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from manifests.checking import check_row, nest
from manifests.importing.account import Account
from manifests.importing.curves import Curve, renamed
from manifests.importing.wording import bare
from manifests.results import ManifestError, RowProblem
from manifests.schema import KeyframeError, may_be_video
from manifests.schema.describe import known_columns
from manifests.schema.scenes import NUMBER, wrong_stop, wrong_weight
from manifests.schema.texts import short
from manifests.schema.timeline import Timeline

__all__ = ["Draft", "drawn_seed", "name_of_prompt", "name_of_video", "side"]

_UNIT = 16  # pixels: a multiple of what each model's token covers
_LEAST, _MOST = 16, 4096
_TRIES = 50
_LONGEST_NAME = 40
_WRONG = {"weight": wrong_weight, "stop": wrong_stop}

#: What people call that for which there is no column.
_NOT_YET = {
    "border": "choice of what a moved picture uncovers", "cadence": "cadence", "centre_x": "centre",
    "centre_y": "centre", "cutouts.border": "such a border of cutouts", "dolly": "dolly",
    "field_of_view": "field of view", "finish.fps": "frame interpolation", "finish.upscaler": "model that enlarges",
    "init": "such a start",
    "mask_video": "moving mask", "optimiser.carry": "choice of restarting the optimiser", "pan": "turning camera",
    "plane_x": "tipping plane", "plane_y": "tipping plane", "renew.colours": "renewal of colours", "renew.contrast":
    "renewal of contrast", "renew.grain": "renewal by noise", "renew.noise": "renewal by noise", "renew.sharpen":
    "renewal of sharpness", "tilt": "turning camera", "zoom_x": "zoom per axis", "zoom_y": "zoom per axis",
    "regions": "regions",
}  # fmt: skip


def side(pixels: float) -> int:
    """A side of a picture, rounded to what models can draw."""
    return int(min(_MOST, max(_LEAST, round(pixels / _UNIT) * _UNIT)))


def drawn_seed(text: str) -> int:
    """A seed for a source that has none: always the same one for the same text."""
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "replace")).digest()[:4])


def name_of_video(text: str, otherwise: str) -> str:
    """A `video_id` made of a file's name or a title."""
    text = re.sub(r"\{[^{}]*\}", "", text[:1000])  # Deforum_{timestring}
    name = re.sub(r"\.[A-Za-z0-9]{1,5}$", "", re.split(r"[\\/]", text.strip())[-1])
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-._")[:100].strip("-._")
    return name if may_be_video(name) else otherwise


def name_of_prompt(text: str, otherwise: str) -> str:
    """A `video_id` made of the first words of a prompt, some 40 characters of them."""
    name = ""
    for word in re.findall(r"[A-Za-z0-9]+", text[:1000]):
        if name and len(name) + len(word) >= _LONGEST_NAME:
            break
        name = f"{name}-{word}" if name else word[:_LONGEST_NAME]
    return name if may_be_video(name) else otherwise


@dataclass
class Draft:
    """One row: `columns` by their dotted names, in which order they are written; `notes` stand beside them, and
    `origins` are the keys that they come from. `advice` is for the person who renders it."""

    account: Account
    name: str
    columns: dict[str, Any] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    origins: dict[str, list[str]] = field(default_factory=dict)
    advice: list[str] = field(default_factory=list)

    # ---- time

    @property
    def frames(self) -> int:
        """How many frames the video has."""
        return int(self.columns.get("frames", 1))

    @property
    def timeline(self) -> Timeline:
        """Its time, by what is known so far."""
        return Timeline(self.frames, float(self.columns.get("fps", 24.0)), int(self.columns.get("seed", 0)))

    def curve(self, text: Any, names: dict[str, str] | None = None) -> Curve:
        """A number in time, with the names of another tool replaced by those here.

        Raises:
            KeyframeError: it can't be read.
        """
        if isinstance(text, bool) or not isinstance(text, str | int | float):
            raise KeyframeError(f"'{short(str(text))}' is neither a number nor a formula")
        return Curve(renamed(text, names or {}) if isinstance(text, str) else text, self.timeline)

    # ---- columns

    def knows(self, column: str, value: Any = None) -> bool:
        """Whether this version has the column, and, if it is given, takes the value."""
        if column not in known_columns():
            return False
        return value is None or not self._wrong(column, value)

    def put(self, column: str, value: Any, *keys: str, rule: str = "", shows: bool = True) -> bool:
        """Say `value` by `column`, for what the source has under `keys`; `rule` says how it is only nearly the same.

        Where there is no such column, or not with this value, the keys are dropped with the reason; `shows`: whether
        that changes pictures.
        """
        if column not in known_columns():
            words = _NOT_YET.get(column, f"column {column}")
            self.account.dropped(keys, f"nightreel has no {words} yet", shows=shows)
            return False
        if wrong := self._wrong(column, value):
            known = _NOT_YET.get(column) if column in ("init", "border", "cutouts.border") else None
            self.account.dropped(keys, f"nightreel has no {known} yet" if known else wrong, shows=shows)
            return False
        self.columns[column] = value
        self.origins.setdefault(column, []).extend(keys)
        if rule:
            self.account.approximated(keys, f"{column}: {rule}")
            self.notes.setdefault(column, rule)
        else:
            self.account.mapped(keys, column)
        return True

    def implied(self, column: str, value: Any, words: str) -> None:
        """Say what the other tool does without being asked; where nightreel can't, that is told as advice."""
        if self.knows(column, value):
            self.columns[column] = value
            self.notes.setdefault(column, words)
        else:
            self.advice.append(f"{words}; nightreel has no {_NOT_YET.get(column, column)} yet")

    def _wrong(self, column: str, value: Any) -> str:
        """Why no row can have this value; nothing for one that it can."""
        frames: dict[str, Any] = {"frames": self.frames} if column != "frames" else {}
        known = [name for name in ("fps", "seed") if name in self.columns and name != column]
        timeline: dict[str, Any] = {name: self.columns[name] for name in known}
        values: dict[str, Any] = {"video_id": "import", "prompt": "a prompt"} | frames | timeline
        values[column] = value
        if column in ("prompts", "travel", "travel_hold", "loop"):  # they hang on other columns: looked at in the end
            return ""
        if (column == "init" and value == "image") or column in ("hold.init", "mask", "size_from"):
            values["init_image"] = "a.png"
        if column.startswith("source.") and column != "source.video":
            values["source.video"] = "a.mp4"
        problems = _problems(values, self.name)
        return short(problems[0].message, 300) if problems else ""

    def restyle(self, video: str, mode: str, *keys: str, rule: str = "") -> None:
        """Draw over the film at `video`, which the source has under `keys`, frame by frame as `mode` says: as many as
        it has, whatever was said before."""
        if self.put("source.video", video, *keys, rule=rule):
            self.columns["source.mode"] = mode
            self.columns.pop("frames", None)
            self.origins.pop("frames", None)
            self.notes.pop("frames", None)

    # ---- the whole

    def settled(self) -> dict[str, Any]:
        """The finished row. What it can't say together is dropped, with the reason, until it is valid.

        Raises:
            ManifestError: nothing is left of it that could be drawn.
        """
        problems: list[RowProblem] = []
        for _ in range(_TRIES):
            problems = _problems(self.columns, self.name)
            if not problems:
                return self.columns
            if not (self._without(problems) or self._bared(problems)):
                break
        raise ManifestError(f"{self.name}: no row can be made of it: {short(problems[0].message, 500)}")

    def _without(self, problems: Iterable[RowProblem]) -> bool:
        """Take out what is refused; whether anything was."""
        gone = False
        for problem in problems:
            column = re.split(r"[\[]", problem.column)[0]
            for found in [it for it in self.columns if it == column or it.startswith(f"{column}.")]:
                if found in ("video_id", "prompts", "prompt", "frames"):
                    continue
                keys = self.origins.pop(found, [])
                del self.columns[found]
                self.notes.pop(found, None)
                self.account.instead(keys, f"{found} is refused: {short(problem.message, 300)}")
                gone = True
        return gone

    def _bared(self, problems: Iterable[RowProblem]) -> bool:
        """Take the signs out of texts that another tool would read as more than text; whether there were any."""
        if not any(problem.column.startswith("prompts") for problem in problems):
            return False
        before = self.columns["prompts"]
        scenes, words = [_with_parts(it, _bare_text) for it in before], "signs that are no text here are left out"
        if scenes == before:
            scenes = [_with_parts(it, _of_plain_weight) for it in before]
            words = "weights and stops are left out where they are formulas or too large, since one is not allowed"
        if scenes == before:
            return False
        self.columns["prompts"] = scenes
        self.account.approximated(self.origins.get("prompts", []), f"prompts: {words}")
        return True


def _with_parts(scene: dict[str, Any], change: Callable[[dict[str, str]], dict[str, str]]) -> dict[str, Any]:
    """A scene whose prompts and pictures are changed."""
    lists = {key: [change(it) for it in value] for key, value in scene.items() if key in ("prompts", "images")}
    return {**scene, **lists}


def _bare_text(prompt: dict[str, str]) -> dict[str, str]:
    return {key: bare(value) if key == "text" else value for key, value in prompt.items()}


def _of_plain_weight(prompt: dict[str, str]) -> dict[str, str]:
    """A prompt without a weight or a stop that is a formula, or beyond what is allowed."""
    return {
        key: value
        for key, value in prompt.items()
        if key not in ("weight", "stop") or (NUMBER.fullmatch(value) and not _WRONG[key](float(value)))
    }


def _problems(values: dict[str, Any], name: str) -> list[RowProblem]:
    return [it for it in check_row(nest(values), file=name, number=1) if isinstance(it, RowProblem)]
