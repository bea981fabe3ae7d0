"""The registry of models: one YAML file per model beside this module, read into `ModelEntry`.

A model's `defaults` stand between the row and the schema: what the row leaves out is taken from here first.
"""

from __future__ import annotations

import hashlib
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field

from renderers.errors import ModelFilesBroken, UnknownModel

__all__ = ["ModelEntry", "PerceptorEntry", "VQGANEntry", "list_models", "model_entry"]

FOLDER = Path(__file__).parent
WEIGHTS = FOLDER.parent / "weights"


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class VQGANEntry(_Entry):
    """Where a VQGAN's files are: paths below `renderers/weights/`, or absolute."""

    config: Path = Field(description="taming's YAML config")
    weights: Path = Field(description="safetensors with taming's state-dict keys")
    sha256: str = Field(description="of the weights")

    @property
    def config_path(self) -> Path:
        return WEIGHTS / self.config

    @property
    def weights_path(self) -> Path:
        return WEIGHTS / self.weights


class PerceptorEntry(_Entry):
    """A CLIP as open_clip loads it from a folder (`open_clip_config.json` and its weights beside it)."""

    folder: Path = Field(description="the folder that open_clip's `local-dir:` schema opens")
    sha256: str = Field(description="of open_clip_model.safetensors in that folder")
    merges: str | None = Field(None, description="byte-pair merges in that folder, where not open_clip's own")
    templates: tuple[str, ...] = Field(("{}",), description="a prompt's embedding is the mean over these")

    @property
    def path(self) -> Path:
        return WEIGHTS / self.folder

    @property
    def weights_path(self) -> Path:
        return self.path / "open_clip_model.safetensors"


class ModelEntry(_Entry):
    """One model that a manifest row can name: a VQGAN, the perceptors that judge it, and settings that suit them."""

    name: str
    summary: str
    licence: str
    size_bytes: int = Field(description="of all weights together")
    downsampling: int = Field(description="pixels per token, each way: width and height are multiples of it")
    vqgan: VQGANEntry
    perceptors: tuple[PerceptorEntry, ...] = Field(min_length=1)
    concepts: tuple[str, ...] = Field((), description="names that the `contrast` loss tells the prompt from")
    defaults: dict[str, Any] = Field(
        default_factory=dict, description="columns of a row, where the row leaves them out"
    )
    seconds_per_step: float = Field(description="at the default size on the machine named in `measured_on`")
    measured_on: str

    @property
    def digest(self) -> str:
        """What of the model decides a picture: weights, configs, byte-pair merges, templates and concepts.

        Raises:
            ModelFilesBroken: a config or the merges can't be read.
        """
        try:
            parts = [self.vqgan.sha256, self.vqgan.config_path.read_bytes().hex()]
            for perceptor in self.perceptors:
                parts += [perceptor.sha256, (perceptor.path / "open_clip_config.json").read_bytes().hex()]
                # the merges decide the tokens of every text, and no checksum of the registry covers them.
                parts += [(perceptor.path / perceptor.merges).read_bytes().hex() if perceptor.merges else ""]
                parts += perceptor.templates
        except OSError as error:
            raise ModelFilesBroken(f"a file of model '{self.name}' can't be read: {error}") from error
        return hashlib.sha256("\n".join([*parts, *self.concepts]).encode()).hexdigest()


@cache
def list_models() -> tuple[ModelEntry, ...]:
    """Every model of the registry, by name.

    Raises:
        ModelFilesBroken: a data file does not hold a model entry.
    """
    return tuple(_read(path) for path in sorted(FOLDER.glob("*.yaml")))


def _read(path: Path) -> ModelEntry:
    try:
        return ModelEntry.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (ValueError, yaml.YAMLError) as error:
        raise ModelFilesBroken(f"registry file '{path.name}' is not a model entry: {error}") from error


@cache
def model_entry(name: str) -> ModelEntry:
    """The entry called `name`.

    Raises:
        UnknownModel: there is none; the message suggests the nearest name.
    """
    entries = {entry.name: entry for entry in list_models()}
    if name in entries:
        return entries[name]
    near = get_close_matches(name, entries, n=1)
    hint = f"did you mean '{near[0]}'? " if near else ""
    raise UnknownModel(f"model '{name}' is not in the registry: {hint}known are {', '.join(entries)}")
