"""Reading what people point at, anywhere that fsspec reaches: manifests, and the pictures that rows name."""

from __future__ import annotations

import contextlib
import io
from functools import partial
from typing import BinaryIO, cast

from infra.storage.dataset_files import TranslatedFile, dataset_files, partitions_of
from infra.storage.errors import AnswerCutOff, ObjectMissing, StorageBusy, without_secrets
from infra.storage.filesystems import filesystem_of, in_full, kind_of, translated
from infra.storage.object_stores import MemoryStore
from manifests.schema.describe import known_columns
from manifests.schema.files import NamedFile

__all__ = ["manifest_files", "read_uri"]


def read_uri(uri: str) -> bytes:
    """Return the bytes behind a path or any URI that fsspec can open. Raises ObjectMissing, StorageError."""

    def read() -> bytes:
        found, path = filesystem_of(uri)
        with MemoryStore.lock if kind_of(uri) == "memory" else contextlib.nullcontext():
            return cast(bytes, found.cat_file(path))

    # a web server's picture has no retries below
    again_if = StorageBusy if kind_of(uri) is None else AnswerCutOff
    return in_full(without_secrets(uri), read, again_if=again_if)


def manifest_files(uri: str) -> list[NamedFile]:
    """Return the Parquet files that `uri` names: a file, a folder (recursively, hidden ones left out) or a glob.

    Their names are those that `uri` gave them: 'night' makes 'night/part-0.parquet'.

    Raises:
        ObjectMissing: there is none.
    """
    shown = without_secrets(uri)
    with translated(shown):
        files, path = filesystem_of(uri)
        found = dataset_files(files, path, shown)
        if not found:
            what = "no .parquet file in the folder" if files.exists(path) else "no manifest at"
            raise ObjectMissing(f"{what} '{shown}'", "check the path, or build one with `nightreel manifest build`")
    return [
        NamedFile(name, partial(_open, uri, file, name), partitions_of(name, shown, known_columns()))
        for name, file in found.items()
    ]


def _open(uri: str, path: str, name: str) -> BinaryIO:
    with translated(name):
        file = filesystem_of(uri)[0].open(path, "rb")
    return io.BufferedReader(TranslatedFile(file, partial(in_full, name)), 1 << 20)
