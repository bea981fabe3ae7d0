"""What a user asks a job for."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Self

from infra.storage.storage import absolute_uri

__all__ = ["RenderParameters"]


@dataclass(frozen=True)
class RenderParameters:
    """What a user asks for: `manifest` and `output` are URIs or paths; see the command's help for the rest.

    With a `part` (from 1) it is that part of the manifest, cut into parts of at most `videos_per_run`
    (flows/planning/parts.py).
    """

    manifest: str
    output: str
    strict: bool = False
    force: bool = False
    range_frames: int | None = None
    priority: int = 0
    videos_per_run: int | None = field(default=None, kw_only=True)
    part: int | None = field(default=None, kw_only=True)

    def in_full(self) -> Self:
        """Return the same with absolute paths: what a run leaves behind (its record, links, commands to copy) is read
        elsewhere, and one manifest has one name whichever folder its runs were begun from."""
        return replace(self, manifest=absolute_uri(self.manifest), output=absolute_uri(self.output))
