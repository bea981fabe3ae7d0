"""The Prefect server of the command line's own; that it answers and ends with its parent is tested end to end."""

from __future__ import annotations

import os

import pytest

from flows.cli.errors import ENVIRONMENT, explain
from flows.local.own_server import OwnServer, ServerUnavailable


@pytest.mark.timeout(120)
def test_a_server_that_can_not_start_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PREFECT_HOME", os.devnull)  # no place for its database
    server = OwnServer()
    with pytest.raises(ServerUnavailable, match=r"ended with code \d+.*PREFECT_API_URL") as raised:
        server.wait()
    server.stop()

    capfd.readouterr()
    assert explain(raised.value) == ENVIRONMENT
    assert capfd.readouterr() == ("", f"nightreel: {raised.value}\n")
