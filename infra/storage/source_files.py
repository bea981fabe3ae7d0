"""Opening local files that somebody else names: regular ones only, and none outside of what may be read."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

from infra.storage.errors import SourceRefused
from infra.storage.reading_policy import ReadingPolicy, check_below

__all__ = ["open_regular", "resolved_roots"]

# Opening a pipe would wait for its writer, opening a terminal might make it this process's own.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_CLOEXEC", 0)
_KINDS = {
    stat.S_IFIFO: "a pipe", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device", stat.S_IFSOCK: "a socket",
}  # fmt: skip


def open_regular(path: str, policy: ReadingPolicy, place: str) -> BinaryIO:
    """Open the regular file at `path`, wherever links lead, if `policy` allows that place.

    Raises:
        SourceRefused: it is a pipe, a device or a socket, or lies outside of the policy's roots.
        OSError: there is none, it is a folder, or it may not be read.
    """
    real = os.path.realpath(path, strict=True)
    if policy.roots is not None:
        check_below(real, resolved_roots(policy.roots), place)
    _check_regular(os.stat(real), place)  # noqa: PTH116 - of the very text; opening some devices does something already
    file = os.fdopen(os.open(real, _FLAGS), "rb")
    try:
        _check_regular(os.fstat(file.fileno()), place)
        if policy.roots is not None and (opened := _name_of(file)) is not None:
            check_below(opened, resolved_roots(policy.roots), place)  # a link may have been put there meanwhile
        return file
    except BaseException:
        file.close()
        raise


def resolved_roots(roots: tuple[str, ...]) -> tuple[str, ...]:
    """Return `roots` without links, where they are folders of this machine."""
    return tuple(root if "://" in root else os.path.realpath(root) for root in roots)


def _check_regular(found: os.stat_result, place: str) -> None:
    kind = stat.S_IFMT(found.st_mode)
    if kind == stat.S_IFDIR:
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), place)
    if kind != stat.S_IFREG:
        raise SourceRefused(f"'{place}' is {_KINDS.get(kind, 'no regular file')}", "name a regular file")


def _name_of(file: BinaryIO) -> str | None:
    """Where an open file lies, if the system can say it."""
    try:
        return str(Path(f"/proc/self/fd/{file.fileno()}").readlink())
    except OSError:
        return None
