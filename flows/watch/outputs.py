"""The outputs that a page shows: the one it was started for, or those that runs have written down in a folder.

A page opens no other one, whatever a browser asks for: an output is named by a digest of its address.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from infra.storage.storage import Storage

__all__ = ["NotedOutputs", "OneOutput", "Outputs", "name_of"]

MOST = 200


def name_of(root: str) -> str:
    """Return the short name by which a browser asks for an output."""
    return hashlib.sha256(root.encode()).hexdigest()[:16]


class Outputs(Protocol):
    """Outputs by their short names, the newest first."""

    def all(self) -> Mapping[str, str]:
        """Return the address of each."""
        ...


class OneOutput:
    """The output that the page was started for."""

    def __init__(self, output: Storage) -> None:
        self._all = {name_of(output.root): output.root}

    def all(self) -> Mapping[str, str]:
        """See `Outputs.all`."""
        return self._all


class NotedOutputs:
    """Outputs that runs of this machine have noted in `folder`, one file each."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def note(self, output: Storage) -> str:
        """Note an output, or that it is used again; return its short name. Raises OSError."""
        name = name_of(output.root)
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = self._folder / f".{name}.tmp"
        temporary.write_text(json.dumps({"output": output.root}), encoding="utf-8")
        temporary.replace(self._folder / f"{name}.json")
        return name

    def all(self) -> Mapping[str, str]:
        """See `Outputs.all`."""
        found: list[tuple[float, str]] = []
        for path in self._folder.glob("*.json"):
            try:
                root = json.loads(path.read_text(encoding="utf-8"))["output"]
                found.append((path.stat().st_mtime, str(root)))
            except (OSError, ValueError, KeyError, TypeError):
                continue  # one that is being written, or that somebody else put there
        return {name_of(root): root for _, root in sorted(found, reverse=True)[:MOST]}
