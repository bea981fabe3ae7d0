"""How a run ends by what Prefect raises that is no error: as the job's documents and report say it."""

from __future__ import annotations

from prefect.exceptions import Abort, Pause, TerminationSignal

from flows.job.outcome import GOES_ON, outcome_of_error

__all__ = ["CancelSignal"]


class CancelSignal(TerminationSignal):
    """Prefect ends this process, since a person has cancelled its run."""


@outcome_of_error.register
def _(_: Pause) -> tuple[str, str]:
    return "Suspended", "it goes on from here once it is resumed"


@outcome_of_error.register
def _(_: Abort) -> tuple[str, str]:
    return "GivenAway", "the run was given a final state, or was begun again elsewhere"


@outcome_of_error.register
def _(_: TerminationSignal) -> tuple[str, str]:
    return "Stopped", f"its process was told to end: {GOES_ON}"


@outcome_of_error.register
def _(_: CancelSignal) -> tuple[str, str]:
    return "Cancelled", "what it committed stays"
