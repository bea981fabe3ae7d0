"""Acting as an account that may do no more than the modes of files allow, also where tests run as root."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["NOBODY", "open_folder", "without_rights"]

NOBODY = 65_534


@contextmanager
def without_rights() -> Iterator[None]:
    """Have this process act as `nobody` until the block ends, if it is root's; as whose it is otherwise.

    What is imported for the first time in the block may lie where `nobody` may not go.
    """
    if os.geteuid() != 0:
        yield
        return
    groups, group = os.getgroups(), os.getegid()
    os.setgroups([])
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(groups)


@contextmanager
def open_folder() -> Iterator[Path]:
    """A folder that every account may enter, unlike pytest's own; what is closed in it is removed as well."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    try:
        yield folder
    finally:
        for path in (folder, *folder.rglob("*")):
            if path.is_dir() and not path.is_symlink():
                path.chmod(0o700)
        shutil.rmtree(folder)
