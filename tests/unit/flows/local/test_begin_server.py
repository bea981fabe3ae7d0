"""When a command's own server begins before Prefect is imported, which may know of another."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.local import own_server as module


@pytest.fixture
def begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The servers that were begun, in an empty folder with an empty home of Prefect's."""
    for name in ("PREFECT_API_URL", "PREFECT_PROFILE", "PREFECT_PROFILES_PATH"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    found: list[str] = []
    monkeypatch.setattr(module, "own_server", lambda: found.append("begun"))
    return found


def test_it_begins_where_nothing_can_name_another(begun: list[str]) -> None:
    Path("pyproject.toml").write_text("[project]\nname = 'prefect'\n")
    module.begin_server()
    assert begun == ["begun"]


@pytest.mark.parametrize(
    ("place", "text"),
    [("home/profiles.toml", ""), ("prefect.toml", ""), (".env", ""), ("pyproject.toml", "[tool.prefect.api]\n")],
)
def test_a_file_that_only_prefect_reads_is_left_to_it(begun: list[str], place: str, text: str) -> None:
    Path(place).parent.mkdir(exist_ok=True)
    Path(place).write_text(text)
    module.begin_server()
    assert begun == []


@pytest.mark.parametrize("name", ["PREFECT_API_URL", "PREFECT_PROFILE", "PREFECT_PROFILES_PATH"])
def test_so_is_what_the_environment_names(begun: list[str], monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "http://127.0.0.1:4200/api")
    module.begin_server()
    assert begun == []
