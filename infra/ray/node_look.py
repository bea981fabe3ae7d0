"""What one node of a cluster says of itself to the doctor. It runs on that node, in a process of its own, and needs
nothing of Ray's.
"""

from __future__ import annotations

import platform
import shutil
import socket
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from infra.models.files import missing_files
from infra.storage.storage import Storage
from manifests.errors import NightreelError
from manifests.masking import without_secrets
from renderers.registry import Registry

__all__ = ["PACKAGES", "NodeFacts", "Question", "look_here", "versions_here"]

#: Whose versions must be the same everywhere, beside Python's.
PACKAGES = ("nightreel", "ray", "torch")


@dataclass(frozen=True)
class Question:
    """What is asked: where models are, which of them, and, with an `output`, whether the object `key` that the asker
    has put there holds `token`; the node puts the same under `answer`."""

    models: Registry
    names: tuple[str, ...]
    output: Storage | None = None
    key: str = ""
    answer: str = ""
    token: bytes = b""


@dataclass(frozen=True)
class NodeFacts:
    """`versions` by package ('' where there is none), `missing` files by model (of one that is not known there: None),
    `storage` is why storage can't be used ('': it can, or was not asked for), `room` the free bytes by folder."""

    host: str
    versions: dict[str, str]
    missing: dict[str, tuple[str, ...] | None]
    storage: str = ""
    room: dict[str, int] = field(default_factory=dict)


def versions_here() -> dict[str, str]:
    """The versions of this process's Python and packages."""
    return {"python": platform.python_version(), **{package: _version(package) for package in PACKAGES}}


def look_here(question: Question) -> NodeFacts:
    """Look at this machine."""
    return NodeFacts(
        socket.gethostname(), versions_here(), {name: _missing(question.models, name) for name in question.names},
        _storage(question), _room((tempfile.gettempdir(), str(question.models.folder))),
    )  # fmt: skip


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _missing(models: Registry, name: str) -> tuple[str, ...] | None:
    try:
        return missing_files(models.entry(name))
    except NightreelError:
        return None


def _storage(question: Question) -> str:
    """A round trip: what the asker has put is read, and something is put for the asker to read."""
    if question.output is None:
        return ""
    try:
        if question.output.read(question.key) != question.token:
            return f"'{question.output.uri(question.key)}' holds something else here than where it was put"
        question.output.put(question.answer, question.token)
    except Exception as error:  # of whatever kind: it is what the node would meet in a render
        return without_secrets(" ".join(str(error).split()) or type(error).__name__)
    return ""


def _room(folders: Iterable[str]) -> dict[str, int]:
    found = {}
    for folder in folders:
        nearest = next(path for path in (Path(folder), *Path(folder).parents) if path.exists())
        found[folder] = shutil.disk_usage(nearest).free
    return found
