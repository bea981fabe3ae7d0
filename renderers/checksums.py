"""Checksums of files: one function, so that every damaged file is found in the same way."""

from __future__ import annotations

import hashlib
from pathlib import Path

from renderers.errors import ModelFilesBroken

__all__ = ["file_sha256", "verify_file"]


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal.

    Raises:
        ModelFilesBroken: it can't be read, or is none that ends, such as a pipe or a device.
    """
    if path.exists() and not path.is_file():
        raise ModelFilesBroken(f"'{path}' can't be read: it is no regular file")
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelFilesBroken(f"'{path}' can't be read: {error.strerror or error}") from error


def verify_file(path: Path, expected: str) -> None:
    """Raise ModelFilesBroken unless the file at `path` has the SHA-256 `expected`, by which the registry knows it."""
    found = file_sha256(path)
    if found != expected:
        raise ModelFilesBroken(f"'{path}' is damaged: SHA-256 {found}, the registry vouches for {expected}")
