"""Data files and the fields in them, before they become an entry: what the package has, and what a user wrote."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import yaml

from renderers.config_file import read_yaml
from renderers.errors import ModelFilesBroken
from renderers.registry.entry import ModelEntry

__all__ = [
    "SHIPPED",
    "as_written",
    "given_fields",
    "not_fetched",
    "placed",
    "read_document",
    "shipped_configs",
    "shipped_names",
]

SHIPPED = Path(__file__).parent


@cache
def shipped_names() -> tuple[str, ...]:
    """Return the names of the models that the package itself knows. No others may take them."""
    return tuple(sorted(path.stem for path in SHIPPED.glob("*.yaml")))


def shipped_configs() -> dict[str, Path]:
    """Return the taming configs that the package has, by name: the shapes of the models that were published."""
    return {path.stem: path for path in sorted((SHIPPED / "configs").glob("*.yaml"))}


def not_fetched(entry: ModelEntry) -> str:
    """Say what to do about a model whose files are not there: with a network, and without."""
    source, place = entry.vqgan.source, entry.vqgan
    remedy = f"model '{entry.name}' is not fetched: run `nightreel models fetch {entry.name}`"
    if source is None:
        return remedy
    files = ((source.checkpoint, place.checkpoint_path), (source.config, place.config_path))
    puts = " and ".join(f"{file.urls[0]} as '{path}' (SHA-256 {file.sha256})" for file, path in files)
    return f"{remedy}. Where there is no network, put {puts} and run the same command there"


def read_document(path: Path) -> Mapping[str, Any]:
    """Return the names and values in the YAML file `path`.

    Raises:
        ValueError: it holds something else.
        OSError: it can't be read.
        ModelFilesBroken: it is no YAML, or more than an entry has.
    """
    status = path.stat()
    data = _document(path, status.st_mtime_ns, status.st_size)
    if not isinstance(data, Mapping):
        raise ValueError("it holds no names and values")
    return data


@lru_cache(maxsize=256)
def _document(path: Path, changed: int, size: int) -> Any:
    """The YAML of `path`, parsed once per version of the file: planning asks for every row."""
    return read_yaml(path, "a model entry")


def placed(data: Mapping[str, Any], base: Path, folder: Path) -> dict[str, Any]:
    """Return the fields `data` with whole paths: those that are given start at `base`.

    Files that are fetched have their fixed places in the models folder `folder`.
    """
    given = dict(data)
    vqgan, perceptors = given.get("vqgan"), given.get("perceptors")
    if "depth" in given:
        given["depth"] = _absolute(given["depth"], ("folder",), base)
    if isinstance(vqgan, Mapping):
        if vqgan.get("source") is None:
            given["vqgan"] = _absolute(vqgan, ("config", "weights"), base)
        else:
            place = folder / str(given.get("name"))
            given["vqgan"] = {"config": place / "vqgan.yaml", "weights": place / "vqgan.safetensors", **vqgan}
    if isinstance(perceptors, (list, tuple)):
        given["perceptors"] = [_perceptor(perceptor, base, folder) for perceptor in perceptors]
    return given


def _perceptor(perceptor: Any, base: Path, folder: Path) -> Any:
    whole = _absolute(perceptor, ("folder", "weights"), base)
    if isinstance(whole, dict) and whole.get("architecture") is not None:
        whole["cache"] = folder / "open_clip"
    return whole


def _absolute(part: Any, keys: tuple[str, ...], base: Path) -> Any:
    if not isinstance(part, Mapping):
        return part  # what is wrong with it, the schema says better
    return {**part, **{key: base / part[key] for key in keys if isinstance(part.get(key), (str, Path))}}


def given_fields(entry: ModelEntry | Mapping[str, Any] | Path) -> tuple[dict[str, Any], Path]:
    """Return the fields that are given, and the folder that their paths are relative to.

    Raises:
        ModelFilesBroken: the file can't be read, or holds something else.
    """
    if isinstance(entry, ModelEntry):
        return entry.model_dump(exclude_unset=True), Path.cwd()
    if isinstance(entry, Mapping):
        return dict(entry), Path.cwd()
    try:
        return dict(read_document(entry)), entry.absolute().parent
    except (OSError, ValueError) as error:
        raise ModelFilesBroken(f"'{entry}' is not a model entry: {error}") from error


def as_written(given: Mapping[str, Any]) -> str:
    """Return the fields `given` as YAML."""
    text: str = yaml.safe_dump(_plain(given), sort_keys=False, allow_unicode=True)
    return text


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value
