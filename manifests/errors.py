"""What every error of this project says about itself: of which kind it is, and so what follows from it.

Every layer asks the error instead of keeping a list of classes: the command line for its exit code, a flow run for its
state, a job for whether another attempt can help. An error that is not one of ours (Python's own, a library's) is an
application error: nobody has thought of it.

This module imports nothing but the standard library and what masks secrets, so that each of the four packages may
import it.
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import ClassVar

from manifests.masking import without_secrets

__all__ = ["ErrorKind", "ExitCode", "NightreelError", "first_line", "kind_of"]


class ExitCode(IntEnum):
    """What a command ends with."""

    DONE = 0
    INCOMPLETE = 1  # some frames or videos are missing
    BAD_INPUT = 2
    ENVIRONMENT = 3  # cluster, storage, models or installation are not usable


class ErrorKind(StrEnum):
    """What went wrong, as failure records and reports name it."""

    APPLICATION = "application"  # a fault of the program or of a library, or one that nobody has thought of
    BAD_INPUT = "bad input"  # what was asked for can't be done: only the user can change that
    CANCELLED = "cancelled"  # somebody stopped the work
    CORRUPT = "corrupt"  # a stored frame is damaged
    ENVIRONMENT = "environment"  # settings, models, server or cluster can't be used until a person repairs them
    INFRASTRUCTURE = "infrastructure"  # a process, machine or connection was lost, through no fault of the work
    NON_FINITE = "non-finite"  # the numbers of an optimisation overflowed
    OUT_OF_MEMORY = "out of memory"
    STALLED = "stalled"  # a worker made no progress
    STORAGE = "storage"  # storage is full, not permitted or misnamed

    @property
    def exit_code(self) -> ExitCode:
        """What a command ends with that such an error ended."""
        return _EXIT_CODES.get(self, ExitCode.ENVIRONMENT)

    @classmethod
    def read(cls, text: str) -> ErrorKind:
        """Read a kind as a stored record names it.

        Records of 0.1 say "not finite". A kind that this version does not know, of a later one, reads as application.
        """
        try:
            return cls(_FORMER_NAMES.get(text, text))
        except ValueError:
            return cls.APPLICATION


# Where single frames are at fault, and another render can have them; the machinery is at fault in all other cases.
_EXIT_CODES = {
    ErrorKind.BAD_INPUT: ExitCode.BAD_INPUT,
    ErrorKind.CANCELLED: ExitCode.INCOMPLETE,
    ErrorKind.CORRUPT: ExitCode.INCOMPLETE,
    ErrorKind.NON_FINITE: ExitCode.INCOMPLETE,
}
_FORMER_NAMES = {"not finite": "non-finite"}


class NightreelError(Exception):
    """Base of every error that this project raises on purpose; its message is a sentence for people, without the
    secrets that an address in it may have held."""

    kind: ClassVar[ErrorKind] = ErrorKind.APPLICATION

    def __init__(self, *arguments: object) -> None:
        super().__init__(*(without_secrets(it) if isinstance(it, str) else it for it in arguments))


def kind_of(error: BaseException) -> ErrorKind:
    """Return the kind of any error; those of others are application errors."""
    return error.kind if isinstance(error, NightreelError) else ErrorKind.APPLICATION


def first_line(error: BaseException) -> str:
    """Return the first line of what a library's error says, for a sentence of ours; its class where it says nothing."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
