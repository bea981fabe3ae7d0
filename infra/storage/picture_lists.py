"""The pictures of a folder, or of a pattern, that a row names as a film."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from infra.storage.errors import SourceRefused
from infra.storage.filesystems import absolute_uri, filesystem_of, translated
from infra.storage.reading_policy import ReadingPolicy, check_below, check_scheme
from infra.storage.source_files import resolved_roots
from manifests.masking import without_secrets
from manifests.schema.texts import short

__all__ = ["in_order", "is_list", "listed_pictures"]

_MAGIC = re.compile(r"[*?\[]")


def is_list(uri: str) -> bool:
    """Whether an address is a pattern, or that of a folder: of a local one that is there, or without an ending."""
    if check_scheme(uri, short(without_secrets(uri), 300)) == "web":
        return False
    if _MAGIC.search(uri):
        return True
    if check_scheme(uri, uri) == "file":
        return os.path.isdir(absolute_uri(uri))  # noqa: PTH112 - of the very text, which may be no path
    return uri.endswith("/") or "." not in uri.rsplit("/", 1)[-1]


def listed_pictures(uri: str, suffixes: Iterable[str], policy: ReadingPolicy, *, most: int) -> list[str]:
    """Return the addresses of the files with one of `suffixes` in a folder (not below it), or that a pattern matches,
    in the order of the numbers in their names.

    Raises:
        SourceRefused: it lies where nothing may be read, or holds none, or more than `most`.
        StorageError
    """
    place, endings = short(without_secrets(uri), 300), tuple(suffixes)
    kind = check_scheme(uri, place)
    fixed = _MAGIC.split(uri, maxsplit=1)[0]
    folder = uri if fixed == uri else fixed.rpartition("/")[0]
    if policy.roots is not None:
        real = os.path.realpath(absolute_uri(folder)) if kind == "file" else folder
        check_below(real, resolved_roots(policy.roots), place)
    found: list[str] = []
    with translated(place):
        if kind == "file" and fixed == uri:
            with os.scandir(absolute_uri(uri)) as entries:
                for entry in entries:
                    if entry.name.lower().endswith(endings):
                        found.append(entry.path)
                    if len(found) > most:
                        break
        else:
            files, path = filesystem_of(uri)
            names = files.ls(path, detail=False) if fixed == uri else files.glob(path)
            scheme = "" if kind == "file" else uri.partition("://")[0] + "://"
            found = [scheme + str(name) for name in names if str(name).lower().endswith(endings)]
    if len(found) > most:
        raise SourceRefused(f"'{place}' holds more than {most:,} pictures", "name fewer by a pattern")
    if not found:
        raise SourceRefused(f"'{place}' holds no picture ({', '.join(sorted(endings))})", "check the path")
    return in_order(found)


def in_order(names: Iterable[str]) -> list[str]:
    """Sort names by the numbers in them: frame9.png comes before frame10.png, and before frame010.png."""

    def key(name: str) -> tuple[list[tuple[int, int, str]], str]:
        parts = re.split(r"(\d+)", Path(name).name)
        return [(1, int(part), "") if part.isdecimal() else (0, 0, part) for part in parts], name

    return sorted(names, key=key)
