"""Who is given the key of a running `nightreel up`, and how it is shown to Prefect."""

from __future__ import annotations

import base64
import stat
from pathlib import Path

import pytest
from filelock import FileLock

from infra.environment import server_environment, up_environment
from infra.own_prefect import Whereabouts, authorization, key_for, whereabouts
from infra.private_files import write_private

UP = Whereabouts("http://127.0.0.1:4200/api", "/somewhere/own_server.log", "the key")


def test_an_up_is_found_and_its_key_given_for_its_own_address_while_it_runs(tmp_path: Path) -> None:
    UP.write(tmp_path)
    assert stat.S_IMODE((tmp_path / "up.json").stat().st_mode) == 0o600
    with FileLock(tmp_path / "lock", mode=0o600, thread_local=False):
        assert whereabouts(tmp_path) == UP
        for same in (UP.api, "http://localhost:4200/api", "http://127.0.0.1:4200/api/"):
            assert key_for(same, tmp_path) == "the key"
        for other in (None, "", "http://127.0.0.1:4201/api", "https://prefect.example/api"):
            assert key_for(other, tmp_path) is None
    assert whereabouts(tmp_path) is None
    assert key_for(UP.api, tmp_path) is None, "whoever listens there now is not shown the key"


@pytest.mark.parametrize("key", ["abc", "user:pass:word", "Grüße"])
def test_the_key_is_shown_as_prefects_own_client_shows_it(key: str) -> None:
    scheme, _, coded = authorization(key)["Authorization"].partition(" ")
    assert (scheme, base64.b64decode(coded).decode()) == ("Basic", key)


def test_no_key_no_header() -> None:
    assert authorization(None) == {}


def test_processes_get_the_key_and_only_the_servers_own_pages_may_use_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_SERVER_CORS_ALLOWED_ORIGINS", raising=False)
    url = "http://127.0.0.1:4200"
    got = up_environment(url, "127.0.0.1:1", own_ray=False, key="k")
    assert (got["PREFECT_SERVER_API_AUTH_STRING"], got["PREFECT_API_AUTH_STRING"]) == ("k", "k")
    assert got["PREFECT_SERVER_CORS_ALLOWED_ORIGINS"] == url
    assert "PREFECT_SERVER_API_AUTH_STRING" not in server_environment(url, None)
    monkeypatch.setenv("PREFECT_SERVER_CORS_ALLOWED_ORIGINS", "https://studio.example")
    assert server_environment(url, "k")["PREFECT_SERVER_CORS_ALLOWED_ORIGINS"] == "https://studio.example"


@pytest.mark.parametrize(
    "document", ["[]", "null", "{", '{"api": 1, "log": "x"}', '{"api": "a", "log": "b", "key": 7}', "[" * 100_000],
    ids=lambda it: it[:30],
)  # fmt: skip
def test_a_file_that_is_none_of_ups_names_no_server(tmp_path: Path, document: str) -> None:
    write_private(tmp_path / "up.json", document)
    with FileLock(tmp_path / "lock", mode=0o600, thread_local=False):
        assert whereabouts(tmp_path) is None
        assert key_for("a", tmp_path) is None
