"""One row of a manifest is one video (`frames` = 1 makes a still).

This class is the only source of names, types, limits and defaults: Arrow's schema, forms, help texts and error messages
are derived from it.
"""

from __future__ import annotations

from functools import cached_property, lru_cache
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from manifests.schema.base import Settings, SettingsError
from manifests.schema.keyframes import REMEMBERED_LENGTH, Keyframes
from manifests.schema.prompts import Prompt, PromptError, Scene, order_scenes, parse_prompts
from manifests.schema.settings import CutoutSettings, ImagePrompt, LossSettings, NoisePrompt, OptimiserSettings, Uri

VIDEO_ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$"
RESERVED_ID = "report"
VideoFormat = Literal["mp4", "webm", "gif", "png"]  # what each can hold: infra/video/encoding.py
# What a camera may do from one frame to the next; beyond it the next frame has nothing in common with this one.
CAMERA_LIMITS = {
    "zoom": (0.01, 100.0),
    "angle": (-360.0, 360.0),
    "translate_x": (-4096.0, 4096.0),
    "translate_y": (-4096.0, 4096.0),
}


def _number_to_text(value: Any) -> Any:
    """A Parquet column of floats is a fair way to write constant keyframes."""
    return repr(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _check_prompt(text: str) -> str:
    # Nine rows of ten hold one plain text, which no parser needs to see.
    if not text.strip() or any(sign in text for sign in ":|\\") or len(text) > 10_000:
        parse_prompts(text)
    return text


def _check_keyframes(text: str) -> str:
    Keyframes.parse(text)
    return text


def _check_camera(text: str, frames: int, low: float, high: float) -> None:
    check = _checked_camera if len(text) <= REMEMBERED_LENGTH else _checked_camera.__wrapped__
    check(text, frames, low, high)


@lru_cache(maxsize=4096)
def _checked_camera(text: str, frames: int, low: float, high: float) -> None:
    Keyframes.parse(text).check(frames, low, high)


_ALLOWED_KEYFRAMES = "a number, an expression in t, or keyframes such as '0:(1.02), 60:(1.05)'"
KeyframeText = Annotated[
    str,
    BeforeValidator(_number_to_text),
    Field(max_length=100_000, json_schema_extra={"allowed": _ALLOWED_KEYFRAMES}),
    AfterValidator(_check_keyframes),
]


class ManifestRow(Settings):
    """One video to render. `model_fields_set` holds exactly the fields that the author gave."""

    video_id: str = Field(
        pattern=VIDEO_ID_PATTERN,
        description="Unique name of the video, and of its folder in the output.",
        json_schema_extra={"allowed": "1 to 128 letters, digits, '.', '_' or '-', the first a letter or a digit"},
    )
    # the length before the grammar, which takes its time
    prompt: Annotated[str, Field(max_length=100_000), AfterValidator(_check_prompt)] | None = Field(
        None,
        description="What to draw, in the compact grammar: 'text:weight | text', scenes as '0: dawn | 120: night'.",
        json_schema_extra={"allowed": "text:weight:stop, parts joined by '|', scenes keyed as '0: dawn | 120: night'"},
    )
    prompts: tuple[Scene, ...] | None = Field(
        None,
        min_length=1,
        max_length=10_000,
        description="What to draw, as a list of scenes; give either this or 'prompt'.",
    )
    frames: int = Field(1, ge=1, le=1_000_000, description="Number of frames; 1 makes a still.")
    fps: float = Field(24.0, gt=0, le=240, description="Frames per second of the finished video.")
    width: int = Field(512, ge=16, le=4096, description="Width of a frame in pixels.")
    height: int = Field(512, ge=16, le=4096, description="Height of a frame in pixels.")
    seed: int = Field(0, ge=0, lt=2**63, description="Seed of all randomness of the video.")
    model: str = Field(
        "embedded",
        min_length=1,
        max_length=200,
        description="Name of a model of the registry (see `nightreel models list`).",
    )
    steps_first: int = Field(300, ge=1, le=10_000, description="Steps of the first frame, or of a still.")
    steps: int = Field(25, ge=1, le=10_000, description="Steps of each later frame.")
    zoom: KeyframeText = Field("1", description="Camera: factor per frame as keyframes; above 1 moves in.")
    angle: KeyframeText = Field("0", description="Camera: degrees per frame, counter-clockwise, as keyframes.")
    translate_x: KeyframeText = Field(
        "0", description="Camera: pixels per frame that the picture moves to the right, as keyframes."
    )
    translate_y: KeyframeText = Field(
        "0", description="Camera: pixels per frame that the picture moves down, as keyframes."
    )
    crossfade: int = Field(
        12, ge=0, le=100_000, description="Frames over which the next scene of a story fades in from its key; 0 cuts."
    )
    init: Literal["tokens", "noise", "blank", "image"] = Field(
        "tokens",
        description="Start of the first frame: random codebook rows, pixel noise, a near-white sheet, or init_image.",
    )
    init_image: Uri | None = Field(
        None, description="Picture that the first frame starts from: a URI, or a path (from the manifest's folder)."
    )
    image_prompts: tuple[ImagePrompt, ...] | None = Field(
        None, max_length=100, description="Pictures that the video is drawn towards, beside its texts."
    )
    noise_prompts: tuple[NoisePrompt, ...] | None = Field(
        None, max_length=100, description="Random directions that the video is drawn towards, beside its texts."
    )
    handoff: Literal["auto", "chain", "keyframes"] = Field(
        "auto",
        description="How frames follow each other: chain, each from the one before; keyframes, which run ahead so that "
        "many actors share one video; auto takes keyframes where a chain would take hours.",
    )
    keyframe_every: int = Field(
        8, ge=2, le=1000, description="Frames from one keyframe to the next, for the handoff keyframes."
    )
    steps_keyframe: int | None = Field(
        None,
        ge=1,
        le=10_000,
        description="Steps of a keyframe that runs ahead, four of the former apart: three times `steps` unless given.",
    )
    format: VideoFormat = Field("mp4", description="Format of the result; a still is a png unless another is given.")
    upscale: int = Field(1, ge=1, le=8, description="Factor by which the finished video is enlarged.")
    priority: int = Field(0, ge=-100, le=100, description="Videos of higher priority are rendered first.")
    cutouts: CutoutSettings = Field(CutoutSettings(), description="How the crops are made that the perceptor sees.")
    loss: LossSettings = Field(LossSettings(), description="Terms of the loss besides the prompts.")
    optimiser: OptimiserSettings = Field(OptimiserSettings(), description="The optimiser's settings.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        given = self.__pydantic_fields_set__
        if self.video_id == RESERVED_ID:
            raise SettingsError("video_id", f"'{RESERVED_ID}' is the folder of the job's report; give another name")
        if (self.prompt is None) == (self.prompts is None):
            state = "neither is" if self.prompt is None else "both are"
            raise SettingsError("prompt", f"give either 'prompt' or 'prompts', not both; here {state} given")
        if self.prompts is not None:
            try:
                order_scenes(self.prompts)
            except PromptError as error:
                raise SettingsError("prompts", str(error)) from error
        if self.prompts is not None or ":" in (self.prompt or ""):
            last = self.scenes[-1].at
            if last >= self.frames:
                raise SettingsError(
                    "frames",
                    f"a scene starts at frame {last}, but the video ends with frame {self.frames - 1}; "
                    f"give it more frames, or an earlier scene",
                )
        for name, (low, high) in CAMERA_LIMITS.items():
            if name in given:
                try:
                    _check_camera(getattr(self, name), self.frames, low, high)
                except ValueError as error:
                    raise SettingsError(name, str(error)) from error
        self._imply(given)
        return self

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
        if "format" not in given and self.frames == 1:
            self.__dict__["format"] = "png"

    @cached_property
    def scenes(self) -> tuple[Scene, ...]:
        """The story: scenes sorted by the frame at which they start, the first at frame 0."""
        if self.prompts is not None:
            return order_scenes(self.prompts)
        text = self.prompt or ""
        if any(sign in text for sign in ":|\\"):
            return parse_prompts(text)
        return (Scene(at=0, prompts=(Prompt(text=text),)),)
