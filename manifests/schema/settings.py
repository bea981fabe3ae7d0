"""The nested settings of a row: cutouts, losses, optimiser, and the prompts that are pictures or noise.

The defaults are those of the reference (nerdyrodent/VQGAN-CLIP with its method `latest`); a model of the registry may
override those that the author left unset.
"""

from __future__ import annotations

import math
from typing import Annotated, Self

from pydantic import Field, model_validator

from manifests.schema.base import Settings, SettingsError
from manifests.schema.prompts import Stop, Weight

Uri = Annotated[str, Field(min_length=1, max_length=4096)]


class ImagePrompt(Settings):
    """A picture that the perceptor compares the frame with, as it does with a text."""

    image: Uri = Field(description="Where the picture lies: a path, or any URI that storage can read.")
    weight: Weight = 1.0
    stop: Stop = -math.inf


class NoisePrompt(Settings):
    """A random direction of the perceptor's space, given by its seed."""

    seed: int = Field(ge=0, lt=2**63, description="The seed of the random direction.")
    weight: Weight = 1.0


class CutoutSettings(Settings):
    """How the crops of a picture are made that the perceptor sees; the chances are per crop."""

    number: int = Field(32, ge=1, le=512, description="How many crops the perceptor sees at each step.")
    size_min: float = Field(1.0, ge=0.05, le=1.5, description="Smallest side of a crop, as a share of the picture's.")
    size_max: float = Field(
        1.0,
        ge=0.05,
        le=1.5,
        description="Largest side of a crop, as a share of the picture's; above 1 shows the border.",
    )
    power: float = Field(1.0, ge=0.01, le=10, description="Above 1 favours small crops, below 1 large ones (cut_pow).")
    degrees: float = Field(15.0, ge=0, le=180, description="Largest rotation of a crop, in degrees.")
    translate: float = Field(0.1, ge=0, le=1, description="Largest shift of a crop, as a share of its side.")
    shear: float = Field(5.0, ge=0, le=60, description="Largest shear of a crop, in degrees.")
    affine_probability: float = Field(0.7, ge=0, le=1, description="Chance of rotation, shift and shear.")
    perspective: float = Field(0.7, ge=0, le=1, description="Strength of the perspective distortion.")
    perspective_probability: float = Field(0.7, ge=0, le=1, description="Chance of the perspective distortion.")
    brightness: float = Field(0.1, ge=0, le=1, description="Largest change of brightness.")
    contrast: float = Field(0.1, ge=0, le=1, description="Largest change of contrast.")
    saturation: float = Field(0.1, ge=0, le=1, description="Largest change of saturation.")
    hue: float = Field(0.1, ge=0, le=0.5, description="Largest change of hue, as a share of the colour circle.")
    jitter_probability: float = Field(0.7, ge=0, le=1, description="Chance of the colour changes.")
    erase_min: float = Field(0.1, ge=0, le=0.9, description="Smallest erased rectangle, as a share of the crop's area.")
    erase_max: float = Field(0.4, ge=0, le=0.9, description="Largest erased rectangle, as a share of the crop's area.")
    erase_probability: float = Field(0.7, ge=0, le=1, description="Chance of erasing a rectangle.")
    noise: float = Field(0.1, ge=0, le=1, description="Largest amplitude of the noise added to a crop.")
    flip_probability: float = Field(0.0, ge=0, le=1, description="Chance of mirroring a crop left to right.")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        for low, high in (("size_min", "size_max"), ("erase_min", "erase_max")):
            if getattr(self, low) > getattr(self, high):
                raise SettingsError(low, f"{low} {getattr(self, low):g} is above {high} {getattr(self, high):g}")
        return self


class LossSettings(Settings):
    """Terms of the loss besides the prompts."""

    tv: float = Field(0.0, ge=0, le=1000, description="Weight of the total variation, which smooths the picture.")
    z_decay: float = Field(0.0, ge=0, le=1000, description="Weight of the pull of the latent towards 0.")
    contrast: float = Field(
        0.0, ge=0, le=1000, description="Weight of telling the prompt from the other names that the model knows."
    )
    contrast_scale: float = Field(20.0, gt=0, le=1000, description="Sharpness of that contrast.")


class OptimiserSettings(Settings):
    """Adam on the latent."""

    lr: float = Field(0.1, gt=0, le=10, description="The learning rate.")
    lr_final: float = Field(
        1.0,
        gt=0,
        le=1,
        description="Share of the learning rate left at the end of a cold start, and kept in all later frames.",
    )
    beta1: float = Field(0.9, ge=0, lt=1, description="Adam's decay of the mean gradient.")
    beta2: float = Field(0.999, ge=0, lt=1, description="Adam's decay of the mean squared gradient.")
    even: bool = Field(
        False,
        description="One mean squared gradient for the whole latent: what the prompts do not pull at stays as it is.",
    )
    coarse: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Share of a cold start's steps that draw at half the size first, for a quarter of the time: large "
        "shapes come out better. Not after an init_image.",
    )
    latent_noise: float = Field(
        0.0, ge=0, le=10, description="Fading noise on the latent of a cold start, in standard deviations of the codes."
    )
