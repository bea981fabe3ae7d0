"""A file as the manifest's reader sees it: a name for people and a way to open it. Storage provides them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO


@dataclass(frozen=True, slots=True)
class NamedFile:
    """A file that can be opened (again and again): `open()` gives a seekable binary stream, which the caller closes."""

    name: str
    open: Callable[[], BinaryIO]
