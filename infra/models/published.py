"""Models in object storage (or a shared folder), as `nightreel models publish` puts them there for the machines of a
cluster.

    models/<name>.json      which files a model has: paths in a models folder, SHA-256, bytes
    files/<sha256>          each file, once, whichever models have it

Files go first and the list last, so that whoever reads a list finds all that it names.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

from infra.storage.storage import ObjectMissing, Storage, is_key
from renderers.checksums import file_sha256
from renderers.errors import BadInput, ModelFilesBroken
from renderers.registry import ModelEntry, Registry, shipped_names

__all__ = ["FETCHING", "PublishedFile", "PublishedModel", "content_key", "publish", "published", "published_names"]

FORMAT = 1
FETCHING = ".fetching"  # of a models folder: what is on its way there, and what was brought
MOST_LIST = 4_000_000  # bytes of a list of files


@dataclass(frozen=True)
class PublishedFile:
    """A file of a model: its `path` below a models folder, with slashes."""

    path: str
    sha256: str
    size: int


@dataclass(frozen=True)
class PublishedModel:
    """A model's files, its entry last; `digest` is the model's, which frames have in theirs."""

    name: str
    digest: str
    files: tuple[PublishedFile, ...]


def content_key(sha256: str) -> str:
    """Return the key of the file with this checksum."""
    return f"files/{sha256}"


def _list_key(name: str) -> str:
    return f"models/{name}.json"


def published_names(source: Storage) -> tuple[str, ...]:
    """Return the names of all models that are there."""
    keys = (PurePosixPath(info.key) for info in source.list("models"))
    return tuple(key.stem for key in keys if key.suffix == ".json" and len(key.parts) == 2)


def published(source: Storage, name: str) -> PublishedModel | None:
    """Return what is there of a model; None if it was not published.

    Raises:
        ModelFilesBroken: its list is none of ours.
        StorageError: the source can't be read.
    """
    try:
        document = json.loads(source.read(_list_key(name), most=MOST_LIST))
        if document["format"] != FORMAT:
            raise ValueError(f"it is of format {document['format']}, and this version reads {FORMAT}")
        files = tuple(PublishedFile(str(it["path"]), str(it["sha256"]), int(it["size"])) for it in document["files"])
        for file in files:
            if (
                file.path.split("/")[0] == FETCHING
                or not is_key(file.path)
                or len(file.sha256) != 64
                or not is_key(content_key(file.sha256))
                or file.size < 0
            ):
                raise ValueError(f"'{file.path}' can't be a file of a models folder")
        return PublishedModel(name, str(document["digest"]), files)
    except ObjectMissing:
        return None
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ModelFilesBroken(
            f"'{source.uri(_list_key(name))}' is no list of a model's files: {error}. Publish the model again"
        ) from error


def publish(
    registry: Registry, entry: ModelEntry, source: Storage, on_file: Callable[[str], object] = lambda name: None
) -> PublishedModel:
    """Put a model into `source`; what is there already is not sent again, and one of that name is replaced.

    Raises:
        BadInput: it comes with the package, so that every machine has it.
        ModelFilesBroken: it is not whole, or lies outside of the models folder.
        StorageError: the source can't be written.
    """
    from infra.models.files import verify_model  # and with it a client of HTTP: only for whoever publishes

    missing = [check.file for check in verify_model(entry) if check.needed and check.state != "ok"]
    if missing:
        raise ModelFilesBroken(f"model '{entry.name}' can't be published: '{missing[0]}' is missing or damaged")
    paths = _files_of(registry, entry)
    if not paths:
        raise BadInput(f"model '{entry.name}' comes with the package: every machine that has nightreel has it")
    files = []
    for path in paths:
        place = path.relative_to(registry.folder).as_posix()
        file = PublishedFile(place, file_sha256(path), path.stat().st_size)
        on_file(place)
        source.put_file(content_key(file.sha256), path.resolve())
        files.append(file)
    model = PublishedModel(entry.name, entry.digest, tuple(files))
    document = {"format": FORMAT, **asdict(model)}
    source.put(_list_key(entry.name), json.dumps(document, indent=1).encode(), existing="replace")
    return model


def _files_of(registry: Registry, entry: ModelEntry) -> list[Path]:
    """The files of a model in the models folder, its entry and those that it is like last."""
    place, wanted = entry.vqgan, list[Path]()
    wanted += [place.config_path, place.weights_path]
    if place.source is not None:
        wanted.append(place.record_path)
    for perceptor in entry.perceptors:
        if perceptor.architecture is not None:
            from renderers.models.perceptor.open_clip_tags import cached_files  # torch takes seconds to import

            wanted += cached_files(perceptor)
        if perceptor.folder is not None:
            names = (*perceptor.files, "tokenizer.json")
            wanted += [path for name in names if (path := perceptor.path / name).is_file()]
        if perceptor.sha256 is not None:
            wanted.append(perceptor.weights_path)
    if entry.depth is not None and entry.depth.path is not None:
        wanted += [entry.depth.path / name for name in entry.depth.files]
    ours = [path for path in dict.fromkeys(wanted) if path.is_relative_to(registry.folder)]
    if not ours and entry.name in shipped_names():
        return []
    return [*ours, *_entries_of(registry, entry)]


def _entries_of(registry: Registry, entry: ModelEntry) -> list[Path]:
    """The files of entries of the user's: those that it is like first, so that no entry is there before its likes."""
    found: list[Path] = []
    current: ModelEntry | None = entry
    while current is not None and current.name not in shipped_names():
        found.insert(0, registry.folder / f"{current.name}.yaml")
        current = registry.entry(current.like) if current.like else None
    return found
