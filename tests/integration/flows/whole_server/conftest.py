"""A Prefect server with all its services, for the tests of what happens by night."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.helpers.prefect_server import PrefectServer, running_prefect_server


@pytest.fixture(scope="session")
def whole_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    with running_prefect_server(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def server(whole_server: PrefectServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[PrefectServer]:
    """The server, as this process and those that it starts know it during one test."""
    from prefect.settings import PREFECT_API_URL, temporary_settings

    for name, value in whole_server.environment.items():
        monkeypatch.setenv(name, value)
    with temporary_settings({PREFECT_API_URL: whole_server.api}):
        yield whole_server
