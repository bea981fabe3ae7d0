"""Paths as people write them."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["at_home"]


def at_home(path: str | Path) -> Path:
    """Return `path` with a home folder in place of its `~` or `~name`.

    The name of nobody stays as it is, and nothing is there then: `Path.expanduser` raises RuntimeError, and a path may
    be a row's.
    """
    return Path(os.path.expanduser(path))  # noqa: PTH111
