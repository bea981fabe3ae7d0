"""The nested settings of a row: cutouts, losses, optimiser.

The defaults are those of the reference (nerdyrodent/VQGAN-CLIP with its method `latest`); a model of the registry may
override those that the author left unset.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from manifests.schema.base import Settings, SettingsError
from manifests.schema.keyframe_text import KeyframeText, StepText
from manifests.schema.neutral import Neutral
from manifests.schema.palette import check_palette


class AxisValue(Settings):
    """A value of an axis of combinations, from which a row comes."""

    name: str = Field(min_length=1, max_length=100, description="The axis.")
    value: str = Field(max_length=200, description="Its value, as it stands in texts.")
    number: int = Field(0, ge=0, lt=2**31, description="The number of the value on its axis, from 0.")


class CutoutSettings(Settings):
    """How the crops of a picture are made that the perceptor sees; the chances are per crop."""

    method: Annotated[Literal["crops", "pooled", "lanczos"], Neutral("crops")] = Field(
        "crops",
        description="How a cutout is made: crops, by one resampling; pooled, the whole picture averaged and max-pooled "
        "to the perceptor's size, VQGAN-CLIP's 'latest'; lanczos, Crowson's random squares. The last two know no "
        "sizes, and are then changed step by step as kornia does.",
    )
    number: Annotated[int, Neutral(32)] = Field(
        32, ge=1, le=512, description="How many crops the perceptor sees at each step."
    )
    size_min: Annotated[float, Neutral(1.0)] = Field(
        1.0, ge=0.05, le=1.5, description="Smallest side of a crop, as a share of the picture's."
    )
    size_max: Annotated[float, Neutral(1.0)] = Field(
        1.0,
        ge=0.05,
        le=1.5,
        description="Largest side of a crop, as a share of the picture's; above 1 shows the border.",
    )
    power: Annotated[float, Neutral(1.0)] = Field(
        1.0, ge=0.01, le=10, description="Above 1 favours small crops, below 1 large ones (cut_pow)."
    )
    degrees: Annotated[float, Neutral(15.0)] = Field(
        15.0, ge=0, le=180, description="Largest rotation of a crop, in degrees."
    )
    translate: Annotated[float, Neutral(0.1)] = Field(
        0.1,
        ge=0,
        le=1,
        description="Largest shift of a crop, as a share of its side; of pooled and lanczos ones up and down only.",
    )
    shear: Annotated[float, Neutral(5.0)] = Field(5.0, ge=0, le=60, description="Largest shear of a crop, in degrees.")
    affine_probability: Annotated[float, Neutral(0.7)] = Field(
        0.7, ge=0, le=1, description="Chance of rotation, shift and shear."
    )
    perspective: Annotated[float, Neutral(0.7)] = Field(
        0.7,
        ge=0,
        le=1,
        description="Strength of the perspective distortion; pooled and lanczos cutouts shrink by it over black.",
    )
    perspective_probability: Annotated[float, Neutral(0.7)] = Field(
        0.7, ge=0, le=1, description="Chance of the perspective distortion."
    )
    brightness: Annotated[float, Neutral(0.1)] = Field(0.1, ge=0, le=1, description="Largest change of brightness.")
    contrast: Annotated[float, Neutral(0.1)] = Field(0.1, ge=0, le=1, description="Largest change of contrast.")
    saturation: Annotated[float, Neutral(0.1)] = Field(0.1, ge=0, le=1, description="Largest change of saturation.")
    hue: Annotated[float, Neutral(0.1)] = Field(
        0.1, ge=0, le=0.5, description="Largest change of hue, as a share of the colour circle."
    )
    jitter_probability: Annotated[float, Neutral(0.7)] = Field(
        0.7, ge=0, le=1, description="Chance of the colour changes."
    )
    erase_min: Annotated[float, Neutral(0.1)] = Field(
        0.1, ge=0, le=0.9, description="Smallest erased rectangle, as a share of the crop's area."
    )
    erase_max: Annotated[float, Neutral(0.4)] = Field(
        0.4, ge=0, le=0.9, description="Largest erased rectangle, as a share of the crop's area."
    )
    erase_probability: Annotated[float, Neutral(0.7)] = Field(
        0.7, ge=0, le=1, description="Chance of erasing a rectangle."
    )
    erase_same: Annotated[bool, Neutral(False)] = Field(
        False, description="One rectangle, or none, for all crops of a step, as in VQGAN-CLIP."
    )
    border: Annotated[Literal["replicate", "black", "grey", "reflect", "wrap"], Neutral("replicate")] = Field(
        "replicate",
        description="What a crop shows beyond the picture: its edge again and again, black, grey, its reflection, or "
        "its other side.",
    )
    overview: Annotated[StepText, Neutral(0.0, in_time=True)] = Field(
        "0",
        description="Share of the crops, 0 to 1, that hold the whole picture, its longer side fitted, upright; may "
        "change within a frame (u), as in 'where(u < .4, .75, .25)'. Of method crops.",
    )
    grey: Annotated[StepText, Neutral(0.0, in_time=True)] = Field(
        "0", description="Chance, 0 to 1, that a crop is shown without colours; may change within a frame (u)."
    )
    sizes: Annotated[Literal["uniform", "normal"], Neutral("uniform")] = Field(
        "uniform",
        description="How the sides of crops are spread before power: evenly; or about 0.8 of the picture's, with "
        "deviation 0.3, held to the limits, as pytti's. Not of pooled ones.",
    )
    outside: Annotated[float, Neutral(0.0)] = Field(
        0.0,
        ge=0,
        le=1,
        description="How far a crop may lie outside the picture, as a share of the picture's side. Not of pooled ones.",
    )
    sharpen: Annotated[float, Neutral(0.0)] = Field(
        0.0,
        ge=-1,
        le=3,
        description="By how much a crop is sharpened: its difference from itself, blurred, times this is added; below "
        "0 it is softened.",
    )
    sharpen_probability: Annotated[float, Neutral(0.5)] = Field(
        0.5, ge=0, le=1, description="Chance of sharpening a crop."
    )
    bend: Annotated[float, Neutral(0.0)] = Field(
        0.0,
        ge=0,
        le=0.3,
        description="How far, at most, places of a crop are drawn aside, smoothly, as a share of half its side.",
    )
    bend_probability: Annotated[float, Neutral(0.5)] = Field(0.5, ge=0, le=1, description="Chance of bending a crop.")
    noise: Annotated[float, Neutral(0.1)] = Field(
        0.1, ge=0, le=1, description="Largest amplitude of the noise added to a crop."
    )
    flip_probability: Annotated[float, Neutral(0.0)] = Field(
        0.0, ge=0, le=1, description="Chance of mirroring a crop left to right."
    )

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for low, high in (("size_min", "size_max"), ("erase_min", "erase_max")):
            if getattr(self, low) > getattr(self, high):
                raise SettingsError(low, f"{low} {getattr(self, low):g} is above {high} {getattr(self, high):g}")
        return self


# Shares of the cutouts that may change in time, and between what.
CUTOUT_LIMITS = {"overview": (0.0, 1.0), "grey": (0.0, 1.0)}
# Weights that may change in time, and between what.
LOSS_LIMITS = dict.fromkeys(("palette", "colour", "mirror_x", "mirror_y", "tv2"), (0.0, 1000.0))


class LossSettings(Settings):
    """Terms of the loss besides the prompts."""

    tv: Annotated[float, Neutral(0.0)] = Field(
        0.0, ge=0, le=1000, description="Weight of the total variation, which smooths the picture."
    )
    z_decay: Annotated[float, Neutral(0.0)] = Field(
        0.0, ge=0, le=1000, description="Weight of the pull of the latent towards 0."
    )
    z_decay_every: Annotated[int, Neutral(0)] = Field(
        0,
        ge=0,
        le=10_000,
        description="Steps after which that pull falls by a fifth, five times, and Adam begins anew, as in "
        "EleutherAI's MSE notebook; 0 has it fade with every step, as in VQGAN-CLIP.",
    )
    contrast: Annotated[float, Neutral(0.0)] = Field(
        0.0, ge=0, le=1000, description="Weight of telling the prompt from the other names that the model knows."
    )
    contrast_scale: Annotated[float, Neutral(20.0)] = Field(
        20.0, gt=0, le=1000, description="Sharpness of that contrast."
    )
    palette: Annotated[KeyframeText, Neutral(0.0, in_time=True)] = Field(
        "0", description="Weight, 0 to 1000, of how far each pixel's colour is from the nearest of palette_colours."
    )
    palette_colours: Annotated[
        Annotated[str, Field(max_length=4000), AfterValidator(check_palette)], Neutral("", in_time=True)
    ] = Field(
        "",
        description="The colours that the term palette draws the picture to.",
        json_schema_extra={"allowed": "1 to 64 colours such as '#102030 #ffcc00', or names such as 'navy gold'"},
    )
    colour: Annotated[KeyframeText, Neutral(0.0, in_time=True)] = Field(
        "0", description="Weight, 0 to 1000, of how far the picture's colourfulness is from colour_target."
    )
    colour_target: Annotated[float, Neutral(0.3, in_time=True)] = Field(
        0.3,
        ge=0,
        le=1,
        description="Colourfulness that the term colour draws the picture to: 0 is grey, 0.13 slightly, 0.23 quite, "
        "0.32 highly and 0.43 extremely colourful.",
    )
    mirror_x: Annotated[KeyframeText, Neutral(0.0, in_time=True)] = Field(
        "0", description="Weight, 0 to 1000, of how much the left half differs from the right half's mirror image."
    )
    mirror_y: Annotated[KeyframeText, Neutral(0.0, in_time=True)] = Field(
        "0", description="Weight, 0 to 1000, of how much the upper half differs from the lower half's mirror image."
    )
    tv2: Annotated[KeyframeText, Neutral(0.0, in_time=True)] = Field(
        "0", description="Weight, 0 to 1000, of the squared total variation: edges cost more by their square."
    )


class OptimiserSettings(Settings):
    """Adam on the latent."""

    lr: Annotated[float, Neutral(0.1)] = Field(0.1, gt=0, le=10, description="The learning rate.")
    lr_final: Annotated[float, Neutral(1.0)] = Field(
        1.0,
        gt=0,
        le=1,
        description="Share of the learning rate left at the end of a cold start, and kept in all later frames.",
    )
    beta1: Annotated[float, Neutral(0.9)] = Field(0.9, ge=0, lt=1, description="Adam's decay of the mean gradient.")
    beta2: Annotated[float, Neutral(0.999)] = Field(
        0.999, ge=0, lt=1, description="Adam's decay of the mean squared gradient."
    )
    even: Annotated[bool, Neutral(False)] = Field(
        False,
        description="One mean squared gradient for the whole latent: what the prompts do not pull at stays as it is.",
    )
    alternate: Annotated[bool, Neutral(False)] = Field(
        False,
        description="With several perceptors, each step asks one of them, by turns: an ensemble for the time of one.",
    )
    coarse: Annotated[float, Neutral(0.0)] = Field(
        0.0,
        ge=0,
        lt=1,
        description="Share of a cold start's steps that draw at half the size first, for a quarter of the time: large "
        "shapes come out better. Not after an init_image.",
    )
    latent_noise: Annotated[float, Neutral(0.0)] = Field(
        0.0, ge=0, le=10, description="Fading noise on the latent of a cold start, in standard deviations of the codes."
    )


class WarmSettings(Settings):
    """How a frame takes over the picture from which it starts, once the camera has moved that."""

    start: Annotated[Literal["picture", "codes"], Neutral("picture")] = Field(
        "picture",
        description="What the camera moves: the picture, which is encoded again; or the codes that it was drawn from, "
        "which flickers less and needs no encoder. Frames between keyframes start from pictures.",
    )
    fit: Annotated[int, Neutral(0)] = Field(
        0,
        ge=0,
        le=100,
        description="Steps in which the latent of a warm frame is fitted to the moved picture, by the decoder alone, "
        "before the prompts pull: a calmer video. Not where the camera stands still, which keeps the latent.",
    )
    fit_rate: Annotated[float, Neutral(0.03)] = Field(
        0.03, gt=0, le=10, description="The learning rate of these steps."
    )
