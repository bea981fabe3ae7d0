"""What a user asks a job for."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["RenderParameters"]


@dataclass(frozen=True)
class RenderParameters:
    """What a user asks for: `manifest` and `output` are URIs or paths; see the command's help for the rest."""

    manifest: str
    output: str
    strict: bool = False
    force: bool = False
    range_frames: int | None = None
    priority: int = 0
