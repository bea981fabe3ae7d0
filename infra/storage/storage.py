"""Storage: one output root on any object store, with commits that are atomic and listings that are true.

`Storage("s3://bucket/night")` (or gs://, memory://, file://, a plain path) reads, puts and lists whole objects under
relative keys. `manifest_files`, `read_uri` and `SourceReader` (from `infra.storage.inputs`) read what people point at,
as a `ReadingPolicy` allows.

Every error is one of `infra.storage.errors`; what is passing was tried again first, as `retry_policy` says.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal

from infra.storage.beside import FilesBeside
from infra.storage.errors import (
    ObjectConflict,
    ObjectMissing,
    PlaceForbidden,
    SourceRefused,
    StorageBusy,
    StorageError,
    StorageUnavailable,
    s3_code,
)
from infra.storage.filesystems import absolute_uri, disconnect, filesystem, in_full, kind_of, path_of, translated
from infra.storage.inputs import SourceReader, folder_of_manifest, input_address, manifest_files, read_uri
from infra.storage.layout import is_ours
from infra.storage.local_store import TEMPORARY_PREFIX, LocalStore
from infra.storage.object_stores import FsspecStore, MemoryStore, ObjectInfo, ObjectStore, S3Store
from infra.storage.reading_policy import ReadingPolicy
from infra.storage.retry_policy import RETRY_POLICY, RetryPolicy
from manifests.masking import address_without_secrets, has_secret

__all__ = [
    "Existing",
    "FilesBeside",
    "ObjectConflict",
    "ObjectInfo",
    "ObjectMissing",
    "PlaceForbidden",
    "PutOutcome",
    "ReadingPolicy",
    "RetryPolicy",
    "SourceReader",
    "SourceRefused",
    "Storage",
    "StorageBusy",
    "StorageError",
    "StorageUnavailable",
    "absolute_uri",
    "disconnect",
    "folder_of_manifest",
    "input_address",
    "is_key",
    "manifest_files",
    "read_uri",
]

Existing = Literal["keep", "same", "replace"]
PutOutcome = Literal["written", "kept", "same"]

_SECRET_OPTIONS = {
    "key", "secret", "token", "username", "password",
    "aws_access_key_id", "aws_secret_access_key", "aws_session_token",
}  # fmt: skip
_NO_FILE = (errno.EISDIR, errno.ELOOP, errno.ENXIO)
_COMPARED_AT_ONCE = 8 << 20  # bytes


class Storage:
    """One output root and the objects under it. Cheap to make, connects when first used.

    Picklable, and safe to share between threads and to use after a fork: it holds no connection itself.

    Args:
        uri: a plain path, `file://`, `s3://bucket/prefix`, `gs://bucket/prefix` or `memory://name`.
        options: further options of the fsspec file system (`{"endpoint_url": ...}`); never credentials.
        retry_policy: how often and how long requests to an S3 server are tried again.

    Raises:
        StorageUnavailable: the URI cannot be an output root, whatever the state of the server.
    """

    def __init__(
        self, uri: str, options: dict[str, Any] | None = None, retry_policy: RetryPolicy = RETRY_POLICY
    ) -> None:
        shown = address_without_secrets(uri)
        kind = kind_of(uri)
        if kind is None:
            raise StorageUnavailable(
                f"no atomic commits on '{shown}'", "use a plain path, file://, s3://, gs:// or memory:// as output"
            )
        if _NO_TEXT.search(uri):
            raise StorageUnavailable(f"output '{shown}' is no text in UTF-8", "give it another name, or choose another")
        given = {**(options or {}), **(options or {}).get("client_kwargs", {})}
        if secret := sorted(_SECRET_OPTIONS & given.keys()):
            raise StorageUnavailable(
                f"credentials among the options of '{shown}' ({', '.join(secret)})",
                "set them in the environment, such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
            )
        self._kind = kind
        self._retry_policy = retry_policy
        self._options = dict(options or {})
        self._path = absolute_uri(uri) if self._kind == "file" else path_of(uri).rstrip("/")
        if self._kind == "memory":
            self._path = self._path.lstrip("/")
        self.root = self._path if self._kind == "file" else f"{self._kind}://{self._path}"
        if self._kind in ("s3", "gs"):
            bucket = self._path.split("/")[0]
            if not bucket:
                raise StorageUnavailable(f"no bucket in '{shown}'", f"write {self._kind}://bucket/prefix")
            if "@" in bucket or has_secret(uri):
                raise StorageUnavailable(
                    f"credentials in '{shown}'", "take them out of the URI and set them in the environment"
                )

    def __repr__(self) -> str:
        return f"Storage({self.root!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Storage) and (self.root, self._options) == (other.root, other._options)

    def __hash__(self) -> int:
        return hash(self.root)

    # ---- names

    def child(self, sub: str) -> Storage:
        """Return the storage rooted at the folder `sub` of this one."""
        return Storage(self.uri(sub), self._options, self._retry_policy)

    def uri(self, key: str = "") -> str:
        """Return the absolute URI of an object (a plain path for local roots), as `read_uri` takes it."""
        return f"{self.root.rstrip('/')}/{_checked(key)}" if key else self.root

    def local_path(self, key: str = "") -> Path | None:
        """Return where the object lies on this machine's file system, or None if it does not."""
        return Path(self.uri(key)) if self._kind == "file" else None

    # ---- reading

    def read(self, key: str, *, most: int | None = None) -> bytes:
        """Return the whole object.

        Raises:
            ObjectMissing: there is none.
            SourceRefused: it has more than `most` bytes, where that is given, is no file, or none that this account may
                read; no more of it are read.
        """
        place = self.uri(_checked(key))
        if most is None:
            return in_full(place, lambda: self._store.read(key), self._retry_policy)
        try:
            data = in_full(place, lambda: self._store.part(key, 0, most + 1), self._retry_policy)
        except StorageError as error:
            if isinstance(error, PlaceForbidden):
                raise SourceRefused(error.message, error.remedy) from error
            if isinstance(error.__cause__, OSError) and error.__cause__.errno in _NO_FILE:
                raise SourceRefused(f"'{place}' is no file", "move it away, if it is not yours") from error
            if s3_code(error) not in ("InvalidRange", "416"):
                raise
            return b""  # no range of an empty object is one
        if len(data) > most:
            raise SourceRefused(f"'{place}' has more than {most:,} bytes", "delete it, if it is not yours")
        return data

    def read_part(self, key: str, start: int, end: int) -> bytes:
        """Return the bytes `[start, end)` of an object, fewer where it ends before.

        Raises:
            ObjectMissing: there is none.
        """
        return in_full(self.uri(_checked(key)), lambda: self._store.part(key, start, end), self._retry_policy)

    def exists(self, key: str) -> bool:
        """Say whether there is such an object (a folder is none; in a missing bucket there is none either)."""
        return self._size(key) is not None

    def list(self, prefix: str = "", *, ours: bool = False) -> Iterator[ObjectInfo]:
        """Yield every object under the folder `prefix`, recursively, sorted by key; none if there is no such folder.

        `ours`: only what lies where an output has objects (`layout.is_ours`). A folder of somebody else's, such as the
        root of a file system, is then passed over without a look at all that lies in it.

        Always asks storage, so that objects of other writers are seen; those whose names no key can have (control
        characters) are somebody else's and left out. Keys are relative to the root, not to `prefix`.

        Raises:
            StorageUnavailable: also where the bucket is missing. "Unknown" must never read as "nothing is there".
        """
        folder = prefix.rstrip("/")
        place = self.uri(folder)
        found = in_full(place, lambda: self._store.list(folder, ours=ours), self._retry_policy)
        while True:
            with translated(place):
                info = next(found, None)
            if info is None:
                return
            if is_key(info.key) and (not ours or is_ours(info.key)):
                yield info

    def folders(self) -> tuple[str, ...]:
        """List the names of the folders in the root, sorted; a local one may be empty.

        Names that no key can have are left out. Otherwise as `list`, without the time that it takes to list all that
        lies in them.
        """
        found = in_full(self.root, lambda: tuple(self._store.folders()), self._retry_policy)
        return tuple(sorted(filter(is_key, found)))

    def folder_names(self) -> Iterator[str]:
        """Yield the names of the folders in the root as they are found, in any order: S3 is asked for more only if
        whoever asks goes on. Names that no key can have are among them.

        Raises:
            StorageError: while they are gone through.
        """
        found = in_full(self.root, lambda: iter(self._store.folders()), self._retry_policy)
        while True:
            with translated(self.root):
                name = next(found, None)
            if name is None:
                return
            yield name

    # ---- writing

    def put(self, key: str, data: bytes, *, existing: Existing = "keep") -> PutOutcome:
        """Commit one object atomically: readers see all of it or nothing, even if this process dies half-way.

        Args:
            existing: what to do when the key is taken. "keep": leave it, the first of all racing writers wins ("kept");
                "same": accept identical bytes ("same") and raise otherwise; "replace": put ours in its place.

        Returns:
            "written", "kept" or "same". A write that was sent twice because its answer got lost may answer "kept"
            although it was this one that won: the bytes are there all the same.

        Raises:
            ObjectConflict: `existing="same"`, and the key holds other bytes.
            StorageUnavailable, StorageError
        """
        return self._commit(
            key,
            existing,
            write=lambda exclusive: self._store.write(key, data, exclusive=exclusive),
            identical=lambda: self._size(key) == len(data) and self.read(key) == data,
        )

    def put_file(self, key: str, path: str | os.PathLike[str], *, existing: Existing = "keep") -> PutOutcome:
        """Commit the content of a local file, for videos; otherwise as `put`.

        S3 gets files from 100 MiB on in parts, with the condition on the last request. SeaweedFS was seen to let two
        writers win that finish their parts in the very same moment; the object was whole, and one of the two.
        """
        local = Path(path)
        with translated(str(local)):
            if local.is_dir():
                raise IsADirectoryError(str(local))  # s3fs would pass over it in silence
            size = local.stat().st_size

        def write(exclusive: bool) -> bool:
            if exclusive and self.exists(key):
                return False  # spares sending a big file only to have it refused
            return self._store.write_file(key, local, exclusive=exclusive)

        return self._commit(
            key, existing, write=write, identical=lambda: self._size(key) == size and self._holds(key, local)
        )

    def delete(self, key: str, *, own: bool = False) -> None:
        """Remove an object; none there is fine. A render never deletes: this is for `--force`, `prune` and tests.

        Args:
            own: only if it lies in this root itself. A link that leads out of it may lead to anybody's files.

        Raises:
            StorageError: also if `own`, and it is a link or lies behind one.
        """
        with contextlib.suppress(ObjectMissing), translated(self.uri(_checked(key))):
            store = self._store
            if own and isinstance(store, LocalStore):
                store.delete_own(key)
            else:
                store.delete(key)

    def is_link(self, key: str) -> bool:
        """Say whether an object or a folder is a link, which only local file systems have."""
        store = self._store
        return isinstance(store, LocalStore) and store.is_link(_checked(key))

    def check(self, *, write: bool = True) -> None:
        """Find out within seconds whether this root can be listed and, if `write`, written to.

        Leaves no object behind; `write` makes the folder of a local root.

        Raises:
            StorageUnavailable: with what to do about it.
        """
        try:
            with translated(self.root):
                self._store.check(write=write)
        except StorageUnavailable:
            raise
        except StorageError as error:
            raise StorageUnavailable(error.message, error.remedy or "choose another output") from error

    @property
    def _store(self) -> ObjectStore:
        if self._kind == "file":
            return LocalStore(Path(self._path))
        stores: dict[str, type[FsspecStore]] = {"s3": S3Store, "gs": FsspecStore, "memory": MemoryStore}
        connected = filesystem(self._kind, self._options, self._retry_policy)
        return stores[self._kind](connected, self._path, self._retry_policy)

    def _commit(
        self, key: str, existing: Existing, *, write: Callable[[bool], bool], identical: Callable[[], bool]
    ) -> PutOutcome:
        if existing not in ("keep", "same", "replace"):
            raise ValueError(f"existing={existing!r}: use 'keep', 'same' or 'replace'")
        place = self.uri(_checked(key))
        for _ in range(3):  # again only if what was in our way was deleted while we looked
            with translated(place):
                written = write(existing != "replace")
            if written:
                return "written"
            if existing == "keep":
                return "kept"
            with contextlib.suppress(ObjectMissing):
                if identical():
                    return "same"
                if self.exists(key):
                    raise ObjectConflict(f"'{place}' holds other bytes", "use --force to replace them")
        raise StorageError(f"'{place}' comes and goes while it is written", "find out who else writes there")

    def _size(self, key: str) -> int | None:
        try:
            with translated(self.uri(_checked(key))):
                return self._store.size(key)
        except ObjectMissing:
            return None

    def _holds(self, key: str, local: Path) -> bool:
        """Compare an object with a local file of the same size, a piece at a time."""
        start = 0
        with translated(str(local)), local.open("rb") as ours:
            while piece := ours.read(_COMPARED_AT_ONCE):
                stop = start + len(piece)
                part = partial(self._store.part, key, start, stop)
                if in_full(self.uri(key), part, self._retry_policy) != piece:
                    return False
                start = stop
        return True


_NO_TEXT = re.compile(r"[\ud800-\udfff]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f\\\ud800-\udfff]")  # the last are bytes of names that are no UTF-8


def is_key(key: str) -> bool:
    """Whether an object can be called that, below the root."""
    parts = key.split("/")
    return not (
        any(part in ("", ".", "..") or part.startswith(TEMPORARY_PREFIX) for part in parts) or _CONTROL.search(key)
    )


def _checked(key: str) -> str:
    if not is_key(key):
        raise ValueError(f"key {key!r}: use non-empty names joined by '/', relative to the output, without '.' or '..'")
    return key
