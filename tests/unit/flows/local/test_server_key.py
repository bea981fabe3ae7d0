"""Which key Prefect's servers of this machine ask for."""

from __future__ import annotations

import stat
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from flows.local.guard import SIGN_IN
from flows.local.server_key import KEY_FILE, given_key, passing_key, server_key, sign_in_link
from infra.settings import InfraSettings, SettingsInvalid

ON, OFF = InfraSettings(), InfraSettings(server_auth=False)


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PREFECT_SERVER_API_AUTH_STRING", raising=False)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


def test_a_key_is_made_once_for_its_owner_and_stays_until_its_file_is_removed(tmp_path: Path) -> None:
    key = server_key(tmp_path, ON)
    assert key is not None
    assert len(key) >= 43
    assert stat.S_IMODE((tmp_path / KEY_FILE).stat().st_mode) == 0o600
    assert server_key(tmp_path, ON) == key
    (tmp_path / KEY_FILE).unlink()
    assert server_key(tmp_path, ON) != key


def test_it_can_be_switched_off(tmp_path: Path) -> None:
    assert server_key(tmp_path, OFF) is None
    assert passing_key(OFF) is None
    assert not (tmp_path / KEY_FILE).exists()


def test_a_persons_own_key_counts_before_all_and_others_of_this_user_find_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PREFECT_SERVER_API_AUTH_STRING", "admin:secret")
    for settings in (ON, OFF):
        assert server_key(tmp_path, settings) == passing_key(settings) == "admin:secret"
    assert (tmp_path / KEY_FILE).read_text() == "admin:secret"
    assert stat.S_IMODE((tmp_path / KEY_FILE).stat().st_mode) == 0o600


def test_a_server_that_ends_with_its_command_has_another_key_each_time() -> None:
    first, second = passing_key(ON), passing_key(ON)
    assert first is not None
    assert first != second


def test_a_key_that_prefect_can_not_compare_is_refused_and_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_SERVER_API_AUTH_STRING", "Grüße:geheim")
    with pytest.raises(SettingsInvalid, match="ASCII") as caught:
        given_key()
    assert "geheim" not in str(caught.value)


def test_prefect_is_not_imported_where_no_file_of_its_settings_speaks_of_a_key(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "profiles.toml").write_text('active = "local"\n[profiles.local]\n')
    assert given_key() is None


def test_the_link_has_the_key_where_browsers_send_it_nowhere() -> None:
    link, _, fragment = sign_in_link("http://127.0.0.1:4200", "a&b=c d#é").partition("#")
    assert link == f"http://127.0.0.1:4200{SIGN_IN}"
    assert parse_qs(fragment) == {"key": ["a&b=c d#é"]}
    assert sign_in_link("http://127.0.0.1:4200", None) == "http://127.0.0.1:4200"
