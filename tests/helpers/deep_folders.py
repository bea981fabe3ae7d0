"""Folders in folders, deeper than recursion goes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["nested_folders"]


@contextmanager
def nested_folders(folder: Path, depth: int) -> Iterator[None]:
    """`depth` folders named `x` in each other below `folder` and a file in the last, while the block runs: what clears
    up after tests would not get through them."""
    handle = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("x", dir_fd=handle)
        above, handle = handle, os.open("x", os.O_RDONLY, dir_fd=handle)
        os.close(above)
    os.close(os.open("file.png", os.O_CREAT | os.O_WRONLY, dir_fd=handle))
    os.close(handle)
    try:
        yield
    finally:
        subprocess.run(["rm", "-rf", str(folder / "x")], check=True)
