"""Which files a person means by a path to a manifest, on any fsspec file system (`Storage` hands it in)."""

from __future__ import annotations

import contextlib
import glob
import io
import os
import re
from collections.abc import Callable, Collection, Iterator
from typing import Any
from urllib.parse import unquote

from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem

from infra.storage.errors import SourceRefused
from infra.storage.object_stores import S3Store
from manifests.schema.texts import short

__all__ = ["TranslatedFile", "dataset_files", "local_partitions_of", "partitions_of"]

#: Files and folders of one path to a manifest that are looked at: more is somebody's disk.
MOST_LISTED = 100_000

_SUFFIXES = (".parquet", ".pq")
_NULL = "__HIVE_DEFAULT_PARTITION__"


def dataset_files(filesystem: Any, path: str, given: str) -> dict[str, str]:
    """Return {name as `given` puts it: path} of the file, the Parquet files in the folder, or the matches of the glob.

    A folder is searched recursively without what is hidden; the path itself and the matches of a glob may have any
    suffix. Sorted by path; empty if there is nothing. Raises what the file system raises, and SourceRefused for a path
    in which more lies than is looked at.
    """
    try:
        kind = filesystem.info(path)["type"]  # not isfile(): it takes "not permitted" for "not there"
    except FileNotFoundError:
        if not glob.has_magic(path):
            return {}
        matches = _Counted(filesystem, given).glob(path, detail=True)
        return {_as_given(file, given, path): file for file in sorted(matches) if matches[file]["type"] == "file"}
    if kind != "directory":  # a pipe or a device is named too: who opens it refuses it
        return {given: path}
    base = path.rstrip("/")
    found = _Counted(filesystem, given, hidden=False).find(path, detail=True)
    # A pipe or a device holds no rows, and would be refused with all files beside it; alone it is, by who opens it.
    found = {file: it for file, it in found.items() if _in_dataset(file[len(base) + 1 :])}
    regular = [file for file in found if found[file].get("type") != "other" or found[file].get("islink")]
    files = sorted(regular or found)
    return {f"{given.rstrip('/')}/{file[len(base) + 1 :]}": file for file in files}


class _Counted(AbstractFileSystem):  # type: ignore[misc]  # fsspec has no types
    """What another file system lists, folder by folder, up to MOST_LISTED files and folders: `/` would take minutes and
    gigabytes. Links to folders are files here, as in fsspec's own; so no loop is walked.

    Args:
        given: what a person called the place, for the message.
        hidden: whether folders are entered whose files are no part of a dataset.
    """

    cachable = False

    def __init__(self, files: Any, given: str, *, hidden: bool = True) -> None:
        super().__init__()
        self._files, self._given, self._hidden = files, given, hidden
        self._listed = self._parquet = 0

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        return path.rstrip("/") or "/"

    def info(self, path: str, **_: Any) -> Any:
        return self._files.info(path)

    def ls(self, path: str, detail: bool = True, **_: Any) -> list[Any]:
        return [self._count(info) for info in self._children(path)]

    def find(self, path: str, maxdepth: int | None = None, **options: Any) -> Any:
        if maxdepth is None and _is_s3(self._files):  # a thousand objects a request, not a folder
            return {info["name"]: self._count(info) for info in _pages(self._files, path)}
        return super().find(path, maxdepth, **options)

    def walk(self, path: str, maxdepth: int | None = None, **_: Any) -> Iterator[Any]:
        waiting = [(self._strip_protocol(path), 1)]
        while waiting:  # no recursion: a stranger's folders may be a thousand deep
            folder, depth = waiting.pop()
            try:
                found = {info["name"].rstrip("/").rpartition("/")[2]: info for info in self.ls(folder)}
            except OSError:
                if _is_s3(self._files):
                    raise
                continue  # as fsspec's own: one that is gone, or closed to us
            folders = {name: info for name, info in found.items() if info["type"] == "directory"}
            yield folder, folders, {name: info for name, info in found.items() if name not in folders}
            if maxdepth is None or depth < maxdepth:
                entered = (info for name, info in folders.items() if self._hidden or not _is_hidden(name))
                waiting += [(info["name"].rstrip("/"), depth + 1) for info in entered]

    def _children(self, folder: str) -> Iterator[Any]:
        if isinstance(self._files, LocalFileSystem):
            with os.scandir(folder) as entries:  # a file at a time, not the whole folder first
                for entry in entries:
                    with contextlib.suppress(FileNotFoundError):
                        yield self._files.info(entry)
        elif _is_s3(self._files):
            yield from _pages(self._files, folder, Delimiter="/")
        else:
            yield from self._files.ls(folder, detail=True)

    def _count(self, info: Any) -> Any:
        self._listed += 1
        self._parquet += info["name"].lower().endswith(_SUFFIXES)
        if self._listed > MOST_LISTED:
            are = "is a Parquet file" if self._parquet == 1 else "are Parquet files"
            raise SourceRefused(
                f"in '{self._given}' lie more than {MOST_LISTED:,} files and folders, "
                f"of which {self._parquet:,} {are}, and no more of them were looked at",
                "a manifest is a Parquet file, or a folder of them and little else: name that",
            )
        return info


def _is_s3(files: Any) -> bool:
    return hasattr(files, "call_s3")


def _pages(files: Any, folder: str, **options: str) -> Iterator[Any]:
    """What lies below a folder of a bucket, a page of a listing at a time."""
    bucket, _, prefix = folder.strip("/").partition("/")
    for page in S3Store(files, bucket).pages(f"{prefix}/" if prefix else "", **options):
        for item in page.get("CommonPrefixes", ()):
            yield {"name": f"{bucket}/{item['Prefix'].rstrip('/')}", "type": "directory", "size": 0}
        for item in page.get("Contents", ()):
            if not item["Key"].endswith("/"):  # folders that somebody drew in a web console
                yield {"name": f"{bucket}/{item['Key']}", "type": "file", "size": int(item["Size"])}


def partitions_of(name: str, given: str, known: Collection[str]) -> dict[str, str]:
    """The columns in the names of a file's folders: `night/model=sketch/seed=3/part-0.parquet` has two.

    `name` is what `dataset_files` calls the file. The same folders count whether a file, its folder or the whole
    dataset was `given`: all that lie right in each other above the rows, and all below a folder that was searched. What
    stands further up in the path as it was given counts only if it is one of the `known` columns: a person's folders
    may be called whatever they like. Values are unquoted as in addresses; the one that stands for null is left out.

    Raises:
        SourceRefused: two folders, one right in the other or in its like, give one column two values.
    """
    folders = [_column_of(folder) for folder in name.split("/")[:-1]]
    fixed = re.split(r"[*?\[]", given, maxsplit=1)[0]
    certain = len(given.rstrip("/").split("/")) if fixed == given else len(fixed.split("/")) - 1
    found: dict[str, str] = {}
    run: dict[str, str] = {}  # of folders that lie right in each other
    for depth, (column, value) in enumerate(folders):
        if not column:
            run = {}
            continue
        if run.setdefault(column, value) != value and (column in known or depth >= certain):
            raise SourceRefused(f"'{name}': two of its folders name the column '{short(column)}'", "keep one of them")
        further_up = depth < certain and not all(it for it, _ in folders[depth:])
        if further_up and column not in known:
            continue
        if value != _NULL:
            found[column] = value
        elif column not in known:
            found[column] = ""  # an unknown column is an error whatever it holds
        else:
            found.pop(column, None)
    return found


def local_partitions_of(path: str, given: str, known: Collection[str]) -> dict[str, str]:
    """`partitions_of` for absolute paths of this machine: links and the folder that one is in count as well."""
    found = partitions_of(path, given, known)
    fixed = re.split(r"[*?\[]", given, maxsplit=1)[0]
    base = given.rstrip("/") if fixed == given else fixed.rpartition("/")[0]
    real = os.path.realpath(base)
    if real == base:
        return found
    return partitions_of(real if base == path else f"{real}/file", real, known) | found


def _column_of(folder: str) -> tuple[str, str]:
    """The column and the value that a folder's name gives; of none both are empty."""
    column, equals, value = folder.partition("=")
    if not equals:
        column, equals, value = _unquoted(folder).partition("=")
        return (column, value) if equals and column else ("", "")
    return (_unquoted(column), _unquoted(value)) if column else ("", "")


def _unquoted(text: str) -> str:
    """What is no UTF-8 becomes halves of characters, as in the names of files: it costs the rows (checking.py)."""
    return unquote(text, errors="surrogateescape")


def _in_dataset(name: str) -> bool:
    return not any(map(_is_hidden, name.split("/"))) and name.lower().endswith(_SUFFIXES)


def _is_hidden(name: str) -> bool:
    # as Spark has it: `_SUCCESS` is hidden, `_run=1` is a column
    return name.startswith(".") or (name.startswith("_") and "=" not in name)


def _as_given(file: str, pattern: str, pattern_path: str) -> str:
    """Name a match of a glob in the way the pattern was written: relative if that was, with its protocol if any."""
    fixed, fixed_path = (re.split(r"[*?\[]", text, maxsplit=1)[0] for text in (pattern, pattern_path))
    return fixed + file.removeprefix(fixed_path)


class TranslatedFile(io.RawIOBase):
    """A file opened by fsspec, of which everything is asked through `do`: it translates errors, so that who reads
    Parquet from here need not know fsspec, and asks again for what broke off half-way."""

    def __init__(self, file: Any, do: Callable[[Callable[[], Any]], Any]) -> None:
        self._file = file
        self._do = do

    def readinto(self, buffer: Any) -> int:
        data = self._do(lambda: self._file.read(len(buffer)))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return int(self._do(lambda: self._file.seek(offset, whence)))

    def tell(self) -> int:
        return int(self._file.tell())

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def close(self) -> None:
        self._file.close()
        super().close()
