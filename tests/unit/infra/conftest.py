"""Settings that no variable of the shell has a part in."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from infra.settings import InfraSettings, load_settings


@pytest.fixture
def fresh_settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Without the shell's own, read again in the test and after it."""
    for name in InfraSettings.model_fields:
        monkeypatch.delenv(f"NIGHTREEL_{name.upper()}", raising=False)
    load_settings.cache_clear()
    yield
    load_settings.cache_clear()
