"""How nightreel 0.1 addressed frames, frozen, so that what it left in storage is found and gone on with.

Nothing here changes any more: a digest holds every setting that 0.1 had, neutral or not, the camera as its four
numbers, and all as it was computed, unrounded. A row that uses a setting of later days has no such digest
(`expressible`).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from manifests.schema import ManifestRow
from manifests.schema.scenes import plain_number
from renderers.canonical import json_safe
from renderers.errors import ModelFilesBroken
from renderers.frame_plan.camera_path import CameraPath
from renderers.frame_plan.frame_plan import FrameSettings
from renderers.frame_plan.handoff import Place
from renderers.frame_plan.neutral import deviations
from renderers.frame_plan.story import Story
from renderers.registry import ModelEntry, PerceptorEntry
from renderers.registry.digest import deviations as model_deviations

__all__ = ["ALGORITHM", "AddressingV4", "expressible"]

ALGORITHM = 4

COLUMNS = ("width", "height", "seed", "init")
NESTED = {
    "cutouts": (
        "number", "size_min", "size_max", "power", "degrees", "translate", "shear", "affine_probability", "perspective",
        "perspective_probability", "brightness", "contrast", "saturation", "hue", "jitter_probability", "erase_min",
        "erase_max", "erase_probability", "noise", "flip_probability",
    ),
    "loss": ("tv", "z_decay", "contrast", "contrast_scale"),
    "optimiser": ("lr", "lr_final", "beta1", "beta2", "even", "coarse", "latent_noise"),
}  # fmt: skip
AXES = ("zoom", "angle", "translate_x", "translate_y")
# All settings that decided pictures.
KNOWN = frozenset({
    *COLUMNS, *AXES, *(f"{column}.{name}" for column, names in NESTED.items() for name in names),
    "init_image", "prompt", "prompts", "crossfade", "image_prompts", "noise_prompts", "steps", "steps_first",
    "steps_keyframe", "handoff", "keyframe_every", "prompt.text", "prompt.weight", "prompt.stop", "image_prompt.image",
    "image_prompt.weight", "image_prompt.stop", "noise_prompt.seed", "noise_prompt.weight",
})  # fmt: skip

PULL = "[300.0,2]"
LEAP = 3
REMEMBERED_MOVES = 4096

_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def expressible(row: ManifestRow, entry: ModelEntry) -> bool:
    """Whether these formulas have a digest for all that decides the frames of a resolved `row`."""
    return deviations(row) <= KNOWN and model_deviations(entry) <= MODEL_KNOWN


class AddressingV4:
    """The formulas of 0.1."""

    def __init__(self, row: ManifestRow, entry: ModelEntry, images: Mapping[str, str]) -> None:
        self._row, self._story, self._path = row, Story(row), CameraPath(row)
        self._root = _root(row, entry, images)
        self._prompts: dict[tuple[tuple[int, float], ...], str] = {}
        self._ways: dict[tuple[int, int], tuple[str, str]] = {}
        self._move: Callable[[int], Move] = lru_cache(REMEMBERED_MOVES)(self._move_to)

    def digest(
        self, place: Place, settings: FrameSettings, start: str | None, target: str | None, seed: int | None = None
    ) -> str:
        camera, back = self._way(place)
        values = {
            "frame": str(place.index),
            "prompts": self._prompts_text(place.index),
            "camera": camera,
            "steps": str(settings.steps),
            "parent": "null" if start is None else f'"{start}"',
        }
        if target:
            values |= {"back": back, "share": repr(place.share), "towards": f'"{target}"', "pull": PULL}
        if place.level < 2 and place.index:
            values["ahead"] = "true"
        if place.leap:
            values["leap"] = repr(place.leap * LEAP)
        if seed is not None:
            values["seed"] = str(seed)
        document = ",".join([f'"{name}":{values[name]}' for name in sorted(values)])
        return hashlib.sha256(self._root + f"{{{document}}}".encode()).hexdigest()

    def _prompts_text(self, index: int) -> str:
        shares = self._story.shares(index)
        if shares not in self._prompts:
            prompts = [
                (prompt.text, _number(prompt.weight) * share, json_safe(_number(prompt.stop)))
                for scene, share in shares
                for prompt in self._row.scenes[scene].prompts
            ]
            self._prompts[shares] = _CANONICAL.encode(prompts)
        return self._prompts[shares]

    def _way(self, place: Place) -> tuple[str, str]:
        if not self._path.steady or place.start is None:
            return self._way_of(place)
        lengths = (place.index - place.start, (place.target_frame or place.index) - place.index)
        if lengths not in self._ways:
            self._ways[lengths] = self._way_of(place)
        return self._ways[lengths]

    def _way_of(self, place: Place) -> tuple[str, str]:
        if place.start is None:
            return Move().json, ""
        moves = [self._move(index) for index in range(place.start + 1, place.index + 1)]
        camera = moves[0] if len(moves) == 1 else Move.through(moves)
        if place.target_frame is None:
            return camera.json, ""
        ahead = (self._move(index) for index in range(place.index + 1, place.target_frame + 1))
        return camera.json, Move.through(ahead).back().json

    def _move_to(self, index: int) -> Move:
        values = self._path.values(1 if self._path.steady else index)
        return Move(*(values[axis] for axis in AXES))


def _root(row: ManifestRow, entry: ModelEntry, images: Mapping[str, str]) -> bytes:
    document: dict[str, Any] = {column: getattr(row, column) for column in COLUMNS}
    for column, names in NESTED.items():
        document[column] = {name: getattr(getattr(row, column), name) for name in names}
    document["noise_prompts"] = None
    if row.noise_prompts is not None:
        document["noise_prompts"] = [
            {"seed": prompt.seed, "weight": _number(prompt.weight)} for prompt in row.noise_prompts
        ]
    document["algorithm"] = ALGORITHM
    document["model"] = model_digest(entry)
    document["init_image"] = images[row.init_image] if row.init_image else None
    document["image_prompts"] = [
        (images[prompt.image], _number(prompt.weight), _number(prompt.stop)) for prompt in row.image_prompts or ()
    ]
    return hashlib.sha256(_CANONICAL.encode(json_safe(document)).encode()).digest()


def _number(text: str) -> float:
    # one that changes in time, 0.1 had no word for: see `expressible`
    return number if (number := plain_number(text)) is not None else math.nan


@dataclass(frozen=True, slots=True)
class Move:
    """A factor, degrees counter-clockwise, pixels right and down: a point `p` went to `zoom * rotated(p) + (x, y)`."""

    zoom: float = 1.0
    angle: float = 0.0
    x: float = 0.0
    y: float = 0.0

    @property
    def json(self) -> str:
        return f'{{"angle":{self.angle!r},"x":{self.x!r},"y":{self.y!r},"zoom":{self.zoom!r}}}'

    def back(self) -> Move:
        """The move that undoes this one."""
        zoom, (cos, sin) = 1 / self.zoom, _turn(-self.angle)
        x, y = cos * self.x + sin * self.y, -sin * self.x + cos * self.y
        return Move(zoom, -self.angle, -zoom * x, -zoom * y)

    @classmethod
    def through(cls, moves: Iterable[Move]) -> Move:
        """All of `moves`, one after the other."""
        zoom, angle, x, y = 1.0, 0.0, 0.0, 0.0
        turned, cos, sin = 0.0, 1.0, 0.0
        for move in moves:
            if move.angle != turned:
                turned = move.angle
                cos, sin = _turn(turned)
            zoom, angle = zoom * move.zoom, angle + move.angle
            x, y = move.zoom * (cos * x + sin * y) + move.x, move.zoom * (-sin * x + cos * y) + move.y
        return cls(zoom, angle, x, y)


def _turn(angle: float) -> tuple[float, float]:
    turn = math.radians(angle)
    return math.cos(turn), math.sin(turn)


# -- the model ---------------------------------------------------------------------------------------------------------

# What of a model's entry decided pictures.
MODEL_KNOWN = frozenset({
    "vqgan.kind", "vqgan.config", "vqgan.sha256", "vqgan.source", "perceptor.folder", "perceptor.architecture",
    "perceptor.pretrained", "perceptor.sha256", "perceptor.merges", "perceptor.templates", "concepts",
})  # fmt: skip


def model_digest(entry: ModelEntry) -> str:
    """The digest of a model.

    Raises:
        ModelFilesBroken: a config or the merges can't be read.
    """
    vqgan = entry.vqgan
    try:
        if vqgan.source is None:
            parts = [str(vqgan.sha256), vqgan.config_path.read_bytes().hex()]
        else:
            parts = [vqgan.source.checkpoint.sha256, vqgan.source.config.sha256]
        for perceptor in entry.perceptors:
            parts += _perceptor_parts(perceptor)
    except OSError as error:
        raise ModelFilesBroken(f"a file of model '{entry.name}' can't be read: {error}") from error
    return hashlib.sha256("\n".join([*parts, *entry.concepts]).encode()).hexdigest()


def _perceptor_parts(perceptor: PerceptorEntry) -> list[str]:
    if perceptor.architecture is not None:
        names = f"open_clip {perceptor.architecture} {perceptor.pretrained or ''}"
        return [perceptor.sha256 or "", names, *perceptor.templates]
    parts = [perceptor.sha256 or "", (perceptor.path / "open_clip_config.json").read_bytes().hex()]
    parts += [(perceptor.path / perceptor.merges).read_bytes().hex() if perceptor.merges else ""]
    return [*parts, *perceptor.templates]
