"""Which tests want the machine to themselves, and what all of them need of the shell that starts them."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest
from hypothesis import settings

HERE = Path(__file__).parent
# They start clusters, servers and browsers, and two of them at a time keep each other waiting.
ALONE = tuple(
    HERE / folder
    for folder in (
        "chaos",
        "end_to_end",
        "integration/flows/orchestration",
        "integration/flows/whole_server",
        "integration/infra/ray",
    )
)


BEGAN = time.monotonic()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--begin-within",
        type=float,
        metavar="SECONDS",
        help="skip, by name, the tests whose turn comes later than that",
    )


def pytest_runtest_setup(item: pytest.Item) -> None:
    most = item.config.getoption("--begin-within")
    if most is not None and time.monotonic() - BEGAN > most:
        pytest.skip(f"no time is left for it: its turn came after {most:.0f} s")


def pytest_configure() -> None:
    # an input may wait for its turn on a busy machine: what may take long has a limit of its own
    settings.register_profile("shared machine", deadline=None)
    settings.load_profile("shared machine")
    # A shell starts its background jobs, a CI's among them, with Ctrl-C ignored, and all processes below inherit that:
    # servers and jobs that tests stop by SIGINT would never hear of it. Of a handler, they inherit nothing.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses among the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if any(folder in item.path.parents for folder in ALONE):
            item.add_marker(pytest.mark.alone)


@pytest.fixture(scope="session")
def cases() -> Path:
    """The folder of inputs that failed once, tests/cases: what each is, and the right outcome, is in its README."""
    return HERE / "cases"
