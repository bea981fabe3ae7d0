"""Which files a person means by a path to a manifest, on any fsspec file system (`Storage` hands it in)."""

from __future__ import annotations

import glob
import io
import os
import re
from collections.abc import Callable, Collection
from typing import Any
from urllib.parse import unquote

from infra.storage.errors import SourceRefused
from manifests.schema.texts import short

__all__ = ["TranslatedFile", "dataset_files", "local_partitions_of", "partitions_of"]

_SUFFIXES = (".parquet", ".pq")
_NULL = "__HIVE_DEFAULT_PARTITION__"


def dataset_files(filesystem: Any, path: str, given: str) -> dict[str, str]:
    """Return {name as `given` puts it: path} of the file, the Parquet files in the folder, or the matches of the glob.

    A folder is searched recursively without what is hidden; the path itself and the matches of a glob may have any
    suffix. Sorted by path; empty if there is nothing. Raises what the file system raises.
    """
    try:
        kind = filesystem.info(path)["type"]  # not isfile(): it takes "not permitted" for "not there"
    except FileNotFoundError:
        if not glob.has_magic(path):
            return {}
        matches = filesystem.glob(path, detail=True)
        return {_as_given(file, given, path): file for file in sorted(matches) if matches[file]["type"] == "file"}
    if kind != "directory":  # a pipe or a device is named too: who opens it refuses it
        return {given: path}
    base = path.rstrip("/")
    found = filesystem.find(path, detail=True)
    # A pipe or a device holds no rows, and would be refused with all files beside it; alone it is, by who opens it.
    found = {file: it for file, it in found.items() if _in_dataset(file[len(base) + 1 :])}
    regular = [file for file in found if found[file].get("type") != "other" or found[file].get("islink")]
    files = sorted(regular or found)
    return {f"{given.rstrip('/')}/{file[len(base) + 1 :]}": file for file in files}


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
        column, equals, value = unquote(folder).partition("=")
        return (column, value) if equals and column else ("", "")
    return (unquote(column), unquote(value)) if column else ("", "")


def _in_dataset(name: str) -> bool:
    # as Spark has it: `_SUCCESS` is hidden, `_run=1` is a column
    hidden = any(part.startswith(".") or (part.startswith("_") and "=" not in part) for part in name.split("/"))
    return not hidden and name.lower().endswith(_SUFFIXES)


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
