"""Data files become entries: the package's own, beside this module, and the user's, in the models folder.

A models folder holds `<name>.yaml` entries of the very schema, `<name>/` with the files of each, and what was fetched.
Which folder that is, whoever starts the process says once (`use_folder`): renderers read no environment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import yaml

from renderers.errors import ModelFilesBroken, UnknownModel
from renderers.registry.entry import WEIGHTS, ModelEntry

__all__ = [
    "list_models",
    "model_entry",
    "models_folder",
    "not_fetched",
    "open_clip_cache",
    "read_entry",
    "shipped_configs",
    "shipped_names",
    "use_folder",
]

FOLDER = Path(__file__).parent

_chosen: Path | None = None


def use_folder(folder: Path | None) -> None:
    """Have this process look for the user's models, and for fetched files, in `folder` (which need not exist)."""
    global _chosen
    _chosen = folder.absolute() if folder is not None else None


def models_folder() -> Path:
    """The folder given to `use_folder`; before that the package's own weights."""
    return _chosen or WEIGHTS


def open_clip_cache() -> Path:
    """Where the weights lie that were fetched for open_clip's tags."""
    return models_folder() / "open_clip"


@cache
def shipped_names() -> tuple[str, ...]:
    """Names of the models that the package knows by itself. No others may take them."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))


def shipped_configs() -> dict[str, Path]:
    """taming configs that the package has, by name: the shapes of the models that were published."""
    return {path.stem: path for path in sorted((FOLDER / "configs").glob("*.yaml"))}


def list_models(on_broken: Callable[[ModelFilesBroken], None] | None = None) -> tuple[ModelEntry, ...]:
    """Every model by name, the package's first. `on_broken` is told of entries that can't be read, instead of a raise.

    Raises:
        ModelFilesBroken: a data file does not hold a model entry.
    """
    entries = []
    for name in _names():
        try:
            entries.append(model_entry(name))
        except ModelFilesBroken as error:
            if on_broken is None:
                raise
            on_broken(error)
    return tuple(entries)


def model_entry(name: str) -> ModelEntry:
    """The entry called `name`.

    Raises:
        UnknownModel: there is none; the message suggests the nearest name.
        ModelFilesBroken: its data file does not hold a model entry.
    """
    names = _names()
    if name in shipped_names():
        return _shipped(name, models_folder())
    if name in names:
        return read_entry(models_folder() / f"{name}.yaml")
    near = get_close_matches(name, names, n=1)
    hint = f"did you mean '{near[0]}'? " if near else ""
    raise UnknownModel(f"model '{name}' is not in the registry: {hint}known are {', '.join(names)}")


def read_entry(path: Path, seen: tuple[str, ...] = ()) -> ModelEntry:
    """The entry in the file `path`, named as the file; its paths are relative to the file's folder.

    `seen` are the entries that came here by `like`.

    Raises:
        ModelFilesBroken: the file does not hold a model entry.
    """
    try:
        status = path.stat()
        data = _document(path, status.st_mtime_ns, status.st_size)
        if not isinstance(data, Mapping):
            raise ValueError("it holds no names and values")
        if data.get("name") != path.stem:
            raise ValueError(f"its name is '{data.get('name')}', and the file's is '{path.stem}'")
        if path.parent != FOLDER and path.stem in shipped_names():
            raise ValueError(f"the package has a model '{path.stem}' of its own: choose another name")
        return build_entry(data, path.parent if path.parent != FOLDER else WEIGHTS, (*seen, path.stem))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ModelFilesBroken(f"registry file '{path}' is not a model entry: {error}") from error


def build_entry(data: Mapping[str, Any], base: Path, seen: tuple[str, ...] = ()) -> ModelEntry:
    """An entry from `data`, with what it leaves out taken from the entry that it is `like`, and its paths made whole.

    Raises:
        ValueError: it is no entry (pydantic's ValidationError is one).
        ModelFilesBroken, UnknownModel: the entry that it is like can't be had.
    """
    given = dict(data)
    if isinstance(given.get("vqgan"), Mapping):
        given["vqgan"] = _with_places(given["vqgan"], str(given.get("name")), base)
    if isinstance(given.get("perceptors"), (list, tuple)):
        given["perceptors"] = [_absolute(p, ("folder", "weights"), base) for p in given["perceptors"]]
    like = given.get("like")
    if like is not None:
        if like in seen:
            raise ValueError(f"it is like '{like}', which is like it")
        inherited = _entry_like(str(like), seen).model_dump(exclude={"name", "like"}, exclude_unset=True)
        given = inherited | given
    return ModelEntry.model_validate(given)


def not_fetched(entry: ModelEntry) -> str:
    """What to do about a model whose files are not there: with a network, and without."""
    source, place = entry.vqgan.source, entry.vqgan
    told = f"model '{entry.name}' is not fetched: run `nightreel models fetch {entry.name}`"
    if source is None:
        return told
    files = ((source.checkpoint, place.checkpoint_path), (source.config, place.config_path))
    puts = " and ".join(f"{file.urls[0]} as '{path}' (SHA-256 {file.sha256})" for file, path in files)
    return f"{told}. Where there is no network, put {puts} and run the same command there"


def _entry_like(name: str, seen: tuple[str, ...]) -> ModelEntry:
    path = models_folder() / f"{name}.yaml"
    if name in shipped_names() or not path.is_file():
        return model_entry(name)
    return read_entry(path, seen)


def _with_places(vqgan: Mapping[str, Any], name: str, base: Path) -> dict[str, Any]:
    """Files that are fetched have their fixed places in the models folder; others are where the entry says."""
    if vqgan.get("source") is None:
        return _absolute(vqgan, ("config", "weights"), base)
    folder = models_folder() / name
    return {"config": folder / "vqgan.yaml", "weights": folder / "vqgan.safetensors", **vqgan}


def _absolute(part: Any, keys: tuple[str, ...], base: Path) -> Any:
    if not isinstance(part, Mapping):
        return part  # what is wrong with it, the schema says better
    return {**part, **{key: base / part[key] for key in keys if isinstance(part.get(key), (str, Path))}}


def _names() -> tuple[str, ...]:
    try:
        users = sorted(path.stem for path in models_folder().glob("*.yaml") if path.stem not in shipped_names())
    except OSError:
        users = []
    return (*shipped_names(), *users)


@cache
def _shipped(name: str, folder: Path) -> ModelEntry:
    # `folder` is where the files of those that are fetched lie
    return read_entry(FOLDER / f"{name}.yaml")


@lru_cache(maxsize=256)
def _document(path: Path, changed: int, size: int) -> Any:
    """The YAML of `path`, parsed once per version of the file: planning asks for every row."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))
