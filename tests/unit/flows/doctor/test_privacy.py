"""What the doctor says of keys that others can read, and of servers that ask for nothing."""

from __future__ import annotations

import ssl
import stat
from pathlib import Path

import pytest

from flows.doctor.findings import exit_code, repair_all
from flows.doctor.privacy import check_privacy, check_server_asks, judge_server_asks
from infra.private_files import private_folder, stored_key


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Prefect's folder as `up` makes it."""
    home = private_folder(tmp_path / "prefect")
    (home / "prefect.db").touch()
    (home / "prefect.db").chmod(0o644)
    stored_key(private_folder(home / "nightreel-up") / "prefect.key")
    return home


def test_what_up_makes_is_fine(home: Path) -> None:
    assert [it.level for it in check_privacy(home)] == ["ok"]


@pytest.mark.parametrize("place", ["/proc/x", "/dev/null/x", "nothing there"])
def test_a_folder_that_can_not_be_looked_at_is_not_called_private(place: str, tmp_path: Path) -> None:
    (found,) = check_privacy(tmp_path / place)
    assert found.level == "warning"
    assert found.what.startswith(f"who may read keys and runs in '{tmp_path / place}' could not be looked at: ")
    assert "PREFECT_HOME" in found.remedy


def test_a_folder_that_nobody_may_enter_is_not_called_private(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: Path, **__: object) -> object:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "stat", refuse)
    (found,) = check_privacy(home)
    assert (found.level, found.what.endswith("could not be looked at: Permission denied")) == ("warning", True)


def test_a_server_that_can_not_be_asked_is_not_called_open_or_closed() -> None:
    (found,) = check_server_asks("http://127.0.0.1:1/api", ssl.create_default_context())
    assert found.level == "warning"
    assert "asks for a key could not be looked at: " in found.what


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620])
def test_a_key_that_others_may_use_is_named_and_goes(home: Path, mode: int) -> None:
    key = home / "nightreel-up" / "prefect.key"
    key.chmod(mode)
    (found,) = check_privacy(home)
    assert (found.level, str(key) in found.what, f"rm '{key}'" in found.remedy) == ("problem", True, True)
    (repaired,) = repair_all([found])
    assert exit_code([repaired]) == 1
    assert not key.exists()
    assert [it.level for it in check_privacy(home)] == ["ok"]


def test_an_open_folder_with_a_database_that_others_may_read_is_closed(home: Path) -> None:
    home.chmod(0o755)
    (found,) = check_privacy(home)
    assert (found.level, found.remedy) == ("warning", f"chmod 700 '{home}'")
    assert next(repair_all([found])).repaired
    assert stat.S_IMODE(home.stat().st_mode) == 0o700
    home.chmod(0o755)
    (home / "prefect.db").chmod(0o600)  # as our own server makes it
    assert [it.level for it in check_privacy(home)] == ["ok"]
    (home / "nightreel-up").chmod(0o755)
    assert "logs" in next(check_privacy(home)).what


@pytest.mark.parametrize("status", [302, 404, 500, 502])
def test_a_server_that_answers_otherwise_is_not_called_open(status: int) -> None:
    found = judge_server_asks("http://127.0.0.1:4200/api", status)
    assert (found.level, found.what.endswith(f"could not be looked at: it answered {status}")) == ("warning", True)


@pytest.mark.parametrize(("status", "level"), [(401, "ok"), (403, "ok"), (200, "warning")])
def test_a_server_that_answers_without_a_key_is_pointed_out(status: int, level: str) -> None:
    found = judge_server_asks("http://127.0.0.1:4200/api", status)
    assert found.level == level
