"""Weights that open_clip knows by a tag: which file that is, whether it is here, and fetching it.

open_clip would fetch a missing file whenever a model is loaded. Here loading never touches the network, so that an
actor does not download in the middle of a job, and a machine without a network says at once what it lacks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import open_clip
from huggingface_hub import hf_hub_download, try_to_load_from_cache
from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError
from open_clip.pretrained import get_pretrained_cfg

from manifests.errors import first_line
from renderers.checksums import file_sha256
from renderers.errors import BadInput, FetchFailed, ModelFilesBroken
from renderers.registry import PerceptorEntry

__all__ = ["TagWeights", "cached_files", "find_tag"]


@dataclass(frozen=True)
class TagWeights:
    """The weights of one architecture under one tag: a file of a repository of the Hugging Face hub."""

    architecture: str
    tag: str
    repository: str
    files: tuple[str, ...]  # any of them, the best first
    preprocess: Mapping[str, Any]

    def cached(self, cache: Path) -> Path | None:
        """Its file in the folder `cache`, if it is there."""
        for name in self.files:
            found = try_to_load_from_cache(self.repository, name, cache_dir=cache)
            if isinstance(found, str) and Path(found).is_file():
                return Path(found)
        return None

    def fetch(self, cache: Path) -> Path:
        """Its file in `cache`, fetched unless it is there, and checked.

        huggingface_hub resumes what broke off, and puts a file in its place once it is whole.

        Raises:
            FetchFailed: it can't be had; the message says where to put the file instead.
            ModelFilesBroken: it came damaged.
        """
        path = self.cached(cache)
        if path is None:
            try:
                cache.mkdir(parents=True, exist_ok=True)
                path = self._from_hub(cache)
            except (OSError, ValueError, RuntimeError, EntryNotFoundError) as error:  # the hub's own are OSErrors
                raise FetchFailed(f"{self.instructions(cache)} ({first_line(error)})") from error
        self.check(path)
        return path

    def _from_hub(self, cache: Path) -> Path:
        for name in self.files[:-1]:
            try:
                return Path(hf_hub_download(self.repository, name, cache_dir=cache))
            except LocalEntryNotFoundError:
                raise  # the hub can't be reached
            except EntryNotFoundError:
                continue  # older models have no safetensors
        return Path(hf_hub_download(self.repository, self.files[-1], cache_dir=cache))

    def check(self, path: Path) -> None:
        """Compare `path` with its SHA-256: the hub stores large files under it, and so does its cache.

        Raises:
            ModelFilesBroken: it is damaged.
        """
        place = path.resolve()
        if not re.fullmatch(r"[0-9a-f]{64}", place.name):
            return  # somebody put the file there by hand
        found = file_sha256(place)
        if found != place.name:
            raise ModelFilesBroken(
                f"the weights '{path}' are damaged: SHA-256 {found}, published as {place.name}. "
                f"Remove '{place}' and fetch them again"
            )

    def instructions(self, cache: Path) -> str:
        """What to do where it can't be fetched."""
        folder = cache / f"models--{self.repository.replace('/', '--')}"
        return (
            f"the weights '{self.tag}' of {self.architecture} are not here. Where there is no network: download "
            f"{self.files[0]} of the repository {self.repository} elsewhere and put it as "
            f"'{folder / 'snapshots' / 'main' / self.files[0]}', with the text main in '{folder / 'refs' / 'main'}'"
        )


def find_tag(architecture: str, tag: str) -> TagWeights:
    """What open_clip knows of `tag` for `architecture`.

    Raises:
        BadInput: it knows no such architecture, or no such tag of it.
    """
    architectures, tags = open_clip.list_models(), open_clip.list_pretrained_tags_by_model(architecture)
    if architecture not in architectures:
        near = get_close_matches(architecture, architectures, n=3)
        hint = f"did you mean {', '.join(near)}?" if near else "see open_clip.list_models()"
        raise BadInput(f"open_clip knows no architecture '{architecture}': {hint}")
    known = get_pretrained_cfg(architecture, tag)
    if not known:
        raise BadInput(f"open_clip has no weights '{tag}' for {architecture}: known are {', '.join(tags) or 'none'}")
    quick = bool(known.get("quick_gelu"))
    better = architecture.removesuffix("-quickgelu") + ("-quickgelu" if quick else "")
    if quick != _quick_gelu(architecture) and better in architectures and better != architecture:
        raise BadInput(f"the weights '{tag}' of {architecture} were trained with another GELU: name {better} instead")
    repository, _, file = known.get("hf_hub", "").rpartition("/")
    preprocess = {key: known[key] for key in ("mean", "std", "interpolation", "resize_mode") if key in known}
    return TagWeights(architecture, tag, repository, _names(file), preprocess)


def cached_files(perceptor: PerceptorEntry) -> list[Path]:
    """What open_clip has fetched for a perceptor that it knows by name: weights of its tag, files of its tokenizer.

    As they are named there, links to files of the cache's own.
    """
    text = (open_clip.get_model_config(str(perceptor.architecture)) or {}).get("text_cfg", {})
    repositories = [text.get("hf_tokenizer_name")]
    if perceptor.pretrained is not None:
        repositories.append(find_tag(str(perceptor.architecture), perceptor.pretrained).repository)
    folders = [perceptor.cache_path / f"models--{name.replace('/', '--')}" for name in repositories if name]
    return [
        path
        for folder in folders
        for kind in ("snapshots", "refs")  # the snapshot before what says which it is
        for path in sorted((folder / kind).rglob("*"))
        if path.is_file()
    ]


def _names(file: str) -> tuple[str, ...]:
    """The file that open_clip asks for, after its safetensors."""
    if not file:
        return ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
    safe = re.sub(r"\.(bin|pth?)$", ".safetensors", file)
    return (file,) if safe == file else (safe, file)


def _quick_gelu(architecture: str) -> bool:
    config = open_clip.get_model_config(architecture) or {}
    return bool(config.get("quick_gelu"))
