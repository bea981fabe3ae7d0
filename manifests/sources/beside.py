"""What lies beside a source, and may be named in it: lists of wildcards, tables."""

from __future__ import annotations

from typing import Protocol

__all__ = ["Beside"]


class Beside(Protocol):
    """Reads files that lie in the folder of a source; errors of storage are the reader's own."""

    def read(self, path: str, *, within: bool = False) -> bytes | None:
        """The bytes of a file, by its path from the source's folder; None where there is none. `within`: it must lie
        in that path's first folder, whatever links say."""
        ...

    def names(self, folder: str) -> list[str]:
        """Some of the files in a folder, by their names; none where it can't be looked at."""
        ...
