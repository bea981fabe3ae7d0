"""The files of a model of the user's own, copied to their place: all or nothing, and never half a model."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from renderers.checksums import file_sha256
from renderers.errors import ModelFilesBroken
from renderers.registry.entry import DepthEntry, ModelEntry, PerceptorEntry

__all__ = ["copy_files", "own_size", "put_folder"]


def copy_files(given: Mapping[str, Any], whole: ModelEntry, files: Path) -> dict[str, Any]:
    """Copy what the fields `given` of the entry `whole` name themselves into the folder `files`.

    Returns the parts of the entry that name the copies, relative to the folder above `files`.

    Raises:
        OSError: a file can't be copied.
        ModelFilesBroken: a file is not the one that its checksum vouches for.
    """
    name = files.name
    parts: dict[str, Any] = {}
    if "vqgan" in given:
        vqgan = whole.vqgan
        _copy(vqgan.config_path, files / "vqgan.yaml")
        _copy(vqgan.weights_path, files / "vqgan.safetensors", vqgan.sha256)
        places = {"config": Path(name, "vqgan.yaml"), "weights": Path(name, "vqgan.safetensors")}
        parts["vqgan"] = vqgan.model_dump(exclude_unset=True) | places
    if "perceptors" in given:
        parts["perceptors"] = [_copy_perceptor(perceptor, files, n) for n, perceptor in enumerate(whole.perceptors)]
    if given.get("depth") is not None and whole.depth is not None:
        parts["depth"] = _copy_depth(whole.depth, files)
    return parts


def _copy_depth(depth: DepthEntry, files: Path) -> dict[str, Any]:
    given = depth.model_dump(exclude_unset=True)
    if depth.path is None:
        return given
    for name, sha256 in depth.files.items():
        target = files / "depth" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        _copy(depth.path / name, target, sha256)
    return given | {"folder": Path(files.name, "depth")}


def _copy_perceptor(perceptor: PerceptorEntry, files: Path, number: int) -> dict[str, Any]:
    name = files.name
    place: dict[str, Any] = {}
    if perceptor.folder is not None:
        place = {"folder": Path(name, f"perceptor-{number}")}
        (files / place["folder"].name).mkdir()
        for file in perceptor.files:
            _copy(perceptor.path / file, files / place["folder"].name / file)
        weights = files / place["folder"].name / perceptor.weights_path.name
        _copy(perceptor.weights_path, weights, perceptor.sha256)
    elif perceptor.weights is not None:
        place = {"weights": Path(name, f"perceptor-{number}{perceptor.weights.suffix}")}
        _copy(perceptor.weights_path, files / place["weights"].name, perceptor.sha256)
    # where a tag's weights lie is up to the folder that the entry is in, which may be moved
    return perceptor.model_dump(exclude_unset=True, exclude={"cache"}) | place


def _copy(source: Path, target: Path, sha256: str | None = None) -> None:
    shutil.copyfile(source, target)
    if sha256 is None:
        return
    found = file_sha256(target)
    if found != sha256:
        raise ModelFilesBroken(f"'{source}' has SHA-256 {found}, its entry vouches for {sha256}")


def own_size(whole: ModelEntry) -> int:
    """Return the bytes of all weights of an entry that are files of its own."""
    own = [p.weights_path for p in whole.perceptors if p.folder is not None or p.weights is not None]
    if whole.depth is not None and whole.depth.path is not None:
        own += [whole.depth.path / name for name in whole.depth.files]
    return sum(path.stat().st_size for path in (whole.vqgan.weights_path, *own) if path.exists())


def put_folder(new: Path, place: Path, before: Path) -> None:
    """Move the folder `new` to `place`, and what was there to `before`: a folder can't replace one that holds files."""
    if place.exists():
        place.replace(before)
    new.replace(place)
