"""One row of a manifest is one video (`frames` = 1 makes a still).

This class is the only source of names, types, limits and defaults: Arrow's schema, forms, help texts and error messages
are derived from it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from manifests.schema import camera
from manifests.schema import finish as finish_columns
from manifests.schema.affixes import parse_affix, with_affixes
from manifests.schema.audio import AS_AUDIO, check_bands, frames_of, signals_of
from manifests.schema.base import Settings, SettingsError
from manifests.schema.changing import ChangingValue, changing_values
from manifests.schema.consistency import check_consistent
from manifests.schema.continues import Continued, continued
from manifests.schema.fades import Fades
from manifests.schema.finish import check_finish
from manifests.schema.form import SizeFrom, Symmetry, Tile, check_form
from manifests.schema.formats import check_format
from manifests.schema.hold import HoldSettings
from manifests.schema.keyframe_text import KeyframeText
from manifests.schema.mask import Mask, MaskMoves
from manifests.schema.neutral import NO_PICTURE, Neutral
from manifests.schema.presets import NAMES, check_preset
from manifests.schema.prompts import parse_prompts
from manifests.schema.regions import Regions, shown_with_regions
from manifests.schema.renew import RenewSettings
from manifests.schema.review import ReviewSettings
from manifests.schema.scenes import ImagePrompt, NoisePrompt, Prompt, Scene, Uri, order_scenes
from manifests.schema.settings import AxisValue, CutoutSettings, LossSettings, OptimiserSettings, WarmSettings
from manifests.schema.source import SourceSettings, imply_from_source
from manifests.schema.timeline import Timeline

VIDEO_ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"
RESERVED_ID = "report"
# Frames of a loop without keyframes that lead back to its first one.
CHAIN_CLOSING = 24


def _check_prompt(text: str) -> str:
    # Nine rows of ten hold one plain text, which no parser needs to see.
    if not text.strip() or any(sign in text for sign in ":|\\") or len(text) > 10_000:
        parse_prompts(text)
    return text


def _check_prefix(text: str) -> str:
    parse_affix(text, before=True)
    return text


def _check_suffix(text: str) -> str:
    parse_affix(text, before=False)
    return text


def _check_parent_text(text: str) -> str:
    return str(continued(text))


def may_be_video(name: str) -> bool:
    """Return whether a row may give a video this name: no other folder of an output is one's."""
    return name != RESERVED_ID and re.fullmatch(VIDEO_ID_PATTERN.strip("^$"), name) is not None


class ManifestRow(Settings):
    """One video to render. `model_fields_set` holds exactly the fields that the author gave."""

    video_id: Annotated[str, NO_PICTURE] = Field(
        pattern=VIDEO_ID_PATTERN,
        description="Unique name of the video, and of its folder in the output.",
        json_schema_extra={"allowed": "1 to 128 letters, digits, '.', '_' or '-', the first a letter or a digit"},
    )
    # the length before the grammar, which takes its time
    prompt: Annotated[
        Annotated[str, Field(max_length=100_000), AfterValidator(_check_prompt)] | None, Neutral(None, in_time=True)
    ] = Field(
        None,
        description="What to draw, in the compact grammar: 'text:weight | text', scenes as '0: dawn | 120: night'.",
        json_schema_extra={"allowed": "text:weight:stop, parts joined by '|', scenes keyed as '0: dawn | 120: night'"},
    )
    prompts: Annotated[tuple[Scene, ...] | None, Neutral(None, in_time=True)] = Field(
        None,
        min_length=1,
        max_length=10_000,
        description="What to draw, as a list of scenes; give either this or 'prompt'.",
    )
    prefix: Annotated[
        Annotated[str, Field(max_length=20_000), AfterValidator(_check_prefix)] | None, Neutral(None, in_time=True)
    ] = Field(
        None,
        description="What all scenes begin with: text before each of their texts, or '| text:-1' for prompts beside.",
        json_schema_extra={"allowed": "text, which ', ' joins to those of a scene, or prompts behind a '|'"},
    )
    suffix: Annotated[
        Annotated[str, Field(max_length=20_000), AfterValidator(_check_suffix)] | None, Neutral(None, in_time=True)
    ] = Field(
        None,
        description="What all scenes end with: text behind each of their texts, or '| text:-1' for prompts beside.",
        json_schema_extra={"allowed": "text, which ', ' joins to those of a scene, or prompts behind a '|'"},
    )
    frames: Annotated[int, NO_PICTURE] = Field(1, ge=1, le=1_000_000, description="Number of frames; 1 makes a still.")
    fps: Annotated[float, NO_PICTURE] = Field(
        24.0, gt=0, le=240, description="Frames per second of the finished video."
    )
    bpm: Annotated[float | None, NO_PICTURE] = Field(
        None, gt=0, le=1000, description="Beats per minute of the music, for expressions that count beats: b."
    )
    beat_offset: Annotated[float, NO_PICTURE] = Field(
        0.0,
        ge=-100_000,
        le=100_000,
        description="Beats that pass before the one that b counts from.",
    )
    seconds: finish_columns.Seconds = None
    audio: finish_columns.Audio = None
    audio_start: finish_columns.AudioStart = 0.0
    audio_gain: finish_columns.AudioGain = 0.0
    audio_release: finish_columns.AudioRelease = 0.15
    bands: finish_columns.Bands = None
    heard: finish_columns.HeardInAudio = None
    width: Annotated[int, Neutral(512)] = Field(512, ge=16, le=4096, description="Width of a frame in pixels.")
    height: Annotated[int, Neutral(512)] = Field(512, ge=16, le=4096, description="Height of a frame in pixels.")
    size_from: SizeFrom = "row"
    seed: Annotated[int, Neutral(0)] = Field(0, ge=0, lt=2**63, description="Seed of all randomness of the video.")
    model: Annotated[str, NO_PICTURE] = Field(
        "embedded",
        min_length=1,
        max_length=200,
        description="Name of a model of the registry (see `nightreel models list`).",
    )
    preset: Annotated[
        Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(check_preset)] | None, NO_PICTURE
    ] = Field(
        None,
        description="Named settings that fill what the row leaves out, before the model's: see `nightreel manifest "
        "presets`; or a YAML file of your own (from the manifest's folder).",
        json_schema_extra={"allowed": f"one of {', '.join(NAMES)}, or the name of a file that ends in .yaml"},
    )
    steps_first: Annotated[int, Neutral(300, in_time=True)] = Field(
        300, ge=1, le=10_000, description="Steps of the first frame, or of a still."
    )
    candidates: Annotated[int, Neutral(1)] = Field(
        1, ge=1, le=64, description="Starts of the first frame, or of a still, that are tried; the best goes on."
    )
    candidates_share: Annotated[float, Neutral(0.25)] = Field(
        0.25, gt=0, lt=1, description="With several candidates, the share of the first frame's steps that each takes."
    )
    steps: Annotated[int, Neutral(25, in_time=True)] = Field(
        25, ge=1, le=10_000, description="Steps of each later frame."
    )
    zoom: Annotated[KeyframeText, Neutral(1.0, in_time=True)] = Field(
        "1", description="Camera: factor per frame as keyframes; above 1 moves in."
    )
    angle: Annotated[KeyframeText, Neutral(0.0, in_time=True)] = Field(
        "0", description="Camera: degrees per frame, counter-clockwise, as keyframes."
    )
    translate_x: Annotated[KeyframeText, Neutral(0.0, in_time=True)] = Field(
        "0", description="Camera: pixels per frame that the picture moves to the right, as keyframes."
    )
    translate_y: Annotated[KeyframeText, Neutral(0.0, in_time=True)] = Field(
        "0", description="Camera: pixels per frame that the picture moves down, as keyframes."
    )
    zoom_x: camera.ZoomX = "1"
    zoom_y: camera.ZoomY = "1"
    shear_x: camera.ShearX = "0"
    shear_y: camera.ShearY = "0"
    centre_x: camera.Centre = "0.5"
    centre_y: camera.CentreDown = "0.5"
    pan: camera.Pan = "0"
    tilt: camera.Tilt = "0"
    field_of_view: camera.FieldOfView = "60"
    plane_x: camera.PlaneX = "0"
    plane_y: camera.PlaneY = "0"
    dolly: camera.Dolly = "0"
    border: camera.Border = "reflect"
    crossfade: Annotated[int, Neutral(12, in_time=True)] = Field(
        12, ge=0, le=100_000, description="Frames over which the next scene of a story fades in from its key; 0 cuts."
    )
    travel: Annotated[bool, Neutral(False, in_time=True)] = Field(
        False,
        description="Go evenly from scene to scene: each stands alone at its key only. Instead of crossfade.",
    )
    travel_hold: Annotated[float, Neutral(0.0, in_time=True)] = Field(
        0.0, ge=0, le=1, description="With travel, the share of the way to the next scene that waits before it begins."
    )
    init: Annotated[Literal["tokens", "noise", "fractal", "gradient", "blank", "image"], Neutral("tokens")] = Field(
        "tokens",
        description="Start of the first frame: random codebook rows; pixel noise; fractal, spots of all sizes; "
        "gradient, a colour in each corner; blank, a near-white sheet; or init_image.",
    )
    init_image: Annotated[Uri | None, Neutral(None)] = Field(
        None, description="Picture that the first frame starts from: a URI, or a path (from the manifest's folder)."
    )
    mask: Mask = None
    mask_moves: MaskMoves = False
    regions: Regions = None
    tile: Tile = "none"
    symmetry: Symmetry = "none"
    continues: Annotated[
        Annotated[str, Field(max_length=200), AfterValidator(_check_parent_text)] | None, Neutral(None, in_time=True)
    ] = Field(
        None,
        description="Go on from a frame of another video, of this manifest or in the output: 'reef@119', or 'reef' for "
        "its last frame. The first frame is warm then: it has `steps`, and the camera moves to it.",
        json_schema_extra={"allowed": "the video_id of another row and a frame, as in 'reef@119', or the id alone"},
    )
    image_prompts: Annotated[tuple[ImagePrompt, ...] | None, Neutral(None, in_time=True)] = Field(
        None, max_length=100, description="Pictures that the video is drawn towards, beside its texts."
    )
    noise_prompts: Annotated[tuple[NoisePrompt, ...] | None, Neutral(None, in_time=True)] = Field(
        None, max_length=100, description="Random directions that the video is drawn towards, beside its texts."
    )
    loop: Annotated[bool, Neutral(False, in_time=True)] = Field(
        False,
        description="End where the video begins: its last frames, keyframe_every of them with keyframes and 24 of a "
        "chain, lead back to the first, which comes again after the last.",
    )
    handoff: Annotated[Literal["auto", "chain", "keyframes"], Neutral("auto", in_time=True)] = Field(
        "auto",
        description="How frames follow each other: chain, each from the one before; keyframes, which run ahead so that "
        "many actors share one video; auto takes keyframes where a chain would take hours.",
    )
    keyframe_every: Annotated[int, Neutral(8, in_time=True)] = Field(
        8, ge=2, le=1000, description="Frames from one keyframe to the next, for the handoff keyframes."
    )
    steps_keyframe: Annotated[int | None, Neutral(None, in_time=True)] = Field(
        None,
        ge=1,
        le=10_000,
        description="Steps of a keyframe that runs ahead, four of the former apart: three times `steps` unless given.",
    )
    format: finish_columns.Format = "mp4"
    codec: finish_columns.Codec = None
    quality: finish_columns.Quality = "good"
    upscale: Annotated[int, NO_PICTURE] = Field(
        1, ge=1, le=8, description="Factor by which the finished video is enlarged."
    )
    priority: Annotated[int, NO_PICTURE] = Field(
        0, ge=-100, le=100, description="Videos of higher priority are rendered first."
    )
    axes: Annotated[tuple[AxisValue, ...] | None, NO_PICTURE] = Field(
        None,
        max_length=100,
        description="Which combination of a source's `expand` the row is, for the report's grid; written by "
        "`manifest build`.",
    )
    depth: camera.DepthSettings = Field(
        camera.DepthSettings(), description="Camera: how far away is what the picture shows."
    )
    cutouts: CutoutSettings = Field(CutoutSettings(), description="How the crops are made that the perceptor sees.")
    loss: LossSettings = Field(LossSettings(), description="Terms of the loss besides the prompts.")
    hold: HoldSettings = Field(HoldSettings(), description="What frames are held to besides the prompts.")
    renew: RenewSettings = Field(
        RenewSettings(), description="What is done to the moved picture before the next frame begins."
    )
    source: SourceSettings = Field(SourceSettings(), description="A film that the video is drawn over.")
    optimiser: OptimiserSettings = Field(OptimiserSettings(), description="The optimiser's settings.")
    warm: WarmSettings = Field(WarmSettings(), description="How a frame takes over the one before it.")
    finish: Annotated[finish_columns.FinishSettings, NO_PICTURE] = Field(
        finish_columns.FinishSettings(), description="What is done with drawn frames before they are encoded."
    )
    review: Annotated[ReviewSettings, NO_PICTURE] = Field(
        ReviewSettings(), description="Which scores of its frames have the video looked at by a person."
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        given = self.__pydantic_fields_set__
        if self.video_id == RESERVED_ID:
            raise SettingsError("video_id", f"'{RESERVED_ID}' is the folder of the job's report; give another name")
        self.__dict__.update(imply_from_source(self, given))
        self._imply_frames(given)
        check_consistent(self, given)
        check_form(self, given)
        self._imply(given)
        check_bands(self)
        check_format(self)
        check_finish(self)
        return self

    def closing(self, handoff: str) -> int:
        """How many of its last frames lead back to its first, as frames follow each other by `handoff`; 0 for a video
        that is no loop."""
        if not self.loop:
            return 0
        return self.keyframe_every if handoff == "keyframes" else CHAIN_CLOSING

    @property
    def length_unknown(self) -> bool:
        """Whether it is as long as its audio, which nobody has heard yet, or as its film, which nobody has seen."""
        return self.length_of_audio or self.length_of_film

    @property
    def length_of_audio(self) -> bool:
        """Whether it is as long as its audio, which nobody has heard yet."""
        return self.seconds == AS_AUDIO and self.heard is None

    @property
    def length_of_film(self) -> bool:
        """Whether it is as long as its film, or has as many frames a second, and nobody has seen that yet."""
        if self.source.video is None or self.source.found is not None:
            return False
        given = self.__pydantic_fields_set__
        return "frames" not in given and (self.seconds is None or "fps" not in given)

    def _imply_frames(self, given: set[str]) -> None:
        frames = frames_of(self)
        if frames is None:
            return
        if "frames" in given and self.frames != frames:
            raise SettingsError(
                "frames",
                f"give either 'frames' or 'seconds', not both: {self.seconds} s are {frames:,} frames, and frames is "
                f"{self.frames:,}",
            )
        self.__dict__["frames"] = frames

    def _imply(self, given: set[str]) -> None:
        """Fill in defaults that hang on other fields, without marking them as given by the author."""
        if self.init_image is not None:
            if "init" not in given:
                self.__dict__["init"] = "image"
            elif self.init != "image":
                raise SettingsError(
                    "init", f"init_image is given, but init is '{self.init}'; leave out init, or the picture"
                )
        elif self.init == "image":
            raise SettingsError("init", "init is 'image', but no init_image is given; name a picture, or another init")
        if "format" not in given and self.frames == 1 and not self.length_unknown:
            self.__dict__["format"] = "png"
            # of a picture that is what it is they say nothing
            self.__dict__["codec"], self.__dict__["quality"] = None, "good"

    @cached_property
    def parent(self) -> Continued | None:
        """The frame of another video that it goes on from, if it does."""
        return None if self.continues is None else continued(self.continues)

    @cached_property
    def timeline(self) -> Timeline:
        """What the row says of time, for its expressions."""
        return Timeline(self.frames, self.fps, self.seed, self.bpm, self.beat_offset, signals_of(self))

    @cached_property
    def fades(self) -> Fades:
        """How the scenes follow each other."""
        return self.fades_of(self.scenes)

    def fades_of(self, scenes: tuple[Scene, ...]) -> Fades:
        """How those of a region follow each other, or any others."""
        return Fades(scenes, self.crossfade, travel=self.travel, hold=self.travel_hold)

    def changing_values(self) -> Iterator[ChangingValue]:
        """Yield the weights and stops of prompts that are no plain numbers."""
        # nine rows of ten hold one plain text
        if self.prompts is not None or any(":(" in (it or "") for it in (self.prompt, self.prefix, self.suffix)):
            column = "prompt" if self.prompts is None else "prompts"
            for number, scene in enumerate(self.scenes):
                where = f" in the scene at frame {scene.at}" if len(self.scenes) > 1 else ""
                yield from changing_values(scene.all_prompts, column, self.fades.shown(number, self.frames), where)
        yield from changing_values(self.image_prompts or (), "image_prompts", range(self.frames))
        yield from changing_values(self.noise_prompts or (), "noise_prompts", range(self.frames))
        for region, scenes in enumerate(self.region_scenes, 1):
            for number, scene in enumerate(scenes):
                shown = self.fades_of(scenes).shown(number, self.frames)
                yield from changing_values(scene.prompts, "regions", shown, f" in region {region}")

    @cached_property
    def scenes(self) -> tuple[Scene, ...]:
        """The story: scenes sorted by the frame at which they start, the first at frame 0, with what `prefix` and
        `suffix` add to each."""
        return with_affixes(self.own_scenes, self.prefix, self.suffix)

    @cached_property
    def region_scenes(self) -> tuple[tuple[Scene, ...], ...]:
        """The stories of its regions, each as `scenes`."""
        return tuple(with_affixes(region.scenes, self.prefix, self.suffix) for region in self.regions or ())

    @property
    def all_scenes(self) -> tuple[Scene, ...]:
        """Those of the whole and those of all regions."""
        return (*self.scenes, *(scene for scenes in self.region_scenes for scene in scenes))

    @property
    def shown_prompts(self) -> str:
        """All its prompts, those of regions behind the names of their masks, for people to read."""
        return shown_with_regions(self.scenes, zip(self.regions or (), self.region_scenes, strict=True))

    @cached_property
    def own_scenes(self) -> tuple[Scene, ...]:
        """The story as it is written, without `prefix` and `suffix`."""
        if self.prompts is not None:
            return order_scenes(self.prompts)
        text = self.prompt or ""
        if any(sign in text for sign in ":|\\"):
            return parse_prompts(text)
        return (Scene(at=0, prompts=(Prompt(text=text),)),)
