"""A model of the user's own takes its place in a models folder: all or nothing, and never half an entry."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from renderers.checksums import file_sha256
from renderers.errors import BadInput, ModelFilesBroken
from renderers.registry.entry import NAME, ModelEntry
from renderers.registry.reading import build_entry, shipped_names

__all__ = ["check_new_name", "register"]


def check_new_name(folder: Path, name: str, *, replace: bool = False) -> None:
    """Say early whether `name` can be registered in `folder`.

    Raises:
        BadInput: it is no name, or taken.
    """
    if not re.fullmatch(NAME, name):
        raise BadInput(f"'{name}' can't name a model: give letters, digits, dots, dashes, at most 64 of them")
    if name in shipped_names():
        raise BadInput(f"'{name}' is a model of the package: choose another name")
    if not replace and (folder / f"{name}.yaml").exists():
        raise BadInput(f"'{folder}' has a model '{name}' already: choose another name, or replace it")


def register(
    entry: ModelEntry | Mapping[str, Any] | Path, folder: Path, name: str, *, replace: bool = False
) -> ModelEntry:
    """Make `entry` usable as `name` in the models folder `folder`: its files are copied there, checked, and an entry is
    written last.

    `entry` is a mapping of the schema's fields with absolute paths, or the path of a YAML file of them, its paths
    relative to that file. What it takes over by `like: <model>` is neither copied nor written down again. `name` goes
    before the entry's own; `size_bytes` is counted where it is not given.

    Raises:
        BadInput: the name can't be used, or is taken.
        ModelFilesBroken: it is no entry, or a file of it is missing or not the one that its checksum vouches for.
    """
    check_new_name(folder, name, replace=replace)
    given, base = _given(entry)
    given["name"] = name
    try:
        whole = build_entry(given, base, (name,))
    except ValueError as error:
        raise ModelFilesBroken(f"'{name}' can't be registered: {error}") from error
    if whole.vqgan.source is not None and "vqgan" in given:
        raise BadInput(f"'{name}' can't be registered: its VQGAN is one to fetch, write its entry into '{folder}'")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=f".{name}-") as scratch:
            files = Path(scratch) / name
            files.mkdir()
            given.update(_copied(given, whole, files))
            if "size_bytes" not in given:
                given["size_bytes"] = _size(whole)
            _put(files, folder / name, Path(scratch) / "before")
            text = Path(scratch) / "entry.yaml"
            text.write_text(yaml.safe_dump(_plain(given), sort_keys=False, allow_unicode=True), encoding="utf-8")
            text.replace(folder / f"{name}.yaml")
    except OSError as error:
        raise ModelFilesBroken(f"'{name}' can't be registered in '{folder}': {error}") from error
    return build_entry(given, folder, (name,))


def _given(entry: ModelEntry | Mapping[str, Any] | Path) -> tuple[dict[str, Any], Path]:
    """The fields that are given, and the folder that their paths are relative to."""
    if isinstance(entry, ModelEntry):
        return entry.model_dump(exclude_unset=True), Path.cwd()
    if isinstance(entry, Mapping):
        return dict(entry), Path.cwd()
    try:
        data = yaml.safe_load(entry.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ModelFilesBroken(f"'{entry}' is not a model entry: {error}") from error
    if not isinstance(data, dict):
        raise ModelFilesBroken(f"'{entry}' is not a model entry: it holds no names and values")
    return data, entry.absolute().parent


def _copied(given: Mapping[str, Any], whole: ModelEntry, files: Path) -> dict[str, Any]:
    """Copy what `given` names itself into `files`; the parts of the entry that name the copies."""
    name = files.name
    parts: dict[str, Any] = {}
    if "vqgan" in given:
        vqgan = whole.vqgan
        _copy(vqgan.config_path, files / "vqgan.yaml")
        _copy(vqgan.weights_path, files / "vqgan.safetensors", vqgan.sha256)
        places = {"config": Path(name, "vqgan.yaml"), "weights": Path(name, "vqgan.safetensors")}
        parts["vqgan"] = vqgan.model_dump(exclude_unset=True) | places
    if "perceptors" in given:
        parts["perceptors"] = []
        for number, perceptor in enumerate(whole.perceptors):
            place: dict[str, Any] = {}
            if perceptor.folder is not None:
                place = {"folder": Path(name, f"perceptor-{number}")}
                (files / place["folder"].name).mkdir()
                for file in filter(None, ("open_clip_config.json", perceptor.merges)):
                    _copy(perceptor.path / file, files / place["folder"].name / file)
                weights = files / place["folder"].name / perceptor.weights_path.name
                _copy(perceptor.weights_path, weights, perceptor.sha256)
            elif perceptor.weights is not None:
                place = {"weights": Path(name, f"perceptor-{number}{perceptor.weights.suffix}")}
                _copy(perceptor.weights_path, files / place["weights"].name, perceptor.sha256)
            parts["perceptors"].append(perceptor.model_dump(exclude_unset=True) | place)
    return parts


def _copy(source: Path, target: Path, sha256: str | None = None) -> None:
    shutil.copyfile(source, target)
    if sha256 is None:
        return
    found = file_sha256(target)
    if found != sha256:
        raise ModelFilesBroken(f"'{source}' has SHA-256 {found}, its entry vouches for {sha256}")


def _size(whole: ModelEntry) -> int:
    own = [p.weights_path for p in whole.perceptors if p.folder is not None or p.weights is not None]
    return sum(path.stat().st_size for path in (whole.vqgan.weights_path, *own) if path.exists())


def _put(new: Path, place: Path, before: Path) -> None:
    """Move the folder `new` to `place`, and what was there to `before`: a folder can't replace one that holds files."""
    if place.exists():
        place.replace(before)
    new.replace(place)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value
