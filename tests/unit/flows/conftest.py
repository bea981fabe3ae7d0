"""The command line in this process, in an environment that says nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infra.settings import InfraSettings, load_settings
from infra.storage.storage import disconnect
from tests.helpers.command_line import Said, in_this_process


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    for name in InfraSettings.model_fields:
        monkeypatch.delenv(f"NIGHTREEL_{name.upper()}", raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    disconnect()  # connections of tests before this one were made with their environment
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "nothing"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("COLUMNS", "100")
    load_settings.cache_clear()
    yield
    load_settings.cache_clear()


@pytest.fixture
def nightreel(capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    return in_this_process(capsys)
