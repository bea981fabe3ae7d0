"""Errors to sentences and exit codes: the one place that decides what a failure means to whoever called."""

from __future__ import annotations

import sys

from infra.settings import SettingsInvalid
from infra.storage.storage import ObjectConflict, ObjectMissing, StorageError
from manifests.results import ManifestError
from renderers.errors import BadInput, ModelFilesBroken, TrainingBroken, UnknownModel

__all__ = ["BAD_INPUT", "DONE", "ENVIRONMENT", "INCOMPLETE", "explain"]

DONE, INCOMPLETE, BAD_INPUT, ENVIRONMENT = 0, 1, 2, 3


def explain(error: Exception) -> int:
    """Tell `error` on stderr and return the exit code for it."""
    # RayUnavailable is known by name: naming its class would import Ray, seconds for a sentence.
    environment = isinstance(error, (ModelFilesBroken, SettingsInvalid)) or type(error).__name__ in (
        "RayUnavailable",
        "WorkerLost",
    )
    if isinstance(error, (ManifestError, BadInput, TrainingBroken, UnknownModel, ObjectMissing, ObjectConflict)):
        code = BAD_INPUT
    elif environment or isinstance(error, StorageError):
        code = ENVIRONMENT
    else:
        module = type(error).__module__.split(".")[0]
        code = (
            ENVIRONMENT
            if module in ("prefect", "httpx", "ray")
            else BAD_INPUT
            if isinstance(error, ValueError)
            else ENVIRONMENT
        )
        if module not in ("manifests", "renderers", "infra", "flows"):
            print(f"nightreel: {type(error).__name__}: {error} (--debug shows where)", file=sys.stderr)
            return code
    print(f"nightreel: {error}", file=sys.stderr)
    return code
