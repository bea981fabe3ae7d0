"""Which videos of an output may have anything in storage, by the names of the folders in its root.

A million rows that nobody has begun need not be listed one by one. How many folders there are nobody knows before, and
few rows may come to an output of millions: so each row that is asked for pays for some names more, and until all are
known a row may have a folder.
"""

from __future__ import annotations

from collections.abc import Iterator

from infra.storage.storage import Storage, StorageError

__all__ = ["SeenFolders"]

# Names that take about as long as the listing of one video's folder, and those of a store's first page.
NAMES_EACH = 100
FIRST_NAMES = 1000


class SeenFolders:
    """The folders in the root of an output, as of the moment in which they were looked at; for one thread."""

    def __init__(self, output: Storage) -> None:
        self._names: Iterator[str] | None = output.folder_names()
        self._seen: set[str] = set()
        self._allowed = FIRST_NAMES
        self._whole = False

    def may_hold(self, video_id: str) -> bool:
        """Return False where nothing lies in storage for a video, True where something may."""
        # one that differs by capitals alone is the same folder for some file systems
        name = video_id.casefold()
        if name in self._seen:
            return True
        self._allowed += NAMES_EACH
        while self._names is not None and self._allowed > 0:
            try:
                found = next(self._names, None)
            except StorageError:  # whoever lists the video's folder says what is wrong
                self._names = None
                break
            if found is None:
                self._names, self._whole = None, True
                break
            self._seen.add(found.casefold())
            self._allowed -= 1
        return not self._whole or name in self._seen
