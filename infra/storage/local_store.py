"""Objects on a local (or NFS) file system, committed atomically with nothing but the standard library.

A commit writes a temporary file in the object's own folder, makes it durable (fsync), and then gives it the object's
name in one step: `os.link` where the first writer must win (it fails if the name exists, on NFS too), `os.replace`
where the last one may. A reader thus sees the whole object or none, whenever the writer dies. A writer killed in
between leaves a temporary file behind, which no listing shows.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from infra.storage.layout import DEEPEST, is_folder, is_ours
from infra.storage.object_stores import ObjectInfo

__all__ = ["TEMPORARY_PREFIX", "LocalStore"]

TEMPORARY_PREFIX = ".nightreel-put-"


class LocalStore:
    """The objects in one folder. Implements `infra.storage.object_stores.ObjectStore`; raises OSError."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def read(self, key: str) -> bytes:
        with _opened(self.root / key) as file:
            return file.read() or b""

    def part(self, key: str, start: int, end: int) -> bytes:
        with _opened(self.root / key) as file:
            if start:
                file.seek(start)
            return file.read(end - start) or b""

    def size(self, key: str) -> int | None:
        path = self.root / key
        return path.stat().st_size if path.is_file() else None

    def write(self, key: str, data: bytes, *, exclusive: bool) -> bool:
        return self._commit(self.root / key, lambda file: file.write(data), exclusive)

    def write_file(self, key: str, local: Path, *, exclusive: bool) -> bool:
        with local.open("rb") as source:
            return self._commit(self.root / key, lambda file: shutil.copyfileobj(source, file, 1 << 20), exclusive)

    def delete(self, key: str) -> None:
        (self.root / key).unlink()

    def is_link(self, key: str) -> bool:
        return (self.root / key).is_symlink()

    def delete_own(self, key: str) -> None:
        """As `delete`, of what lies in the root itself: neither a link nor behind one, even one that was made since
        somebody looked (ELOOP)."""
        *folders, name = key.split("/")
        handle = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)
        try:
            for folder in folders:
                above, handle = handle, _folder_in(handle, folder)
                os.close(above)
            if stat.S_ISLNK(os.stat(name, dir_fd=handle, follow_symlinks=False).st_mode):
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), key)
            os.unlink(name, dir_fd=handle)
        finally:
            os.close(handle)

    def list(self, folder: str, *, ours: bool = False) -> Iterator[ObjectInfo]:
        place = self.root
        linked = any((place := place / name).is_symlink() for name in folder.split("/"))
        return _listing(self.root / folder, f"{folder}/" if folder else "", linked=linked, ours=ours)

    def folders(self) -> Iterable[str]:
        with contextlib.suppress(FileNotFoundError), os.scandir(self.root) as entries:
            return [entry.name for entry in entries if _is_folder(entry)]
        return ()

    def check(self, *, write: bool) -> None:
        if write:
            _make_folder(self.root)
            first, second = (self.root / (TEMPORARY_PREFIX + secrets.token_hex(8)) for _ in range(2))
            try:
                _create(first).close()
                _link(first, second)
            finally:
                first.unlink(missing_ok=True)
                second.unlink(missing_ok=True)
        # A root that nobody made yet is an empty one, if it can be made: something above it has to be a folder.
        nearest = next(path for path in (self.root, *self.root.parents) if path.exists())
        with os.scandir(nearest) as entries:
            next(entries, None)
        if not os.access(nearest, os.X_OK, effective_ids=os.access in os.supports_effective_ids):
            raise PermissionError(errno.EACCES, "not to be entered", str(nearest))

    def _commit(self, path: Path, write: Callable[[IO[bytes]], object], exclusive: bool) -> bool:
        if exclusive and os.path.lexists(path):
            return False  # spares the bytes; the link below decides races
        _check_replaceable(path)
        temporary = path.with_name(TEMPORARY_PREFIX + secrets.token_hex(8))
        try:
            handle = _create(temporary)
        except FileNotFoundError:
            _make_folder(path.parent)
            handle = _create(temporary)
        try:
            with handle:
                write(handle)
                handle.flush()
                os.fsync(handle.fileno())
            if not exclusive:
                temporary.replace(path)
            else:
                try:
                    _link(temporary, path)
                except FileExistsError:
                    return False
        finally:
            temporary.unlink(missing_ok=True)
        _make_durable(path.parent)
        return True


def _make_folder(folder: Path) -> None:
    """Make `folder` and what is missing above it, which `Path.mkdir` does by recursion."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except RecursionError:
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG), str(folder)) from None


def _opened(path: Path) -> IO[bytes]:
    # a pipe that somebody put there is not waited for; nor is it, or a device, an object
    return open(path, "rb", opener=_regular)


def _regular(name: str, flags: int) -> int:
    handle = os.open(name, flags | os.O_NONBLOCK)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError(errno.ENXIO, "no regular file", name)
    return handle


def _folder_in(handle: int, name: str) -> int:
    try:
        return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=handle)
    except NotADirectoryError as error:  # what Linux says of a link there
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), name) from error


def _check_replaceable(path: Path) -> None:
    """A name is taken by what is put: /dev/null would be a file from then on, for all on the machine."""
    with contextlib.suppress(FileNotFoundError):
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise OSError(errno.ENXIO, "no regular file", str(path))


def _create(path: Path) -> IO[bytes]:
    # not tempfile: its files are private (0600) for good, and a web server may have to read them
    return os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o666), "wb")


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except PermissionError as error:  # FAT's way to say that it has no hard links: both names are ours, in one folder
        raise OSError(errno.EOPNOTSUPP, "no hard links", str(target)) from error


def _make_durable(folder: Path) -> None:
    """Ask for the new name itself to survive a power cut. Some file systems cannot; the object is whole anyway."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _listing(
    folder: Path, inside: str, above: frozenset[tuple[int, int]] = frozenset(), *, linked: bool = False,
    ours: bool = False,
) -> Iterator[ObjectInfo]:  # fmt: skip
    """List `folder`, whose keys begin with `inside`; whether it is `linked`: lies behind a link. `ours`: only where
    an output has folders, and objects.

    A link may lead to all there is on the machine: links are followed, and folders behind them entered, only where an
    output has a folder. Nor is anything listed that lies deeper than `DEEPEST`.
    """
    try:
        status = folder.stat()
        here = (status.st_dev, status.st_ino)
        if here in above:  # a link to a folder that it lies in: each such would double what is listed, forty times
            return
        with os.scandir(folder) as entries:
            # An object store sorts whole keys: 'a.png' < 'a/b' since '.' < '/', hence the slash behind folders.
            wanted = [it for it in entries if not ours or is_ours(inside + it.name) or is_folder(inside + it.name)]
            named = {entry.name + "/" if _is_folder(entry) else entry.name: entry for entry in wanted}
    except (FileNotFoundError, NotADirectoryError):  # not there, or an object of that very name
        return
    for name, entry in sorted(named.items()):
        if name.endswith("/"):
            behind = linked or entry.is_symlink()
            if inside.count("/") < DEEPEST and (not (behind or ours) or is_folder(inside + entry.name)):
                yield from _listing(Path(entry.path), inside + name, above | {here}, linked=behind, ours=ours)
        elif not name.startswith(TEMPORARY_PREFIX):
            try:
                status = entry.stat()
            except OSError as error:  # deleted since, or a link to nothing, or to itself
                if error.errno not in (errno.ENOENT, errno.ELOOP):
                    raise
                continue
            yield ObjectInfo(inside + name, status.st_size, datetime.fromtimestamp(status.st_mtime, UTC))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        return False
