"""The render plan of one video: every setting resolved, every frame addressed, before a single tensor exists.

A plan is frozen data and needs no torch. It also computes the digest chain: a frame's digest covers all that decides
it, the digest of the frame that it starts from included, so the digests of a whole video are known before rendering.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Literal, NamedTuple

from manifests.schema import KeyframeError, Keyframes, ManifestRow
from renderers.errors import BadInput
from renderers.plan.camera_move import CameraMove
from renderers.plan.frame_plan import FramePlan, Retake, WeightedPrompt
from renderers.plan.handoff import FAR, HOLD, LEAP, PULL, Place, chain_places, keyframe_places
from renderers.plan.resolution import resolve
from renderers.registry import ModelEntry

__all__ = ["ALGORITHM", "VideoPlan", "json_safe"]

# Part of every digest: raise it when a change of code changes the pictures that the same settings give.
ALGORITHM = 4

# Columns that decide pictures and are the same for the whole video. What is not here either works frame by frame
# (prompts, camera, steps: below) or comes after the pictures (fps, format, upscale, priority, video_id).
PICTURE_COLUMNS = ("width", "height", "seed", "init", "cutouts", "loss", "optimiser", "noise_prompts")


# `auto` hands off by keyframes where a chain would keep one actor busy for longer than this.
AUTO_SECONDS = 2 * 3600.0

# Camera moves that a plan remembers: a video with keyframes asks for those around a frame again and again.
REMEMBERED_MOVES = 4096

# What draws a frame to a keyframe, as JSON.
_PULL = f"[{PULL},{HOLD}]"

# One for all digests: `json.dumps` with settings makes an encoder for every call.
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _canonical(value: Any) -> bytes:
    return _CANONICAL.encode(value).encode()


class _Way(NamedTuple):
    """The camera's move to a frame from the one that it starts from, and back to it from the keyframe that it is drawn
    to, if it is; both as JSON too."""

    camera: CameraMove
    back: CameraMove | None
    json: str
    back_json: str

    @classmethod
    def of(cls, camera: CameraMove, back: CameraMove | None) -> _Way:
        return cls(camera, back, camera.json, "" if back is None else back.json)


@dataclass(frozen=True)
class VideoPlan:
    """One video, ready to render: a resolved row, its model, and the digests of the pictures it starts from.

    `images` maps the URI of each picture that the row names (`init_image`, `image_prompts`) to the SHA-256 of its
    bytes: the content decides the frames, not the name. Of several `retakes` of one frame the last holds.
    """

    row: ManifestRow
    entry: ModelEntry
    images: Mapping[str, str]
    retakes: tuple[Retake, ...] = ()

    @classmethod
    def of(
        cls,
        row: ManifestRow,
        images: Mapping[str, str] | None = None,
        retakes: Sequence[Retake] = (),
        *,
        entry: ModelEntry,
    ) -> VideoPlan:
        """The plan of an unresolved `row`; `entry` is its model's.

        Raises:
            BadInput: the row asks for what its model can't do.
        """
        return cls(resolve(row, entry), entry, dict(images or {}), tuple(retakes))

    @property
    def video_id(self) -> str:
        return self.row.video_id

    @property
    def frames(self) -> int:
        return self.row.frames

    @cached_property
    def root(self) -> bytes:
        """Digest of what is the same for every frame."""
        row = self.row.model_dump(mode="json", include=set(PICTURE_COLUMNS))
        row["algorithm"] = ALGORITHM
        row["model"] = self.entry.digest
        row["init_image"] = self.images[self.row.init_image] if self.row.init_image else None
        row["image_prompts"] = [
            (self.images[prompt.image], prompt.weight, prompt.stop) for prompt in self.row.image_prompts or ()
        ]
        return hashlib.sha256(_canonical(json_safe(row))).digest()

    @cached_property
    def _camera_keys(self) -> tuple[Keyframes, ...]:
        columns = (self.row.zoom, self.row.angle, self.row.translate_x, self.row.translate_y)
        return tuple(Keyframes.parse(column) for column in columns)

    def camera(self, index: int) -> CameraMove:
        """The camera's move from frame `index - 1` to frame `index`.

        Raises:
            BadInput: a keyframe expression has no finite value here, or gives a zoom that is not positive.
        """
        return self._moves(index) if index else CameraMove()

    @cached_property
    def _steady(self) -> bool:
        """Whether the camera makes the same move between any two frames."""
        return all(keys.constant is not None for keys in self._camera_keys)

    @cached_property
    def _moves(self) -> Callable[[int], CameraMove]:
        if not self._steady:
            return lru_cache(REMEMBERED_MOVES)(self._move)
        always = lru_cache(1)(lambda: self._move(1))
        return lambda _: always()

    def _move(self, index: int) -> CameraMove:
        try:
            zoom, angle, x, y = (keys.at(index) for keys in self._camera_keys)
        except KeyframeError as error:  # validation of long videos looks at a sample of the frames
            raise BadInput(f"the camera of video '{self.video_id}' at frame {index}: {error}") from error
        if zoom <= 0:
            raise BadInput(
                f"zoom '{self.row.zoom}' of video '{self.video_id}' is {zoom:g} at frame {index}: it must be positive"
            )
        return CameraMove(zoom, angle, x, y)

    def prompts(self, index: int) -> tuple[WeightedPrompt, ...]:
        """The prompts of frame `index`; a new scene fades in over `crossfade` frames from its key on."""
        scenes = self.row.scenes
        if len(scenes) == 1:
            return self._weighted(0, 1.0)
        current = max(i for i, scene in enumerate(scenes) if scene.at <= index)
        if current == 0:
            return self._weighted(0, 1.0)
        # a scene that begins before the last fade has ended cuts that fade short.
        room = scenes[current + 1].at - scenes[current].at if current + 1 < len(scenes) else self.row.crossfade
        fade = min(self.row.crossfade, room)
        share = min(1.0, (index - scenes[current].at + 1) / (fade + 1))
        if share == 1.0:
            return self._weighted(current, 1.0)
        return self._weighted(current - 1, 1 - share) + self._weighted(current, share)

    def _weighted(self, scene: int, share: float) -> tuple[WeightedPrompt, ...]:
        """The prompts of a scene; equal ones are one object, since a plan may have a million frames."""
        known = self._known_prompts
        if (scene, share) not in known:
            prompts = self.row.scenes[scene].prompts
            known[scene, share] = tuple(WeightedPrompt(p.text, p.weight * share, p.stop) for p in prompts)
        return known[scene, share]

    @cached_property
    def _known_prompts(self) -> dict[tuple[int, float], tuple[WeightedPrompt, ...]]:
        return {}

    @cached_property
    def handoff(self) -> Literal["chain", "keyframes"]:
        """How frames follow each other; `auto` takes keyframes where one actor would be busy for hours with a chain.

        By the row and its model alone: a cluster that decided it would make other frames on another day.
        """
        if self.row.handoff != "auto":
            return self.row.handoff
        long = self.seconds(0, self.frames) >= AUTO_SECONDS and self.frames >= 2 * self.row.keyframe_every * FAR
        return "keyframes" if long else "chain"

    def places(self) -> Iterable[Place]:
        """Where each frame starts, in an order in which they can be rendered."""
        if self.handoff == "chain":
            return chain_places(self.frames)
        return keyframe_places(self.frames, self.row.keyframe_every, [scene.at for scene in self.row.scenes])

    def walk(self) -> Iterator[FramePlan]:
        """The frames in order, each with its digest."""
        retakes = {(retake.frame, retake.instead_of): retake for retake in self.retakes}
        return self.walk_with(lambda frame, digest: retakes.get((frame, digest)))

    def walk_with(self, decide: Callable[[int, str], Retake | None]) -> Iterator[FramePlan]:
        """As `walk`, with other retakes than the plan's own: `decide` is asked for each frame's, by number and by the
        digest that it has without one; for those that it starts from or is drawn towards before itself."""
        if self.handoff == "keyframes":
            made: dict[int, FramePlan] = {}
            for place in self.places():
                made[place.index] = self._planned(place, made, decide)
            yield from (made[index] for index in range(self.frames))
            return
        before: dict[int, FramePlan] = {}
        for place in self.places():
            frame = self._planned(place, before, decide)
            yield frame
            before = {place.index: frame}

    def _planned(
        self, place: Place, made: Mapping[int, FramePlan], decide: Callable[[int, str], Retake | None]
    ) -> FramePlan:
        """One frame, when all that it needs is in `made`."""
        index, start = place.index, place.start
        before = None if start is None else made[start].digest
        way = self._way(place)
        ahead = None if place.target_frame is None else made[place.target_frame].digest
        steps, leap = self._steps(place), place.leap
        prompts = self.prompts(index)
        # values as JSON: a plan may have a million frames, and most of what decides them is the same for all
        decides = {
            "frame": str(index),
            "prompts": self._prompts_json(prompts),
            "camera": way.json,
            "steps": str(steps),
            "parent": _text(before),
        }
        # a chain's frame knows nothing of these
        if ahead:
            decides |= {"back": way.back_json, "share": repr(place.share), "towards": _text(ahead), "pull": _PULL}
        if place.level < 2 and index:
            decides["ahead"] = "true"
        if leap:
            decides["leap"] = repr(leap * LEAP)
        digest = self._digest(decides)
        parent, towards, seed, retaken_from = before, ahead, None, ""
        retake = decide(index, digest)
        if retake is not None:
            seed, retaken_from = retake.seed, digest
            parent = retake.start_digest or before
            decides["parent"] = _text(parent)
            if ahead:
                towards = retake.target_digest or ahead
                decides["towards"] = _text(towards)
            digest = self._digest(decides | ({} if seed is None else {"seed": str(seed)}))
        needs = [place.start] if place.start is not None and parent == before else []
        if place.target_frame is not None and towards == ahead:
            needs.append(place.target_frame)
        return FramePlan(
            index, prompts, way.camera, steps, digest, parent, seed, (parent, towards) != (before, ahead),
            retaken_from, place.start, place.target_frame, towards or "", way.back, place.share, place.level,
            tuple(needs),
        )  # fmt: skip

    def _steps(self, place: Place) -> int:
        row = self.row
        if not place.index:
            return row.steps_first
        if place.level:
            return row.steps
        keyframe = row.steps_keyframe or LEAP * row.steps
        return round(row.steps + place.leap * (keyframe - row.steps))

    def _way(self, place: Place) -> _Way:
        if not self._steady or place.start is None:
            return self._way_of(place)
        # with the same move everywhere, ways of one length are one object, for all of a million frames
        lengths = (place.index - place.start, (place.target_frame or place.index) - place.index)
        if lengths not in self._known_ways:
            self._known_ways[lengths] = self._way_of(place)
        return self._known_ways[lengths]

    @cached_property
    def _known_ways(self) -> dict[tuple[int, int], _Way]:
        return {}

    def _way_of(self, place: Place) -> _Way:
        if place.start is None:
            return _Way.of(CameraMove(), None)
        moves = [self.camera(index) for index in range(place.start + 1, place.index + 1)]
        # one move is what it is; composed with none it would be another number in the last digit
        camera = moves[0] if len(moves) == 1 else CameraMove.through(moves)
        if place.target_frame is None:
            return _Way.of(camera, None)
        ahead = (self.camera(index) for index in range(place.index + 1, place.target_frame + 1))
        return _Way.of(camera, CameraMove.through(ahead).back())

    def _digest(self, decides: Mapping[str, str]) -> str:
        """The digest of a frame: `decides` are values as JSON."""
        document = ",".join([f'"{name}":{decides[name]}' for name in sorted(decides)])
        return hashlib.sha256(self.root + f"{{{document}}}".encode()).hexdigest()

    def _prompts_json(self, prompts: tuple[WeightedPrompt, ...]) -> str:
        known = self._known_prompts_json
        if prompts not in known:
            known[prompts] = _canonical([(p.text, p.weight, json_safe(p.stop)) for p in prompts]).decode()
        return known[prompts]

    @cached_property
    def _known_prompts_json(self) -> dict[tuple[WeightedPrompt, ...], str]:
        return {}

    @cached_property
    def frame_plans(self) -> tuple[FramePlan, ...]:
        """All frames, in order; `walk` for those who need only some."""
        return tuple(self.walk())

    @cached_property
    def digests(self) -> Sequence[str]:
        """The digest of every frame, in order (64 hexadecimal digits each)."""
        return tuple(frame.digest for frame in self.frame_plans)

    def seconds(self, start: int, stop: int) -> float:
        """Estimated seconds of one actor for frames `[start, stop)` of a chain, from the registry's figure.

        Deliberately not from measurements: the estimate cuts videos into ranges, and a second run must cut them alike.
        """
        steps = (stop - start) * self.row.steps + (self.row.steps_first - self.row.steps if start == 0 < stop else 0)
        return steps * self.step_seconds

    @cached_property
    def step_seconds(self) -> float:
        """Estimated seconds of one step."""
        size = self.row.width * self.row.height
        usual = 1
        for column in ("width", "height"):
            usual *= self.entry.defaults.get(column, ManifestRow.model_fields[column].default)
        return self.entry.seconds_per_step * max(1.0, size / usual)


def _text(value: str | None) -> str:
    """A digest as JSON: there is nothing in it to be escaped."""
    return "null" if value is None else f'"{value}"'


def json_safe(value: Any) -> Any:
    """Infinities as text: JSON has none, and a canonical form must not depend on a library's taste."""
    if isinstance(value, float) and value in (float("inf"), float("-inf")):
        return str(value)
    if isinstance(value, Mapping):
        return {key: json_safe(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_safe(item) for item in value]
    return value
