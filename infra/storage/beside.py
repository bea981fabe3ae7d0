"""Reading what lies beside a manifest's source: lists of wildcards, tables."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path

from fsspec.core import split_protocol

from infra.storage.errors import ObjectMissing, SourceRefused, StorageError
from infra.storage.filesystems import absolute_uri, filesystem_of, translated
from infra.storage.inputs import SourceReader
from infra.storage.reading_policy import ReadingPolicy, check_scheme

__all__ = ["FilesBeside"]

_LISTED = 1000  # names of a folder that are looked at for one that may be meant


class FilesBeside:
    """The folder of a source, a path or an address; what is read in it is read within a policy."""

    def __init__(self, source: str, policy: ReadingPolicy | None = None) -> None:
        self._folder = absolute_uri(source).split("?", 1)[0].rpartition("/")[0]
        self._policy = policy or ReadingPolicy()

    def read(self, path: str, *, within: bool = False) -> bytes | None:
        """Return the bytes of a file, by its path from the source's folder or its address; None where there is none.
        `within`: it must lie in the path's first folder, whatever links say.

        Raises:
            StorageError: it can't be read, or may not.
        """
        policy, place = self._policy, self._place(path)
        if within:
            folder = path.partition("/")[0]
            policy = replace(policy, roots=(self._place(folder),))
            if check_scheme(place, path) == "file" and not Path(place).resolve().is_relative_to(
                Path(self._place(folder)).resolve()
            ):
                raise SourceRefused(f"'{path}' leads out of the folder '{folder}'", "put the file itself there")
        try:
            return SourceReader(policy).read(place)
        except ObjectMissing:
            return None

    def names(self, folder: str) -> list[str]:
        """Return some of the files in a folder, by their names; none where it can't be looked at."""
        place = self._place(folder)
        try:
            if check_scheme(place, place) == "web":
                return []
            with translated(place):
                files, path = filesystem_of(place)
                return [str(it).rpartition("/")[2] for it in islice(files.ls(path, detail=False), _LISTED)]
        except StorageError:
            return []

    def _place(self, path: str) -> str:
        if split_protocol(path)[0] is not None or Path(path).is_absolute() or path.startswith("~"):
            return absolute_uri(path)
        return f"{self._folder}/{path}"
