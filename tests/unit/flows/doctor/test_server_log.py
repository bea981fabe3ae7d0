"""What the doctor says of the log of a server that is not there."""

from __future__ import annotations

from pathlib import Path

from flows.doctor.server import _services


def test_services_whose_log_is_not_there_are_not_called_well(tmp_path: Path) -> None:
    (found,) = _services(tmp_path / "server.log")
    assert found.level == "warning"
    assert found.what.endswith(f"'{tmp_path / 'server.log'}', could not be looked at: No such file or directory")
    (tmp_path / "server.log").touch()
    (found,) = _services(tmp_path / "server.log")
    assert found.level == "ok"
