"""Reading what people point at: manifests, and the pictures that rows name; within what `reading_policy` allows."""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from fsspec.core import split_protocol
from tenacity import Retrying, retry_if_exception, stop_after_attempt, stop_before_delay

from infra.storage.dataset_files import TranslatedFile, dataset_files, local_partitions_of, partitions_of
from infra.storage.errors import AnswerLate, ObjectMissing, StorageBusy, s3_code
from infra.storage.filesystems import absolute_uri, filesystem_of, in_full, translated
from infra.storage.object_stores import MemoryStore
from infra.storage.reading_policy import FILM_MEGABYTES, ReadingPolicy, check_below, check_scheme
from infra.storage.retry_policy import RETRY_POLICY, RetryPolicy
from infra.storage.source_files import open_regular, resolved_roots
from infra.storage.web_time import Deadline, HungServers
from manifests.masking import without_secrets
from manifests.schema.describe import known_columns
from manifests.schema.files import NamedFile
from manifests.schema.texts import short

__all__ = ["SourceReader", "folder_of_manifest", "input_address", "manifest_files", "read_uri"]

_FIRST, _NEXT = 1 << 20, 1 << 23  # bytes asked for at a time: most pictures come with the first request


class SourceReader:
    """Reads sources within a policy, from any thread. It knows which servers hung, so that only the first rows that
    name one wait for it."""

    def __init__(self, policy: ReadingPolicy | None = None, retry_policy: RetryPolicy = RETRY_POLICY) -> None:
        self.policy = policy or ReadingPolicy()
        self._retry_policy = retry_policy
        self._hung = HungServers()

    def read(self, uri: str) -> bytes:
        """Return the bytes of a source; see `pour`."""
        found = bytearray()
        self.pour(uri, found.extend, found.clear)
        return bytes(found)

    def for_films(self) -> SourceReader:
        """Return one that reads as much of a source as a film may have, and as long as that takes."""
        policy = self.policy
        ratio = max(1.0, policy.film_bytes / policy.most_bytes)
        larger = replace(
            policy,
            most_bytes=max(policy.film_bytes, policy.most_bytes),
            seconds=policy.seconds * min(ratio, 20.0),
            setting=FILM_MEGABYTES,
        )
        found = SourceReader(larger, self._retry_policy)
        found._hung = self._hung
        return found

    def pour(self, uri: str, sink: Callable[[bytes], object], again: Callable[[], object]) -> None:
        """Give the bytes of a source to `sink`, piece by piece; `again` is called where it begins once more.

        Raises:
            SourceRefused: the policy does not allow it, or it is larger than is allowed.
            ObjectMissing: there is nothing.
            StorageBusy: its server does not answer, or not in time (AnswerLate).
            StorageError
        """
        place = short(without_secrets(uri), 300)
        kind = check_scheme(uri, place)
        if kind == "web":
            self._pour_web(uri, sink, again)
            return
        pieces = self._file(uri, place) if kind == "file" else self._object(kind, uri, place)
        count = 0
        for piece in pieces:
            count += len(piece)
            self.policy.check_size(count, place)
            sink(piece)

    def _file(self, uri: str, place: str) -> Iterator[bytes]:
        with translated(place), open_regular(absolute_uri(uri), self.policy, place) as file:
            self.policy.check_size(os.fstat(file.fileno()).st_size, place)
            while piece := file.read(_FIRST):
                yield piece

    def _object(self, kind: str, uri: str, place: str) -> Iterator[bytes]:
        if self.policy.roots is not None:
            check_below(uri, resolved_roots(self.policy.roots), place)
        with translated(place):
            found, path = filesystem_of(uri)
        start, size = 0, _FIRST
        while True:
            with MemoryStore.lock if kind == "memory" else contextlib.nullcontext():
                piece = in_full(place, partial(_range, found, path, start, start + size))
            yield piece
            start += len(piece)
            if len(piece) < size:
                return
            size = _NEXT

    def _pour_web(self, uri: str, sink: Callable[[bytes], object], again: Callable[[], object]) -> None:
        from infra.storage.web_sources import get  # httpx: of use to few commands

        # a web server's picture has no retries below
        trials = Retrying(
            retry=retry_if_exception(
                lambda error: isinstance(error, StorageBusy) and not isinstance(error, AnswerLate)
            ),
            stop=stop_after_attempt(self._retry_policy.attempts) | stop_before_delay(self.policy.seconds),
            wait=self._retry_policy.backoff,
            reraise=True,
        )
        with Deadline(self.policy.seconds) as deadline:

            def once() -> None:
                again()
                for piece in get(uri, self.policy, deadline, self._hung):
                    sink(piece)

            trials(once)


def read_uri(uri: str, policy: ReadingPolicy | None = None) -> bytes:
    """Return the bytes behind a path or an address; see `SourceReader.pour`."""
    return SourceReader(policy).read(uri)


def folder_of_manifest(uri: str) -> str:
    """Return the folder in which a manifest lies, or which it is: what its rows may name lies below."""
    fixed = re.split(r"[*?\[]", uri, maxsplit=1)[0]
    if check_scheme(uri, without_secrets(uri)) == "file":
        path = Path(absolute_uri(uri))
        with translated(str(path)):
            if fixed != uri and not path.exists():
                return absolute_uri(fixed.rpartition("/")[0] or ("/" if fixed.startswith("/") else "."))
            return str(path if path.is_dir() else path.parent)
    is_folder = fixed == uri and not uri.endswith((".parquet", ".pq"))
    return uri.rstrip("/") if is_folder else fixed.rpartition("/")[0]


def input_address(address: str, folder: str | None, policy: ReadingPolicy | None = None) -> str:
    """Return the address of a source that a row names, an absolute one.

    A relative path begins at the manifest's `folder`: where a server's own folder is, which has begun a run, is no
    concern of the row's author. A person who names the manifest on a command line may also mean the folder that they
    are in, which comes first then.
    """
    if (
        folder is None
        or split_protocol(address)[0] is not None
        or Path(address).is_absolute()
        or address.startswith("~")
    ):
        return absolute_uri(address)
    here, beside = absolute_uri(address), f"{folder.rstrip('/')}/{address}"
    if (policy is None or policy.roots is None) and os.path.exists(here):  # noqa: PTH110
        return here
    return absolute_uri(beside)


def _range(found: Any, path: str, start: int, stop: int) -> bytes:
    """Bytes `[start, stop)` of an object, fewer where it ends."""
    try:
        return bytes(found.cat_file(path, start=start, end=stop))
    except Exception as error:
        if s3_code(error) in ("InvalidRange", "416"):  # it ends there, or is empty
            return b""
        raise


def manifest_files(uri: str, policy: ReadingPolicy | None = None) -> list[NamedFile]:
    """Return the Parquet files that `uri` names: a file, a folder (recursively, hidden ones left out) or a glob.

    Their names are those that `uri` gave them: 'night' makes 'night/part-0.parquet'.

    Raises:
        ObjectMissing: there is none.
        SourceRefused: addresses of that kind are not read, or it is no regular file, or its folders give a column
            two values.
    """
    shown = without_secrets(uri)
    if (kind := check_scheme(uri, shown)) == "web":
        return [NamedFile(shown, partial(_fetched, uri, policy), partitions_of(shown, shown, known_columns()))]
    with translated(shown):
        files, path = filesystem_of(uri)
        found = dataset_files(files, path, shown)
        if not found:
            what = "no .parquet file in the folder" if files.exists(path) else "no manifest at"
            raise ObjectMissing(f"{what} '{shown}'", "check the path, or build one with `nightreel manifest build`")
    is_local, known = kind == "file", known_columns()
    return [
        NamedFile(
            name,
            partial(_open, uri, file, name),
            local_partitions_of(file, path, known) if is_local else partitions_of(name, shown, known),
        )
        for name, file in found.items()
    ]


def _fetched(uri: str, policy: ReadingPolicy | None) -> BinaryIO:
    """A manifest on the web: whole, as its server may know no ranges."""
    return io.BytesIO(read_uri(uri, policy))


def _open(uri: str, path: str, name: str) -> BinaryIO:
    with translated(name):
        if check_scheme(uri, name) == "file":
            file: Any = open_regular(path, ReadingPolicy(), name)
        else:
            file = filesystem_of(uri)[0].open(path, "rb")
    return io.BufferedReader(TranslatedFile(file, partial(in_full, name)), 1 << 20)
