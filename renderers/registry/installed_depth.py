"""Depth models that are installed on this machine: entry points of the group `nightreel.depth`.

A distribution declares them (in its pyproject.toml, below `[project.entry-points."nightreel.depth"]`), so that what
runs is what whoever keeps this machine installed for the purpose: a registry entry, which may have come from a bucket,
can name one of these and nothing else. Nothing is imported here.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING

from renderers.errors import ModelFilesBroken

if TYPE_CHECKING:
    from renderers.registry.entry import DepthEntry

__all__ = ["GROUP", "installed_loader", "installed_version", "verified_loader"]

GROUP = "nightreel.depth"


def installed_loader(name: str) -> EntryPoint:
    """Return the entry point called `name`.

    Raises:
        ModelFilesBroken: none is installed, or several are.
    """
    found = entry_points(group=GROUP)
    named = [point for point in found if point.name == name]
    if len(named) == 1:
        return named[0]
    if named:
        owners = ", ".join(sorted(_owner(point) for point in named))
        raise ModelFilesBroken(f"depth loader '{name}' is installed by several distributions, {owners}: remove one")
    known = ", ".join(sorted({point.name for point in found})) or "none"
    raise ModelFilesBroken(
        f"depth loader '{name}' is not installed on this machine: install the distribution that declares it as an "
        f"entry point of the group {GROUP}; installed are {known}"
    )


def installed_version(point: EntryPoint) -> str:
    """Return the version of the distribution that `point` belongs to."""
    return point.dist.version if point.dist is not None else "0"


def verified_loader(depth: DepthEntry, model: str) -> EntryPoint:
    """Return the entry point that the depth model of `model` was registered with.

    Raises:
        ModelFilesBroken: it is not installed, or in another version.
    """
    point = installed_loader(depth.loader)
    version = installed_version(point)
    if version != depth.version:
        raise ModelFilesBroken(
            f"depth loader '{depth.loader}' ({_owner(point)}) has version {version} here, and model '{model}' was "
            f"added with version {depth.version}: install that one, or add the model again"
        )
    return point


def _owner(point: EntryPoint) -> str:
    return point.dist.name if point.dist is not None else "unknown"
