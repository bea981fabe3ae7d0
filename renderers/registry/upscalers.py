"""The upscalers of a models folder: nets that enlarge finished frames, by name. Needs no torch."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from manifests.schema.texts import did_you_mean
from renderers.checksums import file_sha256
from renderers.errors import BadInput
from renderers.registry.registry import Registry

__all__ = ["upscaler_digest", "upscaler_key", "upscaler_path", "upscalers"]

FOLDER = "upscalers"


def upscaler_key(name: str) -> str:
    """How the digests of what a plan names know an upscaler: no address of a picture begins so."""
    return f"upscaler:{name}"


def upscaler_path(registry: Registry, name: str) -> Path:
    """Where the weights of an upscaler lie, or would."""
    return registry.folder / FOLDER / f"{name}.safetensors"


def upscalers(registry: Registry) -> tuple[str, ...]:
    """The names of those that there are."""
    return tuple(sorted(path.stem for path in (registry.folder / FOLDER).glob("*.safetensors")))


def upscaler_digest(registry: Registry, name: str) -> str:
    """The SHA-256 of an upscaler's weights.

    Raises:
        BadInput: there is none of that name; the message suggests one.
    """
    path = upscaler_path(registry, name)
    try:
        found = path.stat()
        return _digest(path, found.st_mtime_ns, found.st_size)
    except OSError as error:
        known = upscalers(registry)
        hint = did_you_mean(name, known)
        there = f"known are {', '.join(known)}" if known else "none was added yet"
        raise BadInput(
            f"finish.upscaler '{name}' is not in the models folder '{registry.folder}': "
            f"{f'{hint}; ' if hint else ''}{there}; add one by `nightreel models add-upscaler FILE`"
        ) from error


@lru_cache(maxsize=64)
def _digest(path: Path, changed: int, size: int) -> str:
    return file_sha256(path)
