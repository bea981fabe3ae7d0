"""What each kind of object store is asked to do, so that `Storage` can promise the same of all of them.

The stores raise whatever their libraries raise; `Storage` hands them their fsspec file system, and translates.
"""

from __future__ import annotations

import contextlib
import itertools
import mimetypes
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Protocol, cast

from infra.storage.errors import s3_code
from infra.storage.layout import is_ours, ours_in
from infra.storage.retry_policy import RETRY_POLICY, RetryPolicy

__all__ = ["FsspecStore", "MemoryStore", "ObjectInfo", "ObjectStore", "S3Store", "moment"]


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What a listing knows of one object: its key relative to the root, bytes, and time of change (UTC)."""

    key: str
    size: int
    modified: datetime


class ObjectStore(Protocol):
    """Whole objects under relative keys, written atomically."""

    def read(self, key: str) -> bytes:
        """Return a whole object."""
        ...

    def part(self, key: str, start: int, end: int) -> bytes:
        """Return the bytes `[start, end)` of an object."""
        ...

    def size(self, key: str) -> int | None:
        """Return the bytes of an object; None (or FileNotFoundError) if there is none."""
        ...

    def write(self, key: str, data: bytes, *, exclusive: bool) -> bool:
        """Write an object; if `exclusive` and the key is taken, leaves it and returns False."""
        ...

    def write_file(self, key: str, local: Path, *, exclusive: bool) -> bool:
        """As `write`, with the content of a local file."""
        ...

    def delete(self, key: str) -> None:
        """Remove an object."""
        ...

    def list(self, folder: str, *, ours: bool = False) -> Iterator[ObjectInfo]:
        """Yield what lies under `folder` ("" for the root), recursively, sorted by key, fresh from the store. `ours`:
        what is no object of an output, as its key shows, may be left out."""
        ...

    def folders(self) -> Iterable[str]:
        """Name of the folders in the root, fresh from the store."""
        ...

    def check(self, *, write: bool) -> None:
        """Raise what listing the root, and writing to it if `write`, would raise."""
        ...


class FsspecStore:
    """Any store that fsspec writes to atomically, by the interface as documented; Google's, through gcsfs, as it is."""

    content_type_option = "content_type"

    def __init__(self, filesystem: Any, root: str, retry_policy: RetryPolicy = RETRY_POLICY) -> None:
        self.fs = filesystem
        self.root = root  # bucket/prefix, without slashes around
        self.retry_policy = retry_policy

    def read(self, key: str) -> bytes:
        return cast(bytes, self.fs.cat_file(self._path(key)))

    def part(self, key: str, start: int, end: int) -> bytes:
        return cast(bytes, self.fs.cat_file(self._path(key), start=start, end=end))

    def size(self, key: str) -> int | None:
        info = self.fs.info(self._path(key))
        return int(info["size"]) if info["type"] == "file" else None

    def write(self, key: str, data: bytes, *, exclusive: bool) -> bool:
        # Never fs.open(path, "wb"): an exception inside it would publish what was written so far.
        def send(**options: Any) -> None:
            self.fs.pipe_file(self._path(key), data, **options)

        return self._send(send, key, len(data), exclusive)

    def write_file(self, key: str, local: Path, *, exclusive: bool) -> bool:
        def send(**options: Any) -> None:
            self.fs.put_file(str(local), self._path(key), **options)

        return self._send(send, key, local.stat().st_size, exclusive)

    def delete(self, key: str) -> None:
        self.fs.rm_file(self._path(key))

    def list(self, folder: str, *, ours: bool = False) -> Iterator[ObjectInfo]:
        start = self._path(folder)
        for path, info in sorted(self.fs.find(start, detail=True).items()):
            if path.startswith(f"{start}/"):  # find() also answers with an object of that very name
                changed = info.get("mtime") or info.get("updated") or info.get("created")
                yield ObjectInfo(path[len(self._path("")) + 1 :], int(info["size"]), moment(changed))

    def folders(self) -> Iterable[str]:
        with contextlib.suppress(FileNotFoundError):
            found = self.fs.ls(self._path(""), detail=True)
            return [info["name"].rstrip("/").rpartition("/")[2] for info in found if info["type"] == "directory"]
        return ()

    def check(self, *, write: bool) -> None:
        self.fs.ls(self._path("").split("/")[0], timeout=self.retry_policy.check_seconds)

    def _path(self, key: str) -> str:
        return f"{self.root}/{key}".strip("/")

    def _send(self, send: Callable[..., None], key: str, size: int, exclusive: bool) -> bool:
        options: dict[str, Any] = {
            "mode": "create" if exclusive else "overwrite", "timeout": self.retry_policy.for_write(size)
        }  # fmt: skip
        if content_type := mimetypes.guess_type(key)[0]:  # so that a browser shows what it gets by the object's link
            options[self.content_type_option] = content_type
        for attempt in itertools.count(1):
            try:
                send(**options)
            except Exception as error:
                code = s3_code(error)
                # s3fs answers a lost race with OSError(22), and with FileExistsError if the server says of what
                if exclusive and (isinstance(error, FileExistsError) or code in ("PreconditionFailed", "412")):
                    return False
                # S3's answer to writers in the very same moment: nobody has won yet, try again
                if not (exclusive and code == "ConditionalRequestConflict" and attempt < 3):
                    raise
            else:
                return True
        raise AssertionError("unreachable")


class S3Store(FsspecStore):
    """S3 and what speaks like it. Lists by itself: s3fs.find() collects all pages first, hides a missing bucket, and
    its cache goes stale as soon as another writer writes."""

    content_type_option = "ContentType"

    def __init__(self, filesystem: Any, root: str, retry_policy: RetryPolicy = RETRY_POLICY) -> None:
        super().__init__(filesystem, root, retry_policy)
        self.bucket, _, prefix = root.partition("/")
        self.prefix = f"{prefix}/" if prefix else ""

    def read(self, key: str) -> bytes:
        # max_concurrency=1 is one GET; more would ask for the size first, in a request of its own
        return cast(bytes, self.fs.cat_file(self._path(key), max_concurrency=1))

    def size(self, key: str) -> int | None:
        return int(self.fs.call_s3("head_object", Bucket=self.bucket, Key=self.prefix + key)["ContentLength"])

    def delete(self, key: str) -> None:
        self.fs.call_s3("delete_object", Bucket=self.bucket, Key=self.prefix + key)

    def list(self, folder: str, *, ours: bool = False) -> Iterator[ObjectInfo]:
        # Servers differ in the order: AWS sorts keys, SeaweedFS folders ('a/1' before 'a.png').
        start = f"{folder}/" if folder else ""
        found = self._ours(start) if ours and folder and "/" not in folder else self._objects(start)
        return iter(sorted(found, key=lambda info: info.key))

    def folders(self) -> Iterable[str]:
        for page in self.pages(self.prefix, Delimiter="/"):
            for item in page.get("CommonPrefixes", ()):
                yield item["Prefix"][len(self.prefix) : -1]

    def _objects(self, start: str) -> Iterator[ObjectInfo]:
        for page in self.pages(self.prefix + start):
            yield from self._objects_of(page)

    def _objects_of(self, page: dict[str, Any]) -> Iterator[ObjectInfo]:
        for item in page.get("Contents", ()):
            if not item["Key"].endswith("/"):  # folders that somebody drew in a web console
                yield ObjectInfo(item["Key"][len(self.prefix) :], int(item["Size"]), moment(item["LastModified"]))

    def _ours(self, start: str) -> Iterator[ObjectInfo]:
        """Objects of ours in a folder of the root. Where a whole page holds none, it is somebody else's, who may have
        millions in it: then only what begins as our keys do is asked for."""
        found: list[ObjectInfo] = []
        for page in self.pages(self.prefix + start):
            here = [info for info in self._objects_of(page) if is_ours(info.key)]
            found += here
            if not here and page.get("IsTruncated"):
                return itertools.chain.from_iterable(map(self._objects, ours_in(start[:-1])))
        return iter(found)

    def pages(self, start: str, **options: str) -> Iterator[dict[str, Any]]:
        """Yield the answers of S3 on what lies below `start`, a key's beginning, one page after another."""
        following: dict[str, str] = {}
        while True:
            page = self.fs.call_s3("list_objects_v2", Bucket=self.bucket, Prefix=start, **options, **following)
            yield page
            if not page.get("IsTruncated"):
                return
            following = {"ContinuationToken": page["NextContinuationToken"]}

    def check(self, *, write: bool) -> None:
        call = partial(self.fs.call_s3, timeout=self.retry_policy.check_seconds)
        call("list_objects_v2", Bucket=self.bucket, Prefix=self.prefix, MaxKeys=1)
        if write:  # an upload in parts that is never completed needs the right to write, and makes no object
            probe = {"Bucket": self.bucket, "Key": f"{self.prefix}.nightreel-check"}
            upload = call("create_multipart_upload", **probe)["UploadId"]
            with contextlib.suppress(OSError):  # may be forbidden on its own
                call("abort_multipart_upload", **probe, UploadId=upload)


class MemoryStore(FsspecStore):
    """fsspec's memory:// for tests. Its reads share one file position and its exclusive create looks before it leaps:
    one lock for all of this process makes both safe."""

    lock = threading.RLock()

    def read(self, key: str) -> bytes:
        with self.lock:
            return super().read(key)

    def part(self, key: str, start: int, end: int) -> bytes:
        with self.lock:
            return super().part(key, start, end)

    def write(self, key: str, data: bytes, *, exclusive: bool) -> bool:
        with self.lock:
            try:
                self.fs.pipe_file(self._path(key), data, mode="create" if exclusive else "overwrite")
            except FileExistsError:
                if self.size(key) is None:  # it is a parent that exists, as an object
                    raise
                return False
            return True

    def write_file(self, key: str, local: Path, *, exclusive: bool) -> bool:
        return self.write(key, local.read_bytes(), exclusive=exclusive)

    def check(self, *, write: bool) -> None:
        """Memory is always there."""

    def _path(self, key: str) -> str:
        return f"/{self.root}/{key}".replace("//", "/").rstrip("/")


def moment(value: Any) -> datetime:
    """Return the time, in UTC, that a store names by ISO 8601, in seconds since 1970, or as a datetime.

    Raises:
        ValueError: it is text in another form.
    """
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if isinstance(value, int | float):
        value = datetime.fromtimestamp(value, UTC)
    return cast(datetime, value).astimezone(UTC)
