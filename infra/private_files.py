"""Files and folders that only their owner may use, whatever the umask is: keys, tokens, and what is told with them."""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import suppress
from pathlib import Path

__all__ = ["OTHERS", "private_folder", "read_own", "stored_key", "write_private"]

#: The bits of a mode by which anybody but the owner may do something.
OTHERS = 0o077
_WRITTEN_BY_OTHERS = 0o022
_MOST_BYTES = 1 << 20
KEY_CHARACTERS = 32


def private_folder(path: Path) -> Path:
    """Make a folder that nobody else may enter, and its parents if need be; one of ours that is too open is closed."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if path.stat().st_mode & OTHERS and path.stat().st_uid == os.getuid():
        path.chmod(0o700)
    return path


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, in the place of one that is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    # its mode from the first byte on; and nobody finds half of it, nor none
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    part.replace(path)


def read_own(path: Path) -> str | None:
    """Return the text of a file that nobody but this account can have written; None if there is none such.

    What such a file says is obeyed: by another account's, in a folder that is open to it, that account would act as
    this one.
    """
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            there = os.fstat(handle)
            is_own = there.st_uid == os.geteuid() and not there.st_mode & _WRITTEN_BY_OTHERS
            if not (stat.S_ISREG(there.st_mode) and is_own):
                return None
            return file.read(_MOST_BYTES).decode("utf-8")
    except (OSError, ValueError):
        return None


def stored_key(path: Path) -> str:
    """Return the key in a file that only its owner may read; made if it is not there, so that links stay good.

    One that others could read or have made, or that is too short to be a key, is replaced by a new one.
    """
    key = (read_own(path) or "").strip()
    with suppress(OSError):
        if key.isascii() and len(key) >= KEY_CHARACTERS and path.stat().st_mode & OTHERS == 0:
            return key
    key = secrets.token_urlsafe(32)
    write_private(path, key)
    return key
