"""How this program names itself to web servers, so that their operators know whom to ask."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version

__all__ = ["user_agent"]


@cache
def user_agent() -> str:
    """Return `nightreel/VERSION`, for every request that is ours."""
    return f"nightreel/{version('nightreel')}"
