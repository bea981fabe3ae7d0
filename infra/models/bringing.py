"""A machine's own copies of published models: each file is fetched once, by the process that asks first, and checked.

What arrives is `<folder>/.fetching/<sha256>.part`. It takes its place in the models folder only when it is whole and
has its checksum, so a process that is killed leaves nothing half there; the next goes on where it stopped. A lock for
each file (flock, which ends with its process) keeps several actors of one machine from fetching it several times.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock

from infra.models.published import (
    FETCHING,
    PublishedFile,
    PublishedModel,
    content_key,
    published,
    published_names,
)
from infra.storage.storage import ObjectMissing, Storage
from renderers.checksums import file_sha256
from renderers.errors import FetchFailed, ModelFilesBroken
from renderers.registry import Registry, shipped_names

__all__ = ["bring_entries", "bring_model"]

BROUGHT = "brought"  # a folder in it
#: Files up to this size are configs, entries and tokenizers: what planning needs of a model.
SMALL = 8 << 20
PIECE = 8 << 20
# Bytes that are left free on the disk.
SPARE = 256 << 20

OnPiece = Callable[[int], object]


def bring_entries(registry: Registry, source: str | None) -> None:
    """Have all published models known here, with what planning needs of them; weights stay where they are.

    Raises:
        FetchFailed, ModelFilesBroken, StorageError: see `bring_model`.
    """
    if source is None:
        return
    storage = Storage(source)
    for name in published_names(storage):
        bring_model(registry, source, name, weights=False)


def bring_model(
    registry: Registry, source: str | None, name: str, *, weights: bool = True, on_piece: OnPiece = lambda bytes: None
) -> bool:
    """Have the files of a published model in the models folder; without `weights` only small ones. What is there and
    right is left alone. Returns whether there is such a model in `source`.

    Raises:
        FetchFailed: this machine can't hold them, or what is published is damaged.
        ModelFilesBroken: the folder has another model of that name, or another file in the place of one, which was
            never published.
        StorageError: `source` can't be read.
    """
    if source is None or (name in shipped_names() and _complete_in_package(registry, name)):
        return False
    storage = Storage(source)
    model = published(storage, name)
    if model is None:
        return False
    try:
        (registry.folder / FETCHING).mkdir(parents=True, exist_ok=True)
        missing = [file for file in model.files if not _is_there(registry.folder / file.path, file)]
        for file in missing:
            _refuse_another(registry, model, file)
        for file in model.files:
            if file in missing and (weights or file.size <= SMALL):
                _bring(registry.folder, storage, file, on_piece)
            if file not in missing or weights or file.size <= SMALL:
                _note(registry, file)
    except OSError as error:
        raise FetchFailed(
            f"model '{name}' can't be put into '{registry.folder}': {error.strerror or error}; set "
            "NIGHTREEL_MODELS_FOLDER to a folder that can be written on every machine"
        ) from error
    return True


def _complete_in_package(registry: Registry, name: str) -> bool:
    """Whether a model of the package needs nothing of the models folder."""
    entry = registry.entry(name)
    return entry.vqgan.source is None and all(perceptor.architecture is None for perceptor in entry.perceptors)


def _bring(folder: Path, storage: Storage, file: PublishedFile, on_piece: OnPiece) -> None:
    target = folder / file.path
    if _is_there(target, file):
        return
    part = folder / FETCHING / f"{file.sha256}.part"
    with FileLock(part.with_suffix(".lock"), mode=0o644):
        if _is_there(target, file):
            return  # another process was quicker
        target.parent.mkdir(parents=True, exist_ok=True)
        for last in (False, True):
            _receive(storage, file, part, on_piece)
            if file_sha256(part) == file.sha256:
                break
            part.unlink()  # what an earlier process left may be damaged: once from the beginning
            if last:
                raise FetchFailed(
                    f"'{storage.uri(content_key(file.sha256))}' is damaged: it is not the file of its name. Publish "
                    "the model again"
                )
        with part.open("rb") as written:
            os.fsync(written.fileno())
        part.replace(target)


def _receive(storage: Storage, file: PublishedFile, part: Path, on_piece: OnPiece) -> None:
    """Have all bytes of a file in `part`, after those that are there."""
    have = part.stat().st_size if part.exists() else 0
    if have > file.size:
        part.unlink()
        have = 0
    free = shutil.disk_usage(part.parent).free
    if file.size - have + SPARE > free:
        raise FetchFailed(
            f"no room for '{file.path}' in '{part.parents[1]}': {(file.size - have) / 1e6:,.0f} MB are to come and "
            f"{free / 1e6:,.0f} MB are free; free some, or choose another NIGHTREEL_MODELS_FOLDER"
        )
    key = content_key(file.sha256)
    try:
        with part.open("ab") as out:
            while have < file.size:
                piece = storage.read_part(key, have, min(file.size, have + PIECE))
                if not piece:
                    break  # it is shorter than its list says: the checksum tells
                out.write(piece)
                have += len(piece)
                on_piece(len(piece))
    except ObjectMissing as error:
        raise FetchFailed(f"{error}, which a published model has: publish the model again") from error


def _is_there(target: Path, file: PublishedFile) -> bool:
    return target.is_file() and target.stat().st_size == file.size and file_sha256(target) == file.sha256


def _record(registry: Registry, path: str) -> Path:
    """Where it is remembered that the file at `path` was brought, with its checksum then."""
    if _is_entry(path):
        return registry.folder / FETCHING / f"{path.removesuffix('.yaml')}.digest"
    return registry.folder / FETCHING / BROUGHT / path


def _is_entry(path: str) -> bool:
    """Whether a model's entry is there, which people edit."""
    return "/" not in path and path.endswith(".yaml")


def _note(registry: Registry, file: PublishedFile) -> None:
    """Remember which file was brought: a later version may replace it, and what the disk has made of it."""
    record = _record(registry, file.path)
    if not record.is_file() or record.read_text(encoding="ascii") != file.sha256:
        record.parent.mkdir(parents=True, exist_ok=True)
        record.write_text(file.sha256, encoding="ascii")


def _refuse_another(registry: Registry, model: PublishedModel, file: PublishedFile) -> None:
    """What a person made here must not be replaced unasked by what a list says, of this model or of any other."""
    here, record = registry.folder / file.path, _record(registry, file.path)
    if not here.is_file():
        return
    if record.is_file() and (not _is_entry(file.path) or record.read_text(encoding="ascii") == file_sha256(here)):
        return
    if file.path == f"{model.name}.yaml":
        raise ModelFilesBroken(
            f"'{here}' is another model '{model.name}' than the published one: publish it (`nightreel models publish "
            f"{model.name}`), or give it another name"
        )
    raise ModelFilesBroken(
        f"the published model '{model.name}' has a file '{file.path}', but '{here}' is another one and was not "
        "fetched: give yours another name, or delete it if nothing needs it"
    )
