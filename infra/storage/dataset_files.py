"""Which files a person means by a path to a manifest, on any fsspec file system (`Storage` hands it in)."""

from __future__ import annotations

import glob
import io
import os
import re
from collections.abc import Callable
from typing import Any

__all__ = ["TranslatedFile", "dataset_files"]

_SUFFIXES = (".parquet", ".pq")


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
    if kind == "file":
        return {given: path}
    base = path.rstrip("/")
    inside = {file[len(base) + 1 :]: file for file in sorted(filesystem.find(path))}
    return {f"{given.rstrip('/')}/{name}": file for name, file in inside.items() if _in_dataset(name)}


def _in_dataset(name: str) -> bool:
    hidden = any(part.startswith((".", "_")) for part in name.split("/"))  # as Spark and Arrow have it
    return not hidden and name.endswith(_SUFFIXES)


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
