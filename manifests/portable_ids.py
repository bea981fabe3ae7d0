"""Names of videos that are good, and that some stores can't hold beside each other or at all.

A video's id is a folder's name. Folders of Windows and macOS, and shares of theirs, take `Reef` and `reef` for one, and
Windows keeps some names for devices. Object stores and folders of Linux hold them all, so these are warnings.
"""

from __future__ import annotations

import re
from hashlib import blake2b

from manifests.results import GoodRow

__all__ = ["PortableIds"]

_DEVICES = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.IGNORECASE)


class PortableIds:
    """Looks at the ids of good rows one by one; 16 bytes of hash are kept of each."""

    def __init__(self) -> None:
        self._seen: dict[bytes, tuple[str, int]] = {}

    def warning(self, row: GoodRow) -> str | None:
        """Say which stores can't hold the row's id; None where all can."""
        video_id = row.row.video_id
        folded = blake2b(video_id.casefold().encode(), digest_size=16).digest()
        before = self._seen.setdefault(folded, (row.file, row.number))
        why = None
        if before != (row.file, row.number):
            why = f"differs only by capitals from the one in row {before[1]} of {before[0]}: "
            why += "on Windows and macOS, and on shares of theirs, both are the same folder"
        elif _DEVICES.fullmatch(video_id):
            why = "is the name of a device on Windows, where no folder can have it"
        elif video_id.endswith("."):
            why = "ends in a dot, which Windows drops from the names of folders"
        return None if why is None else f"video_id '{video_id}' {why} (row {row.number}, {row.file})"
