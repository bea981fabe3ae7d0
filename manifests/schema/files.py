"""A file as the manifest's reader sees it: a name for people and a way to open it. Storage provides them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO


@dataclass(frozen=True, slots=True)
class NamedFile:
    """A file that can be opened (again and again): `open()` gives a seekable binary stream, which the caller closes.

    `partitions` are the columns that stand in the names of its folders (`model=sketch/seed=3/`), as DuckDB, pandas and
    Spark write them; all of its rows have them.
    """

    name: str
    open: Callable[[], BinaryIO]
    partitions: Mapping[str, str] = field(default_factory=dict)
