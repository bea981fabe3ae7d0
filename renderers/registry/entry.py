"""What the registry knows of a model: the schema of its data files, frozen."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from manifests.schema.addresses import ADDRESS_COLUMNS
from manifests.schema.presets import NAMES, NOT_IN_PRESETS
from manifests.schema.texts import short
from renderers.canonical import sha256_of
from renderers.registry.digest import model_digest

__all__ = [
    "DepthEntry", "ModelEntry", "PerceptorEntry", "RemoteFile", "VQGANEntry", "VQGANSource", "depth_digest",
]  # fmt: skip

WEIGHTS = Path(__file__).parents[1] / "weights"

SHA256 = r"^[0-9a-f]{64}$"
# A name is a file's and a folder's name too.
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$"


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    @field_validator("*")
    @classmethod
    def _without_nul(cls, value: Any) -> Any:
        if isinstance(value, str | Path) and "\0" in str(value):
            raise ValueError("no name and no path may hold a NUL")
        return value


class RemoteFile(_Entry):
    """A file that is fetched: whichever of `urls` answers, the checksum says whether it is the file."""

    urls: tuple[str, ...] = Field(min_length=1, description="mirrors, tried in turn")
    sha256: str = Field(pattern=SHA256)
    size_bytes: int | None = Field(None, ge=0, le=2**62, description="unset where no mirror states it")


class VQGANSource(_Entry):
    """Where the files of a VQGAN come from, as its authors published them."""

    checkpoint: RemoteFile = Field(description="a Lightning checkpoint, converted to safetensors after it was fetched")
    config: RemoteFile = Field(description="taming's YAML config that goes with it")


class VQGANEntry(_Entry):
    """Where a VQGAN's files are: paths below `renderers/weights/`, or absolute.

    Either the registry vouches for the weights (`sha256`), or they are converted from a `source` that it vouches for.
    """

    kind: Literal["vqgan", "gumbel"] = Field("vqgan", description="how it quantises; must be what the config says")
    config: Path = Field(description="taming's YAML config")
    weights: Path = Field(description="safetensors with taming's state-dict keys")
    sha256: str | None = Field(None, pattern=SHA256, description="of the weights")
    source: VQGANSource | None = Field(None, description="where config and checkpoint come from")

    @model_validator(mode="after")
    def _vouched_for_once(self) -> VQGANEntry:
        if (self.sha256 is None) == (self.source is None):
            raise ValueError("give either sha256 (of weights that are there) or source (of weights to fetch)")
        return self

    @property
    def config_path(self) -> Path:
        return WEIGHTS / self.config

    @property
    def weights_path(self) -> Path:
        return WEIGHTS / self.weights

    @property
    def checkpoint_path(self) -> Path:
        """Where the checkpoint of a `source` lies, or has to be put on a machine that can't fetch it."""
        return self.weights_path.with_suffix(".ckpt")

    @property
    def record_path(self) -> Path:
        """What the conversion of a `source` left: checksums of the checkpoint and of the weights made of it."""
        return self.weights_path.with_suffix(".json")


class PerceptorEntry(_Entry):
    """A CLIP that open_clip loads, in one of three ways.

    - `folder` with `open_clip_config.json` and its weights beside it, `sha256` of the weights;
    - `architecture` and `pretrained`: names of open_clip's own registry;
    - `architecture` and `weights`, a file of one's own, with its `sha256`.
    """

    folder: Path | None = Field(None, description="the folder that open_clip's `local-dir:` schema opens")
    architecture: str | None = Field(None, description="an architecture that open_clip knows, such as ViT-B-32")
    pretrained: str | None = Field(None, description="a tag of open_clip's for that architecture, such as openai")
    weights: Path | None = Field(None, description="safetensors for that architecture, in place of a tag's")
    sha256: str | None = Field(None, pattern=SHA256, description="of the weights; a tag's are checked by open_clip")
    cache: Path = Field(
        Path("open_clip"), description="folder of what open_clip fetches for an architecture; the registry sets it"
    )
    merges: str | None = Field(None, description="byte-pair merges in that folder, where not open_clip's own")
    words: str | None = Field(None, description="table of words in that folder, of a perceptor that reads whole words")
    known_words: str | None = Field(
        None,
        description="such a table in that folder, of what another perceptor was taught",
    )
    templates: tuple[str, ...] = Field(("{}",), description="a prompt's embedding is the mean over these")
    weight: float = Field(1.0, ge=0, le=10, description="how much its word counts beside those of other perceptors")
    cutouts: float = Field(1.0, gt=0, le=1, description="share of a step's cutouts that it is shown, one at least")

    @model_validator(mode="after")
    def _one_way(self) -> PerceptorEntry:
        given = {key for key in ("folder", "architecture", "pretrained", "weights", "sha256") if getattr(self, key)}
        if given not in ({"folder", "sha256"}, {"architecture", "pretrained"}, {"architecture", "weights", "sha256"}):
            raise ValueError(
                "give folder and sha256, or architecture and pretrained, or architecture, weights and sha256"
            )
        if self.merges and self.words:
            raise ValueError("give merges or words: a perceptor reads whole words or parts of them")
        if self.weights is not None and self.weights.suffix != ".safetensors":
            raise ValueError(f"the weights '{self.weights}' are no safetensors: `nightreel models add` converts them")
        return self

    @property
    def path(self) -> Path:
        """The folder of a perceptor that has one."""
        if self.folder is None:
            raise ValueError("this perceptor has no folder of its own")
        return WEIGHTS / self.folder

    @property
    def weights_path(self) -> Path:
        """The weights of a perceptor that has files of its own."""
        return WEIGHTS / self.weights if self.weights else self.path / "open_clip_model.safetensors"

    @property
    def files(self) -> tuple[str, ...]:
        """The names of what lies in the folder of a perceptor that has one, beside its weights."""
        return tuple(filter(None, ("open_clip_config.json", self.merges, self.words, self.known_words)))

    @property
    def cache_path(self) -> Path:
        """The folder of what open_clip fetches: the weights of its tags, and some tokenizers."""
        return WEIGHTS / self.cache

    @property
    def label(self) -> str:
        """What people call it."""
        if self.architecture is None:
            return str(self.path)
        return f"{self.architecture}:{self.pretrained or self.weights}"


class DepthEntry(_Entry):
    """What says how far away is what a picture shows: code that is installed on each machine, and files of its own.

    The code is an entry point of the group `nightreel.depth` (`renderers.registry.installed_depth`): an entry names
    code and brings none, wherever it came from.
    """

    loader: str = Field(pattern=NAME, description="the entry point's name")
    version: str = Field(
        min_length=1, max_length=64, description="of the distribution that it belongs to: another one is refused"
    )
    folder: Path | None = Field(None, description="of the files that the code reads; it is given this folder")
    files: dict[str, str] = Field(
        default_factory=dict, max_length=100, description="their names below the folder, with slashes, and SHA-256"
    )

    @model_validator(mode="after")
    def _whole(self) -> DepthEntry:
        if (self.folder is None) == bool(self.files):
            raise ValueError("give both folder and files, with a SHA-256 for each, or neither")
        for name, sha256 in self.files.items():
            path = PurePosixPath(name)
            climbs = path.is_absolute() or ".." in path.parts or "\\" in name
            if climbs or not name.isprintable() or len(name) > 255 or not path.parts or str(path) != name:
                raise ValueError(f"'{short(name)}' can't be a file below the folder: give names such as sub/file.bin")
            if not re.fullmatch(SHA256, sha256):
                raise ValueError(f"'{short(sha256)}', of file '{short(name)}', is no SHA-256")
        return self

    @property
    def path(self) -> Path | None:
        """The folder of its files, if it has some."""
        return None if self.folder is None else WEIGHTS / self.folder

    @property
    def digest(self) -> str:
        """What of it decides a picture: frames of cameras that move among what it finds have it in their digests."""
        return sha256_of({"loader": self.loader, "version": self.version, "files": self.files})


class ModelEntry(_Entry):
    """One model that a manifest row can name: a VQGAN, the perceptors that judge it, and settings that suit them."""

    name: str = Field(pattern=NAME)
    like: str | None = Field(None, description="the model that whatever this entry leaves out was taken from")
    # as much as is read of a text (renderers/config_file.py): an entry that is written must be one that is read
    summary: str = Field(max_length=4000)
    licence: str = Field(max_length=4000)
    size_bytes: int | None = Field(
        None, ge=0, le=2**62, description="of all weights together; unset where it is not known"
    )
    downsampling: int = Field(
        ge=1, le=1024, description="pixels per token, each way: width and height are multiples of it"
    )
    vqgan: VQGANEntry
    perceptors: tuple[PerceptorEntry, ...] = Field(min_length=1, description="several make an ensemble")
    depth: DepthEntry | None = Field(
        None, description="what rows with depth.shape model ask how far away things are; unset: there is nothing to ask"
    )
    concepts: tuple[str, ...] = Field((), description="names that the `contrast` loss tells the prompt from")
    defaults: dict[str, Any] = Field(
        default_factory=dict, description="columns of a row, where the row leaves them out"
    )
    presets: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="columns that presets of the package have otherwise for this model"
    )
    seconds_per_step: float = Field(
        gt=0, le=1e6, description="at the default size on the machine named in `measured_on`"
    )
    measured_on: str | None = Field(None, description="unset: seconds_per_step is an estimate, not a measurement")

    @field_validator("perceptors")
    @classmethod
    def _heard(cls, value: tuple[PerceptorEntry, ...]) -> tuple[PerceptorEntry, ...]:
        if not any(it.weight for it in value):
            raise ValueError("all perceptors have weight 0, so that nobody draws: give one of them more")
        return value

    @field_validator("defaults")
    @classmethod
    def _without_pictures(cls, value: dict[str, Any]) -> dict[str, Any]:
        if named := ADDRESS_COLUMNS & value.keys():
            raise ValueError(f"{', '.join(sorted(named))} can't have a default: only a row may name pictures")
        if "size_from" in value:
            raise ValueError("size_from can't have a default: only a row may name the picture")
        if "preset" in value:
            raise ValueError("preset can't have a default: write its settings out")
        return value

    @field_validator("presets")
    @classmethod
    def _of_the_package(cls, value: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        for name, columns in value.items():
            if name not in NAMES:
                raise ValueError(f"a preset of the package has other values here, and '{short(name)}' is none")
            if named := NOT_IN_PRESETS & columns.keys():
                raise ValueError(f"{', '.join(sorted(named))} can't be in a preset: it says how a video is drawn")
        return value

    @property
    def digest(self) -> str:
        """What of the model decides a picture; see `renderers.registry.digest`.

        Raises:
            ModelFilesBroken: a config or the merges can't be read.
        """
        return model_digest(self)


def depth_digest(entry: ModelEntry) -> str:
    """Return the digest of a model's depth model; '' if it has none."""
    return entry.depth.digest if entry.depth is not None else ""
