"""Recipes of embedded pairs, read from `recipes.yaml`: which size, which network, which pictures, which settings."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

from renderers.errors import BadInput
from renderers.models.vqgan.vqgan import VQGANConfig
from renderers.training.perceptor_training import PerceptorTrainingSettings
from renderers.training.vqgan_training import VQGANTrainingSettings

__all__ = ["EMBEDDED", "PerceptorShape", "Recipe", "load_recipes", "recipe"]

FILE = Path(__file__).with_name("recipes.yaml")
EMBEDDED = "embedded"  # the recipe of the pair that ships


class PerceptorShape(BaseModel):
    """How a perceptor is built; as it stands, the one that ships."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    side: int = Field(80, ge=16, description="px of the pictures that it looks at")
    dimensions: int = Field(192, ge=1, description="of what pictures and texts become")
    cells: int = Field(0, ge=0, le=16, description="of the picture, each way, that its head tells apart; 0: an average")
    words: bool = Field(False, description="whether it reads whole words, of a table, rather than parts of them")
    context: int = Field(20, ge=2, description="parts of a text, or words, that it reads, the end included")
    width: int = Field(128, ge=1, description="of its text tower")
    heads: int = Field(4, ge=1)
    layers: int = Field(3, ge=1)


class Recipe(BaseModel):
    """How one pair is made."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    side: int = Field(ge=16, description="px of the pictures")
    scenes: Literal["objects", "world"]
    start: str = ""
    """model of the registry whose VQGAN the training begins with, a network of the same shape; '': from nothing"""
    vqgan: VQGANConfig
    training: VQGANTrainingSettings
    perceptor: PerceptorShape = PerceptorShape()
    perceptor_training: PerceptorTrainingSettings = PerceptorTrainingSettings()

    @model_validator(mode="after")
    def _whole_tokens(self) -> Recipe:
        if self.side % self.vqgan.downsampling:
            raise ValueError(f"side {self.side} is no multiple of the {self.vqgan.downsampling} px of a token")
        return self


@cache
def load_recipes() -> dict[str, Recipe]:
    """All recipes, by name."""
    return parse_recipes(FILE.read_text(encoding="utf-8"))


def parse_recipes(text: str) -> dict[str, Recipe]:
    """The recipes that `text` (YAML, as in `recipes.yaml`) lists.

    Raises:
        ValueError: an entry lacks a field, has an unknown one, or a value that is none.
    """
    entries: dict[str, Any] = yaml.safe_load(text)
    return {name: Recipe.model_validate({"name": name, **entry}) for name, entry in entries.items()}


def recipe(name: str) -> Recipe:
    """The recipe called `name`.

    Raises:
        BadInput: there is none.
    """
    known = load_recipes()
    if name not in known:
        raise BadInput(f"no recipe is called '{name}'; known are {', '.join(known)}")
    return known[name]
