"""Errors to sentences and exit codes, as a person at a terminal reads them. What an error means, it says itself."""

from __future__ import annotations

from flows.cli.output import problems
from manifests.errors import ExitCode, NightreelError, kind_of

__all__ = ["BAD_INPUT", "DONE", "ENVIRONMENT", "INCOMPLETE", "explain"]

DONE, INCOMPLETE, BAD_INPUT, ENVIRONMENT = ExitCode.DONE, ExitCode.INCOMPLETE, ExitCode.BAD_INPUT, ExitCode.ENVIRONMENT


def explain(error: Exception) -> int:
    """Print `error` on stderr and return the exit code for it."""
    if isinstance(error, NightreelError):
        problems([str(error)])
    else:  # nobody wrote this sentence for a user: the class may say more than it does
        problems([f"{type(error).__name__}: {error} (--debug shows where)"])
    return kind_of(error).exit_code
