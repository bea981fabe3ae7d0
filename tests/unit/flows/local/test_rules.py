"""The decisions of `nightreel up`: restarts of its parts, what options say, what only one may have."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any, cast

import pytest

from flows.cli import run
from flows.local.options import UpOptions
from flows.local.part import Part, UpUnavailable
from flows.local.place import Lock, check_port, port_beside
from flows.local.policy import RestartPolicy
from flows.orchestration.deployments import NightlyOptions
from infra.backoff import Backoff
from infra.ports import free_port


@pytest.mark.parametrize(
    ("died", "now", "wait"),
    [
        ([0.0], 0.0, 0.5),
        ([0.0, 10.0], 10.0, 1.0),
        ([0.0, 10.0, 20.0], 20.0, 2.0),
        ([0.0, 1.0, 2.0, 3.0, 4.0, 5.0], 5.0, 16.0),
        ([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 6.0, None),  # seven within the window
        ([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 700.0], 700.0, 0.5),  # the early ones are forgotten
    ],
)
def test_a_part_is_started_again_later_and_later_and_at_last_given_up(
    died: list[float], now: float, wait: float | None
) -> None:
    assert RestartPolicy(deaths=6, window=600, backoff=Backoff(0.5, 30)).wait(died, now) == wait


def test_the_wait_has_a_bound() -> None:
    assert RestartPolicy(deaths=100, backoff=Backoff(0.5, 30)).wait([float(n) for n in range(50)], 50.0) == 30


@pytest.mark.parametrize("options", [UpOptions(), UpOptions(4300, 2, NightlyOptions("m-{date}", "o", "0 2 * * *"))])
def test_options_survive_the_way_to_the_runner(options: UpOptions) -> None:
    assert UpOptions.from_dict(json.loads(json.dumps(options.to_dict()))) == options


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--nightly", "m-{date}.parquet"], "needs --output"),
        (["--output", "out"], "with --nightly"),
        (["--cron", "0 3 * * *"], "with --nightly"),
        (["--time-zone", "Europe/Berlin"], "with --nightly"),
        (["--nightly", "m", "--output", "o", "--cron", "every day"], "minute, hour, day"),
        (["--nightly", "m", "--output", "o", "--time-zone", "Europe/Nowhere"], "Europe/Berlin"),
        (["--port", "70000"], "65535"),
    ],
)
def test_options_that_can_not_be_meant_are_refused(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["up", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_folder_has_one_up_at_a_time(tmp_path: Path) -> None:
    first = Lock(tmp_path / "up", "http://127.0.0.1:4200")
    with pytest.raises(UpUnavailable, match=r"runs already .* process \d+ at http://127.0.0.1:4200.*PREFECT_HOME"):
        Lock(tmp_path / "up", "http://127.0.0.1:4201")
    first.release()
    Lock(tmp_path / "up", "http://127.0.0.1:4201").release()


def test_a_folder_that_can_not_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UpUnavailable, match=r"file/up' can't be used: Not a directory.*PREFECT_HOME"):
        Lock(tmp_path / "file" / "up", "")


def test_a_free_port_passes() -> None:
    check_port(free_port())


def test_the_live_page_is_at_the_port_beside_or_at_any_that_is_free() -> None:
    port = free_port()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        assert port_beside(port - 1) != port
    assert port_beside(port - 1) == port
    assert 1 <= port_beside(65_535) <= 65_535


class _Dies:
    """A child that ends at once."""

    def ended(self) -> int | None:
        return 1

    def kill(self, seconds: float = 0.0) -> None:
        pass


@pytest.mark.parametrize("needed", [True, False])
def test_a_part_that_is_not_needed_is_left_alone_where_another_ends_everything(tmp_path: Path, needed: bool) -> None:
    said: list[str] = []
    part = Part(
        "the page", tmp_path / "log", cast(Any, _Dies), lambda _: True, RestartPolicy(deaths=0), said.append,
        needed=needed,
    )  # fmt: skip
    part.tick(0.0)
    if needed:
        with pytest.raises(UpUnavailable, match="the page ended with code 1"):
            part.tick(1.0)
        return
    part.tick(1.0)
    assert part.given_up
    assert "is left alone" in said[-1]
    part.tick(1000.0)
    assert part.child is None, "it is not started again"
