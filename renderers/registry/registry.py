"""The registry itself: the package's models, and the user's in a folder.

A models folder holds `<name>.yaml` entries of the same schema as the package's, `<name>/` with the files of each, and
what was fetched. Renderers read no environment: whoever starts work makes a registry and hands it on. It is small
enough to travel: to another process it goes by value.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from renderers.config_file import clipped, problems_of
from renderers.errors import BadInput, ModelFilesBroken, UnknownModel
from renderers.registry.entry import NAME, WEIGHTS, ModelEntry
from renderers.registry.reading import SHIPPED, as_written, given_fields, placed, read_document, shipped_names
from renderers.registry.registering import copy_files, own_size, put_folder

__all__ = ["Registry"]

_MOST_ANCESTORS = 20


@dataclass(frozen=True)
class Registry:
    """The models that a manifest row can name. `folder` holds the user's, and need not exist."""

    folder: Path = WEIGHTS
    """unless given, the package's own weights: there are no others then"""

    def __post_init__(self) -> None:
        # absolute: it travels to processes that were started in other folders
        object.__setattr__(self, "folder", self.folder.absolute())

    @property
    def names(self) -> tuple[str, ...]:
        """The name of every model, the package's first."""
        try:
            users = sorted(path.stem for path in self.folder.glob("*.yaml") if path.stem not in shipped_names())
        except OSError:
            users = []
        return (*shipped_names(), *users)

    def entry(self, name: str) -> ModelEntry:
        """Return the entry called `name`.

        Raises:
            UnknownModel: there is none; the message suggests the nearest name.
            ModelFilesBroken: its data file does not hold a model entry.
        """
        if name in shipped_names():
            return _shipped(self, name)
        names = self.names
        if name in names:
            return self.read(self.folder / f"{name}.yaml")
        near = get_close_matches(name, names, n=1)
        hint = f"did you mean '{near[0]}'? " if near else ""
        raise UnknownModel(f"model '{name}' is not in the registry: {hint}known are {', '.join(names)}")

    def entries(self, on_broken: Callable[[ModelFilesBroken], None] | None = None) -> tuple[ModelEntry, ...]:
        """Return every entry, the package's first. Those that can't be read go to `on_broken`, if it is given.

        Raises:
            ModelFilesBroken: a data file does not hold a model entry, and there is no `on_broken`.
        """
        found = []
        for name in self.names:
            try:
                found.append(self.entry(name))
            except ModelFilesBroken as error:
                if on_broken is None:
                    raise
                on_broken(error)
        return tuple(found)

    def read(self, path: Path, seen: tuple[str, ...] = ()) -> ModelEntry:
        """Return the entry in the file `path`, named as the file; its paths are relative to the file's folder.

        `seen` are the entries that led here by `like`.

        Raises:
            ModelFilesBroken: the file does not hold a model entry.
        """
        try:
            data = read_document(path)
            if data.get("name") != path.stem:
                raise ValueError(f"its name is '{data.get('name')}', and the file's is '{path.stem}'")
            if path.parent != SHIPPED and path.stem in shipped_names():
                raise ValueError(f"the package has a model '{path.stem}' of its own: choose another name")
            return self.build(data, path.parent if path.parent != SHIPPED else WEIGHTS, (*seen, path.stem))
        except (OSError, ValueError, UnknownModel) as error:
            said = problems_of(error) if isinstance(error, ValidationError) else clipped(error)
            raise ModelFilesBroken(f"registry file '{path}' is not a model entry: {said}") from error

    def build(self, data: Mapping[str, Any], base: Path, seen: tuple[str, ...] = ()) -> ModelEntry:
        """Return the entry of `data`; its paths are relative to `base`, and what it leaves out is as in its `like`.

        Raises:
            ValueError: it is no entry (pydantic's ValidationError is one).
            ModelFilesBroken, UnknownModel: the entry that it is like can't be had.
        """
        given = placed(data, base, self.folder)
        like = given.get("like")
        if like is not None:
            if like in seen:
                raise ValueError(f"it is like '{like}', which is like it")
            if len(seen) > _MOST_ANCESTORS:
                raise ValueError(f"it is like another, which is like another, and so on, {_MOST_ANCESTORS} times")
            inherited = self._like(str(like), seen).model_dump(exclude={"name", "like"}, exclude_unset=True)
            given = inherited | given
        return ModelEntry.model_validate(given)

    def _like(self, name: str, seen: tuple[str, ...]) -> ModelEntry:
        path = self.folder / f"{name}.yaml"
        if name in shipped_names() or not re.fullmatch(NAME, name) or not path.is_file():
            return self.entry(name)
        return self.read(path, seen)

    def check_new_name(self, name: str, *, replace: bool = False) -> None:
        """Find out early whether `name` can be registered.

        Raises:
            BadInput: it is no name, or taken.
        """
        if not re.fullmatch(NAME, name):
            raise BadInput(f"'{name}' can't name a model: give letters, digits, dots, dashes, at most 64 of them")
        if name in shipped_names():
            raise BadInput(f"'{name}' is a model of the package: choose another name")
        if not replace and (self.folder / f"{name}.yaml").exists():
            raise BadInput(f"'{self.folder}' has a model '{name}' already: choose another name, or replace it")

    def register(self, entry: ModelEntry | Mapping[str, Any] | Path, name: str, *, replace: bool = False) -> ModelEntry:
        """Make `entry` usable as `name`: copy its files into the folder, check them, and write an entry last.

        `entry` is a mapping of the schema's fields with absolute paths, or the path of a YAML file of them, its paths
        relative to that file. What it takes over by `like: <model>` is neither copied nor written down again. `name`
        goes before the entry's own; `size_bytes` is counted where it is not given.

        Raises:
            BadInput: the name can't be used, or is taken.
            ModelFilesBroken: it is no entry, or a file of it is missing or not the one that its checksum vouches for.
        """
        self.check_new_name(name, replace=replace)
        given, base = given_fields(entry)
        given["name"] = name
        try:
            whole = self.build(given, base, (name,))
        except ValueError as error:
            said = problems_of(error) if isinstance(error, ValidationError) else clipped(error)
            raise ModelFilesBroken(f"'{name}' can't be registered: {said}") from error
        if whole.vqgan.source is not None and "vqgan" in given:
            raise BadInput(
                f"'{name}' can't be registered: its VQGAN is one to fetch, write its entry into '{self.folder}'"
            )
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self.folder, prefix=f".{name}-") as scratch:
                files = Path(scratch) / name
                files.mkdir()
                given.update(copy_files(given, whole, files))
                if "size_bytes" not in given:
                    given["size_bytes"] = own_size(whole)
                text = Path(scratch) / "entry.yaml"
                text.write_text(as_written(given), encoding="utf-8")
                read_document(text)  # what could not be read any more must not take a name
                put_folder(files, self.folder / name, Path(scratch) / "before")
                text.replace(self.folder / f"{name}.yaml")
        except OSError as error:
            raise ModelFilesBroken(f"'{name}' can't be registered in '{self.folder}': {error}") from error
        return self.build(given, self.folder, (name,))


@lru_cache(maxsize=256)
def _shipped(registry: Registry, name: str) -> ModelEntry:
    # the registry's folder is where the files of those that are fetched lie
    return registry.read(SHIPPED / f"{name}.yaml")
