"""Storage: one output root on any object store, with commits that are atomic and listings that are true.

`Storage("s3://bucket/night")` (or gs://, memory://, file://, a plain path) reads, puts and lists whole objects under
relative keys. `manifest_files` and `read_uri` read what people point at, anywhere that fsspec reaches.

This module owns fsspec, s3fs and botocore, and is the one seam where their errors become those of
`infra.storage_errors`. Credentials come from the environment or from the libraries' own configuration files only.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

import botocore.exceptions
import fsspec
from fsspec.core import split_protocol, url_to_fs

from infra.dataset_files import TranslatedFile, dataset_files
from infra.local_store import TEMPORARY_PREFIX, LocalStore
from infra.object_stores import GcsStore, MemoryStore, ObjectInfo, ObjectStore, S3Store
from infra.storage_errors import (
    ObjectConflict,
    ObjectMissing,
    StorageError,
    StorageUnavailable,
    from_os_error,
    from_s3_code,
    s3_code,
    without_secrets,
)
from manifests.schema.files import NamedFile

__all__ = [
    "Existing",
    "ObjectConflict",
    "ObjectInfo",
    "ObjectMissing",
    "PutOutcome",
    "Storage",
    "StorageError",
    "StorageUnavailable",
    "absolute_uri",
    "disconnect",
    "manifest_files",
    "read_uri",
]

Existing = Literal["keep", "same", "replace"]
PutOutcome = Literal["written", "kept", "same"]

_KINDS = {"file": "file", "local": "file", "memory": "memory", "s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs"}
_SECRET_OPTIONS = {
    "key", "secret", "token", "username", "password",
    "aws_access_key_id", "aws_secret_access_key", "aws_session_token",
}  # fmt: skip
_COMPARED_AT_ONCE = 8 << 20  # bytes


class Storage:
    """One output root and the objects under it. Cheap to make, connects when first used.

    Picklable, and safe to share between threads and to use after a fork: it holds no connection itself.

    Args:
        uri: a plain path, `file://`, `s3://bucket/prefix`, `gs://bucket/prefix` or `memory://name`.
        options: further options of the fsspec file system (`{"endpoint_url": ...}`); never credentials.

    Raises:
        StorageUnavailable: the URI cannot be an output root, whatever the state of the server.
    """

    def __init__(self, uri: str, options: dict[str, Any] | None = None) -> None:
        shown = without_secrets(uri)
        kind = _kind(uri)
        if kind is None:
            raise StorageUnavailable(
                f"no atomic commits on '{shown}'", "use a plain path, file://, s3://, gs:// or memory:// as output"
            )
        given = {**(options or {}), **(options or {}).get("client_kwargs", {})}
        if secret := sorted(_SECRET_OPTIONS & given.keys()):
            raise StorageUnavailable(
                f"credentials among the options of '{shown}' ({', '.join(secret)})",
                "set them in the environment, such as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
            )
        self._kind = kind
        self._options = dict(options or {})
        self._path = absolute_uri(uri) if self._kind == "file" else split_protocol(uri)[1].rstrip("/")
        if self._kind == "memory":
            self._path = self._path.lstrip("/")
        self.root = self._path if self._kind == "file" else f"{self._kind}://{self._path}"
        if self._kind in ("s3", "gs"):
            bucket = self._path.split("/")[0]
            if not bucket:
                raise StorageUnavailable(f"no bucket in '{shown}'", f"write {self._kind}://bucket/prefix")
            if "@" in bucket:
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
        """Returns the storage rooted at the folder `sub` of this one."""
        return Storage(self.uri(sub), self._options)

    def uri(self, key: str = "") -> str:
        """Returns the absolute URI of an object (a plain path for local roots), as `read_uri` takes it."""
        return f"{self.root.rstrip('/')}/{_checked(key)}" if key else self.root

    def local_path(self, key: str = "") -> Path | None:
        """Returns where the object lies on this machine's file system, or None if it does not."""
        return Path(self.uri(key)) if self._kind == "file" else None

    # ---- reading

    def read(self, key: str) -> bytes:
        """Returns the whole object. Raises ObjectMissing."""
        with _translated(self.uri(_checked(key))):
            return self._store.read(key)

    def exists(self, key: str) -> bool:
        """Tells whether there is such an object (a folder is none; in a missing bucket there is none either)."""
        return self._size(key) is not None

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        """Yields every object under the folder `prefix`, recursively, sorted by key; none if there is no such folder.

        Always asks storage, so that objects of other writers are seen. Keys are relative to the root, not to `prefix`.

        Raises:
            StorageUnavailable: also where the bucket is missing. "Cannot tell" must never read as "nothing is there".
        """
        folder = prefix.rstrip("/")
        place = self.uri(folder)
        with _translated(place):
            found = self._store.list(folder)
        while True:
            with _translated(place):
                info = next(found, None)
            if info is None:
                return
            yield info

    # ---- writing

    def put(self, key: str, data: bytes, *, existing: Existing = "keep") -> PutOutcome:
        """Commits one object atomically: readers see all of it or nothing, even if this process dies half-way.

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
        """Commits the content of a local file, for videos; otherwise as `put`.

        S3 gets files from 100 MiB on in parts, with the condition on the last request. SeaweedFS was seen to let two
        writers win that finish their parts in the very same moment; the object was whole, and one of the two.
        """
        local = Path(path)
        with _translated(str(local)):
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

    def delete(self, key: str) -> None:
        """Removes an object; none there is fine. A render never deletes: this is for `--force` and for tests."""
        with contextlib.suppress(ObjectMissing), _translated(self.uri(_checked(key))):
            self._store.delete(key)

    def check(self, *, write: bool = True) -> None:
        """Finds out within seconds whether this root can be listed and, if `write`, written to.

        Leaves no object behind; `write` makes the folder of a local root.

        Raises:
            StorageUnavailable: with what to mend.
        """
        try:
            with _translated(self.root):
                self._store.check(write=write)
        except StorageUnavailable:
            raise
        except StorageError as error:
            raise StorageUnavailable(error.message, error.remedy or "choose another output") from error

    @property
    def _store(self) -> ObjectStore:
        if self._kind == "file":
            return LocalStore(Path(self._path))
        stores: dict[str, type[GcsStore]] = {"s3": S3Store, "gs": GcsStore, "memory": MemoryStore}
        return stores[self._kind](_filesystem(self._kind, self._options), self._path)

    def _commit(
        self, key: str, existing: Existing, *, write: Callable[[bool], bool], identical: Callable[[], bool]
    ) -> PutOutcome:
        if existing not in ("keep", "same", "replace"):
            raise ValueError(f"existing={existing!r}: use 'keep', 'same' or 'replace'")
        place = self.uri(_checked(key))
        for _ in range(3):  # again only if what was in our way was deleted while we looked
            with _translated(place):
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
            with _translated(self.uri(_checked(key))):
                return self._store.size(key)
        except ObjectMissing:
            return None

    def _holds(self, key: str, local: Path) -> bool:
        """Compares an object with a local file of the same size, a piece at a time."""
        start = 0
        with _translated(self.uri(key)), local.open("rb") as ours:
            while piece := ours.read(_COMPARED_AT_ONCE):
                if self._store.part(key, start, start + len(piece)) != piece:
                    return False
                start += len(piece)
        return True


# ---- reading what people point at, anywhere that fsspec reaches


def absolute_uri(uri: str) -> str:
    """Returns `uri`, as an absolute plain path if it is local: it then means the same to a worker in another folder."""
    protocol, path = split_protocol(uri)
    # abspath, not resolve(): a link that an operator made stays the name that people know
    return os.path.abspath(Path(path).expanduser()) if protocol in (None, "file", "local") else uri  # noqa: PTH100


def read_uri(uri: str) -> bytes:
    """Returns the bytes behind a path or any URI that fsspec can open. Raises ObjectMissing, StorageError."""
    with _translated(without_secrets(uri)):
        filesystem, path = _filesystem_of(uri)
        with MemoryStore.lock if _kind(uri) == "memory" else contextlib.nullcontext():
            return cast(bytes, filesystem.cat_file(path))


def manifest_files(uri: str) -> list[NamedFile]:
    """Returns the Parquet files that `uri` names: a file, a folder (recursively, hidden ones left out) or a glob.

    Their names are those that `uri` gave them: 'night' makes 'night/part-0.parquet'.

    Raises:
        ObjectMissing: there is none.
    """
    shown = without_secrets(uri)
    with _translated(shown):
        filesystem, path = _filesystem_of(uri)
        found = dataset_files(filesystem, path, shown)
        if not found:
            what = "no .parquet file in the folder" if filesystem.exists(path) else "no manifest at"
            raise ObjectMissing(f"{what} '{shown}'", "check the path, or build one with `nightreel manifest build`")
    return [NamedFile(name, partial(_open, uri, file, name)) for name, file in found.items()]


def _open(uri: str, path: str, name: str) -> BinaryIO:
    with _translated(name):
        file = _filesystem_of(uri)[0].open(path, "rb")
    return io.BufferedReader(TranslatedFile(file, partial(_translated, name)), 1 << 20)


# ---- file systems: one per process, kind and options

_filesystems: dict[str, Any] = {}
_filesystems_lock = threading.Lock()
_left_to_the_parent: list[Any] = []


def _after_fork() -> None:
    """A child has no event loop thread, and must not close the sockets that it shares with its parent."""
    global _filesystems, _filesystems_lock
    _left_to_the_parent.append(_filesystems)
    _filesystems, _filesystems_lock = {}, threading.Lock()


os.register_at_fork(after_in_child=_after_fork)


def _kind(uri: str) -> str | None:
    """Returns the kind of store that a URI names, None if it is not among those that take commits."""
    return _KINDS.get(split_protocol(uri)[0] or "file")


def _filesystem(kind: str, options: dict[str, Any]) -> Any:
    identity = json.dumps([kind, options], sort_keys=True, default=repr)
    with _filesystems_lock:
        if identity not in _filesystems:
            _filesystems[identity] = _new_filesystem(kind, options)
        return _filesystems[identity]


def disconnect() -> None:
    """Forgets all connections of this process, so that changed credentials or endpoints in the environment count."""
    with _filesystems_lock:
        _filesystems.clear()


def _new_filesystem(kind: str, options: dict[str, Any]) -> Any:
    # fsspec would share instances by thread: eight threads would hold eight clients, with eight pools of connections.
    common = {"use_listings_cache": False, "skip_instance_cache": True}
    if kind != "s3":
        return fsspec.filesystem(kind, **common, **options)
    # Imported here: they take a second or two, which a job on local files need not spend.
    from aiobotocore.session import AioSession  # type: ignore[import-untyped]
    from botocore.handlers import add_expect_header

    options = dict(options)
    session = AioSession(profile=options.pop("profile", None))
    # `Expect: 100-continue` before each PUT costs a round trip, and waits for a hung server without any timeout.
    session.unregister("before-call.s3", add_expect_header)
    config = {
        "connect_timeout": 3,
        "read_timeout": 15,
        "max_pool_connections": 32,
        "retries": {"total_max_attempts": 3, "mode": "standard"},
        **options.pop("config_kwargs", {}),
    }
    filesystem = fsspec.filesystem("s3", session=session, config_kwargs=config, **common, **options)
    filesystem.retries = 1  # s3fs would multiply botocore's attempts by its own: 7 s for a refused port
    return filesystem


def _filesystem_of(uri: str) -> tuple[Any, str]:
    kind = _kind(uri)
    if kind is None:  # http, zip, a chain of several: read only, so fsspec's own ways will do
        return cast(tuple[Any, str], url_to_fs(uri))
    filesystem = _filesystem(kind, {})
    return filesystem, str(filesystem._strip_protocol(absolute_uri(uri) if kind == "file" else uri))


# ---- names and errors

_CONTROL = re.compile(r"[\x00-\x1f\x7f\\]")


def _checked(key: str) -> str:
    parts = key.split("/")
    if any(part in ("", ".", "..") or part.startswith(TEMPORARY_PREFIX) for part in parts) or _CONTROL.search(key):
        raise ValueError(f"key {key!r}: use non-empty names joined by '/', relative to the output, without '.' or '..'")
    return key


_FOREIGN = {"aiobotocore", "aiohttp", "botocore", "fsspec", "gcsfs", "google", "requests", "s3fs", "urllib3"}


@contextlib.contextmanager
def _translated(place: str) -> Iterator[None]:
    """Turns errors of the operating system and of the libraries into ours; bugs (TypeError, ...) stay what they are."""
    try:
        yield
    except StorageError:
        raise
    except Exception as error:
        foreign = type(error).__module__.split(".")[0] in _FOREIGN or s3_code(error) is not None
        if foreign or isinstance(error, OSError | ImportError | ValueError):
            raise translate(error, place) from error
        raise


def translate(error: Exception, place: str) -> StorageError:
    """Returns the error of ours that says what `error`, met at the URI `place`, means."""
    text = without_secrets(str(error))
    if (code := s3_code(error)) is not None:
        return from_s3_code(code, place, text)
    if isinstance(error, botocore.exceptions.NoCredentialsError | botocore.exceptions.PartialCredentialsError):
        return StorageUnavailable(
            f"no credentials for '{place}'",
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or AWS_PROFILE) where this process starts",
        )
    if isinstance(error, botocore.exceptions.ProfileNotFound | botocore.exceptions.ConfigParseError):
        return StorageUnavailable(f"AWS configuration for '{place}': {text}", "mend AWS_PROFILE or ~/.aws/config")
    if isinstance(error, botocore.exceptions.NoRegionError):
        return StorageUnavailable(f"no region for '{place}'", "set AWS_DEFAULT_REGION")
    if isinstance(error, botocore.exceptions.ParamValidationError):
        return StorageUnavailable(f"not a name that S3 takes: '{place}'", "write s3://bucket/prefix")
    if isinstance(error, botocore.exceptions.HTTPClientError | botocore.exceptions.ConnectionError):
        return StorageUnavailable(
            f"cannot reach '{place}': {text}",
            "start the server, or set AWS_ENDPOINT_URL (unset for AWS itself) and check the network",
        )
    if isinstance(error, ImportError):
        return StorageUnavailable(f"cannot open '{place}': {text}", "install the package named in this message")
    if isinstance(error, OSError):
        return from_os_error(error, place)
    if "auth" in f"{type(error).__module__}.{type(error).__name__}".lower():
        return StorageUnavailable(f"credentials for '{place}' are missing or refused", "sign in to that cloud first")
    return StorageError(f"'{place}': {text or type(error).__name__}")
