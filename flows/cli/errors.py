"""Errors to sentences and exit codes, as a person at a terminal reads them. What an error means, it says itself."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from flows.cli.output import problems
from infra.storage.errors import from_os_error
from manifests.errors import ExitCode, NightreelError, kind_of

__all__ = ["BAD_INPUT", "DONE", "ENVIRONMENT", "INCOMPLETE", "explain"]

DONE, INCOMPLETE, BAD_INPUT, ENVIRONMENT = ExitCode.DONE, ExitCode.INCOMPLETE, ExitCode.BAD_INPUT, ExitCode.ENVIRONMENT


def _of_surroundings(error: Exception) -> str:
    """Say what is wrong where no file is named: with the stream that is written to, or the folder one is in."""
    if not isinstance(error, OSError) or error.filename is not None:
        return ""
    if error.errno == errno.ENOSPC:
        return "no space is left where this writes (what it prints, or its temporary files): free space there"
    try:
        Path.cwd()
    except FileNotFoundError:
        return "the folder that this was started in is gone: change into another, and start again"
    return ""


def explain(error: Exception) -> int:
    """Print `error` on stderr and return the exit code for it."""
    if isinstance(error, NightreelError):
        problems([str(error)])
    elif wrong := _of_surroundings(error):
        problems([wrong])
        return ENVIRONMENT
    elif isinstance(error, OSError) and isinstance(error.filename, str | bytes):  # a look at a file that somebody named
        said = from_os_error(error, os.fsdecode(error.filename))
        problems([str(said)])
        return said.kind.exit_code
    else:  # nobody wrote this sentence for a user: the class may say more than it does
        problems([f"{type(error).__name__}: {error} (--debug shows where)"])
    return kind_of(error).exit_code
