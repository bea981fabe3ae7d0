"""How a run that an exception ended is named to people."""

from __future__ import annotations

import signal

import pytest
from prefect.exceptions import Abort, Pause, TerminationSignal

from flows.job.outcome import outcome_of_error
from flows.orchestration.endings import CancelSignal
from flows.report.wording import ending_text


class Elsewhere(Abort):
    """One that a later Prefect, or a caller, makes of its own."""


@pytest.mark.parametrize(
    ("error", "name", "words"),
    [
        (Pause(), "Suspended", "suspended"),
        (CancelSignal(signal.SIGTERM), "Cancelled", "cancelled"),
        (TerminationSignal(signal.SIGTERM), "Stopped", "stopped"),
        (KeyboardInterrupt(), "Stopped", "stopped"),
        (SystemExit(1), "Stopped", "stopped"),
        (Abort(), "GivenAway", "gone on elsewhere"),
        (Elsewhere(), "GivenAway", "gone on elsewhere"),
    ],
)
def test_what_is_no_error_is_not_called_by_a_name_of_python(error: BaseException, name: str, words: str) -> None:
    found, message = outcome_of_error(error)
    assert found == name
    assert message
    assert ending_text(found) == words


def test_an_error_keeps_its_name_and_what_it_says() -> None:
    assert outcome_of_error(ValueError("no such frame")) == ("ValueError", "no such frame")
    assert ending_text("ValueError") == "ValueError"
