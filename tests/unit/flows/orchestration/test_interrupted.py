"""What becomes of a flow run whose process is dead."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from flows.orchestration.interrupted import Interrupted

NOW = datetime(2026, 11, 23, 1, 2, 3, tzinfo=UTC)


@pytest.mark.parametrize(
    ("state", "attempts", "restarts", "becomes"),
    [
        ("RUNNING", 1, 5, ("SCHEDULED", "AwaitingRetry")),
        ("PENDING", 0, 5, ("SCHEDULED", "AwaitingRetry")),
        ("RUNNING", 5, 5, ("SCHEDULED", "AwaitingRetry")),
        ("RUNNING", 6, 5, ("CRASHED", "Crashed")),
        ("RUNNING", 60, None, ("SCHEDULED", "AwaitingRetry")),
        ("CANCELLING", 1, 5, ("CANCELLED", "Cancelled")),
        ("CANCELLING", 9, 5, ("CANCELLED", "Cancelled")),
    ],
)
def test_an_interrupted_run_goes_on_unless_it_was_cancelled_or_interrupted_too_often(
    state: str, attempts: int, restarts: int | None, becomes: tuple[str, str]
) -> None:
    given = Interrupted("id", "night", state, attempts).next_state("the runner ended", restarts, NOW)
    assert (given["type"], given["name"]) == becomes
    assert "the runner ended" in given["message"]
    assert given.get("state_details") == (
        {"scheduled_time": "2026-11-23T01:02:03+00:00"} if becomes[0] == "SCHEDULED" else None
    )
