"""The render plan of one video: every setting resolved, every frame addressed, before a single tensor exists.

A plan is frozen data and needs no torch. It knows the digest of every frame before anything is rendered
(`renderers.frame_plan.addressing`).
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from threading import RLock
from typing import Literal

from manifests.schema import ManifestRow, addresses_of
from renderers.canonical import json_safe
from renderers.errors import BadInput
from renderers.frame_plan import addressing_v4
from renderers.frame_plan.addressing import ALGORITHM, ONE_CROP, Addressing, CurrentAddressing
from renderers.frame_plan.camera_path import CameraPath
from renderers.frame_plan.candidates import exam_step
from renderers.frame_plan.crops import CROPS
from renderers.frame_plan.cutouts_in_time import CutoutsInTime
from renderers.frame_plan.frame_plan import (
    FramePlan,
    FrameSettings,
    ParentFrame,
    Retake,
    WeightedPrompt,
)
from renderers.frame_plan.handoff import FAR, LEAP, Place, chain_places, keyframe_places, single_places
from renderers.frame_plan.motion import STILL, Motion
from renderers.frame_plan.outline import Digests, Outline
from renderers.frame_plan.renewal import Renewals
from renderers.frame_plan.resolution import resolve
from renderers.frame_plan.source import Sources
from renderers.frame_plan.story import Story
from renderers.frame_plan.weights import WeightsInTime, without_a_start
from renderers.registry import ModelEntry, depth_digest

__all__ = ["ALGORITHM", "OLDER_ALGORITHMS", "VideoPlan", "json_safe"]

# Frames in storage that have the digests of these are understood still.
OLDER_ALGORITHMS = (ONE_CROP, addressing_v4.ALGORITHM)

# `auto` hands off by keyframes where a chain would keep one actor busy for longer than this.
AUTO_SECONDS = 2 * 3600.0


_PLANNING = RLock()


@contextmanager
def _planning() -> Iterator[None]:
    """One video is planned at a time: it is work of the processor, and many of a million frames would fill the memory.
    Nobody looks for circles of garbage meanwhile: a plan is millions of small objects that hold each other in none, and
    a third of the time that it takes went into looking them through again and again."""
    with _PLANNING:
        wanted = gc.isenabled()
        gc.disable()
        try:
            yield
        finally:
            if wanted:
                gc.enable()


@dataclass(frozen=True)
class VideoPlan:
    """One video, ready to render: a resolved row, its model, and the digests of the pictures it starts from.

    `images` maps the URI of each picture that the row names (`addresses_of`), and of its sound, to the SHA-256 of its
    bytes, and the upscaler that it names to that of its weights: the content decides, not the name. So it has that of
    its film, or of all files of it. Of several `retakes` of one frame the last holds. `algorithm` says by which
    formulas frames are addressed: the present ones, or of `OLDER_ALGORITHMS`. `parent` is the frame that the row
    `continues`; without it frames can't be addressed. `drawn_at` is the share of the size for which the camera's pixels
    are meant at which `row` has it drawn, for whoever tries it out.
    """

    row: ManifestRow
    entry: ModelEntry
    images: Mapping[str, str] = field(repr=False)  # addresses, which may hold secrets
    retakes: tuple[Retake, ...] = ()
    algorithm: int = ALGORITHM
    parent: ParentFrame | None = None
    drawn_at: float = 1.0

    @classmethod
    def of(
        cls,
        row: ManifestRow,
        images: Mapping[str, str] | None = None,
        retakes: Sequence[Retake] = (),
        *,
        entry: ModelEntry,
        algorithm: int = ALGORITHM,
        parent: ParentFrame | None = None,
    ) -> VideoPlan:
        """The plan of an unresolved `row`; `entry` is its model's.

        Raises:
            BadInput: the row asks for what its model can't do; or has its size from a picture, which has not been read.
        """
        if row.size_from != "row":
            raise BadInput(
                f"the size of video '{row.video_id}' is its {row.size_from}'s, which has not been read: such a row is "
                "planned by a job"
            )
        return cls(resolve(row, entry), entry, dict(images or {}), tuple(retakes), algorithm, parent)

    @property
    def video_id(self) -> str:
        return self.row.video_id

    @cached_property
    def pictures(self) -> Mapping[str, str]:
        """Those of `images` that frames are drawn with."""
        row = self.row
        if row.audio is None and row.finish.upscaler is None and row.source.video is None:
            return self.images
        named = {it.address for it in addresses_of(row) if it.is_picture}
        return {address: sha256 for address, sha256 in self.images.items() if address in named}

    @property
    def frames(self) -> int:
        return self.row.frames

    @cached_property
    def addressing(self) -> Addressing:
        """What gives frames their digests.

        Raises:
            BadInput: the formulas of `algorithm` are not known here.
        """
        if self.algorithm in (ALGORITHM, ONE_CROP):
            return CurrentAddressing(self.row, self.entry, self.images)
        if self.algorithm == addressing_v4.ALGORITHM:
            return addressing_v4.AddressingV4(self.row, self.entry, self.images)
        raise BadInput(
            f"the frames of video '{self.video_id}' are addressed by algorithm {self.algorithm}, this nightreel knows "
            f"{', '.join(map(str, sorted((*OLDER_ALGORITHMS, ALGORITHM))))}: upgrade it"
        )

    def expressible(self, algorithm: int) -> bool:
        """Whether one of `OLDER_ALGORITHMS` has an address for frames with all settings of this row, and another one
        than the present."""
        if algorithm == ONE_CROP:
            return any(not prompt.aligned for prompt in self.row.image_prompts or ())
        return algorithm == addressing_v4.ALGORITHM and addressing_v4.expressible(self.row, self.entry)

    @cached_property
    def camera_path(self) -> CameraPath:
        """Where the camera goes."""
        depth = depth_digest(self.entry) if self.row.depth.shape == "model" else ""
        return CameraPath(self.row, self.drawn_at, depth)

    @cached_property
    def renewals(self) -> Renewals | None:
        """How what frames start from is renewed; None if it is not."""
        return Renewals.of(self.row, self.closing)

    @cached_property
    def weights(self) -> WeightsInTime:
        """The weights of the loss that change in time."""
        return WeightsInTime.of_loss(self.row)

    @cached_property
    def holds(self) -> WeightsInTime:
        """The weights of what frames are held to."""
        return WeightsInTime.of_holds(self.row)

    @cached_property
    def cutouts_in_time(self) -> CutoutsInTime:
        """The shares of cutouts that change in time."""
        return CutoutsInTime(self.row)

    @cached_property
    def sources(self) -> Sources | None:
        """What frames are made of a film; None where the row names none.

        Raises:
            BadInput: nobody has prepared the film.
        """
        return Sources.of(self.row)

    @cached_property
    def row_of_frames(self) -> ManifestRow:
        """The row as those who draw its frames need it: without what each frame has of its own, which is much of a long
        film."""
        source = self.row.source
        if source.found is None:
            return self.row
        known = {"frames": self.row.frames, "fps": self.row.fps, "source": source.model_copy(update={"found": None})}
        return self.row.model_copy(update=known)

    @cached_property
    def story(self) -> Story:
        """What the prompts come to in time."""
        # a video that was begun when one crop was looked at goes on with one: its addresses stand for such frames
        return Story(self.row, CROPS if self.algorithm == ALGORITHM else 1, self.closing)

    @property
    def closing(self) -> int:
        """How many of the last frames of a loop lead back to its first; 0 for what is none."""
        return self.row.closing(self.handoff) if self.row.loop else 0

    def camera(self, index: int) -> Motion:
        """The camera's motion from frame `index - 1` to frame `index`.

        Raises:
            BadInput: a keyframe expression has no finite value here, or one that the camera may not have; or hardly
                anything of the picture is left in view.
        """
        return self.camera_path.at(index)

    def prompts(self, index: int) -> tuple[WeightedPrompt, ...]:
        """The texts of frame `index`, with the weights that they have there (see `Story.prompts`)."""
        return self.story.prompts(index).texts

    @cached_property
    def handoff(self) -> Literal["chain", "keyframes", "single"]:
        """How frames follow each other, single where none follows any; `auto` takes keyframes where one actor would be
        busy for hours with a chain.

        By the row and its model alone: a cluster that decided it would make other frames on another day.

        Raises:
            BadInput: the row asks for keyframes, but its camera's motions can't be composed to leaps.
        """
        if self.row.source.video is not None:
            return "single" if self.row.source.mode == "each" else "chain"
        if self.row.handoff != "chain" and self.frames > 1 and not self.camera_path.composable:
            if self.row.handoff == "keyframes":
                raise BadInput(
                    f"video '{self.video_id}' asks for handoff keyframes, but a keyframe is a leap over many frames, "
                    "and the motions of its camera can't be composed to one: choose handoff chain, or auto"
                )
            return "chain"
        if self.row.handoff != "auto":
            return self.row.handoff
        long = self.seconds(0, self.frames) >= AUTO_SECONDS and self.frames >= 2 * self.row.keyframe_every * FAR
        return "keyframes" if long else "chain"

    def places(self) -> Iterable[Place]:
        """Where each frame starts, in an order in which they can be rendered."""
        if self.handoff == "chain":
            return chain_places(self.frames, self.closing)
        if self.handoff == "single":
            return single_places(self.frames)
        # where all is on its way from scene to scene, nothing begins of a sudden
        cuts = [] if self.row.travel else sorted({scene.at for scene in self.row.all_scenes})
        return keyframe_places(self.frames, self.row.keyframe_every, cuts, self.closing)

    def following(self, index: int) -> int | None:
        """The number of the frame that is shown after frame `index`; None after the last, but for a loop."""
        return index + 1 if index + 1 < self.frames else 0 if self.row.loop else None

    def walk(self) -> Iterator[FramePlan]:
        """The frames in order, each with its digest."""
        return self.walk_with(self._own_retakes)

    @property
    def _own_retakes(self) -> Callable[[int, str], Retake | None]:
        retakes = {(retake.frame, retake.instead_of): retake for retake in self.retakes}
        return lambda frame, digest: retakes.get((frame, digest))

    def walk_with(self, decide: Callable[[int, str], Retake | None]) -> Iterator[FramePlan]:
        """As `walk`, with other retakes than the plan's own: `decide` is asked for each frame's, by number and by the
        digest that it has without one; for those that it starts from or is drawn towards before itself."""
        if self.handoff != "keyframes":
            yield from self.as_placed(decide)
            return
        made = {frame.index: frame for frame in self.as_placed(decide)}
        yield from (made[index] for index in range(self.frames))

    def as_placed(self, decide: Callable[[int, str], Retake | None] | None = None) -> Iterator[FramePlan]:
        """As `walk_with`, or `walk`, but in the order of `places`: of all frames only those are held meanwhile that
        others are yet to start from, or to be drawn to."""
        decide = self._own_retakes if decide is None else decide
        made: dict[int, FramePlan] = {}
        passed: int | None = None
        for place in self.places():
            made[place.index] = frame = self._planned(place, made, decide)
            yield frame
            # keyframes stay, and the first frame, which comes again in a loop; of the others the next one starts from
            # the last
            if place.level == 2 and place.index:
                if passed is not None:
                    del made[passed]
                passed = place.index

    def _planned(
        self, place: Place, made: Mapping[int, FramePlan], decide: Callable[[int, str], Retake | None]
    ) -> FramePlan:
        """One frame, when all that it needs is in `made`."""
        settings = self._settings(place, made)
        parent = None if place.index else self._parent()
        start = shown_start = _digest_of(parent if place.start is None else made[place.start])
        target = shown_target = None if place.target_frame is None else made[place.target_frame].digest
        digest, seed, retaken_from = self.addressing.digest(place, settings, start, target), None, ""
        retake = decide(place.index, digest)
        if retake is not None:
            seed, retaken_from = retake.seed, digest
            start = retake.start_digest or start
            target = (retake.target_digest or target) if target else None
            digest = self.addressing.digest(place, settings, start, target, seed)
        needs = [place.start] if place.start is not None and start == shown_start else []
        if place.target_frame is not None and target == shown_target:
            needs.append(place.target_frame)
        return FramePlan(
            place=place,
            prompts=settings.prompts.texts,
            pictures=settings.prompts.pictures,
            noise=settings.prompts.noise,
            regions=settings.prompts.regions,
            steps=settings.steps,
            motion=settings.motion,
            digest=digest,
            start_digest=start,
            target_digest=target or "",
            target_motion=settings.target_motion,
            seed=seed,
            kept=(start, target) != (shown_start, shown_target),
            retaken_from=retaken_from,
            renewal=settings.renewal,
            weights=settings.weights,
            holds=settings.holds,
            source=settings.source,
            cutouts=settings.cutouts,
            needs=tuple(needs),
            parent=parent,
        )

    def _parent(self) -> ParentFrame | None:
        if self.row.continues is not None and self.parent is None:
            raise BadInput(
                f"video '{self.video_id}' continues {self.row.continues}, which is rendered before it by a job: use "
                "`nightreel render`, or run_job in Python"
            )
        return self.parent

    def _settings(self, place: Place, made: Mapping[int, FramePlan]) -> FrameSettings:
        """What the row's settings come to at one frame, when all that it needs is in `made`."""
        index, start, target, path = place.index, place.start, place.target_at, self.camera_path
        motion: Motion = path.to_first if start is None and self.parent else STILL
        if start is not None:
            motion = path.through(start, index)
            if path.must_show:
                path.check_leap(motion, start, index)
        target_motion = None if target is None else path.back(index, target)
        prompts, steps, renewals = self.story.prompts(index), self._steps(place), self.renewals
        weights, holds = self.weights.at(index), self.holds.at(index)
        source = None if self.sources is None else self.sources.at(index)
        cutouts = self.cutouts_in_time.at(index, steps)
        if start is None and not self.parent:
            holds = without_a_start(holds)
        if renewals is None:
            return FrameSettings(prompts, steps, motion, target_motion, None, weights, holds, source, cutouts)
        if start is None:
            renewal = renewals.first(index, continued=self.parent is not None)
        else:
            before = made[start].renewal
            renewal = renewals.at(index, before.colours_of if before is not None else 0)
        return FrameSettings(prompts, steps, motion, target_motion, renewal, weights, holds, source, cutouts)

    def _steps(self, place: Place) -> int:
        row = self.row
        if not place.index:
            return self._steps_first
        if place.level:
            return row.steps
        keyframe = row.steps_keyframe or LEAP * row.steps
        return round(row.steps + place.leap * (keyframe - row.steps))

    @cached_property
    def frame_plans(self) -> tuple[FramePlan, ...]:
        """All frames, in order, each half a kilobyte or more; `walk` for those who need only some, `outline` for those
        who need only digests."""
        with _planning():
            return tuple(self.walk())

    @cached_property
    def outline(self) -> Outline:
        """All frames in outline. Whoever needs `frame_plans` as well asks for those first, and nothing is planned
        twice; who does not is spared the memory that they take."""
        if "frame_plans" in vars(self):
            return Outline.of(self.frames, self.frame_plans)
        with _planning():
            return Outline.of(self.frames, self.as_placed())

    @property
    def digests(self) -> Digests:
        """The digest of every frame, in order (64 hexadecimal digits each)."""
        return self.outline.digests

    def seconds(self, start: int, stop: int) -> float:
        """Estimated seconds of one actor for frames `[start, stop)` of a chain, from the registry's figure.

        Deliberately not from measurements: the estimate cuts videos into ranges, and a second run must cut them alike.
        """
        steps = (stop - start) * self.row.steps + (self._first_work - self.row.steps if start == 0 < stop else 0)
        return steps * self.step_seconds

    def all_seconds(self) -> float:
        """Estimated seconds of one actor for all frames, however they follow each other.

        Raises:
            BadInput: as `handoff`.
        """
        if self.handoff != "keyframes":
            return self.seconds(0, self.frames)
        others = self._first_work - self._steps_first
        return (sum(map(self._steps, self.places())) + others) * self.step_seconds

    @property
    def _first_work(self) -> int:
        """The steps of the first frame, with those of the candidates that don't go on."""
        return self._steps_first + (self.row.candidates - 1) * exam_step(self.row)

    @property
    def _steps_first(self) -> int:
        """The steps of the first frame: one that starts from a frame of another video is a frame like any other, and so
        is one of a film whose frames all start alike."""
        source = self.row.source
        warm = self.row.continues is not None or (source.video is not None and source.mode == "each")
        return self.row.steps if warm else self.row.steps_first

    @cached_property
    def step_seconds(self) -> float:
        """Estimated seconds of one step."""
        size = self.row.width * self.row.height
        usual = 1
        for column in ("width", "height"):
            usual *= self.entry.defaults.get(column, ManifestRow.model_fields[column].default)
        return self.entry.seconds_per_step * max(1.0, size / usual)


def _digest_of(frame: FramePlan | ParentFrame | None) -> str | None:
    return None if frame is None else frame.digest
