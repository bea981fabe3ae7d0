"""What `up` and `deploy` are told of the night is looked at before anything starts."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from flows.cli.errors import BAD_INPUT
from tests.helpers.command_line import Said


@pytest.mark.parametrize("command", ["up", "deploy"])
@pytest.mark.parametrize(
    ("manifest", "output", "more", "message"),
    [
        ("{date", "o-{date}", [], "--nightly '{date': expected '}' before end of string"),
        ("m-{date}", "o-{date.__class__}", [], "--output 'o-{date.__class__}': unknown placeholder {date.__class__}"),
        ("m-{date:%Q}", "o", [], "'%Q' names no part of a date"),
        ("m-{date}", "x" * 5000, [], "is no address: give up to 4,096 characters"),
        ("m", "o", ["--cron", "0 0 30 2 *"], "--cron '0 0 30 2 *' names no times"),
        ("m", "o", ["--cron", "1-59/1," * 20_000 + "1 * * * *"], "write minute, hour, day, month and weekday"),
        ("m", "o", ["--cron", "* * * *"], "write minute, hour, day, month and weekday"),
        ("m", "o", ["--time-zone", "../../etc/passwd"], "no time zone has that name"),
    ],
    ids=lambda it: str(it)[:20],
)  # fmt: skip
def test_a_night_that_can_never_be_is_refused_at_once(
    command: str, manifest: str, output: str, more: list[str], message: str, nightreel: Callable[..., Said]
) -> None:
    began = time.monotonic()
    said = nightreel(command, "--nightly", manifest, "--output", output, *more)
    assert (said.code, said.out) == (BAD_INPUT, "")
    assert message in said.err
    assert len(said.err) < 5_000
    assert time.monotonic() - began < 60, "Prefect is imported once"
