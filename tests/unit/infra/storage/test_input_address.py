"""Where a row's relative path begins."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.storage.storage import ReadingPolicy, input_address


def test_a_relative_path_begins_at_the_manifests_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert input_address("a.png", "/night") == "/night/a.png"
    assert input_address("more/a.png", "s3://bucket/night/") == "s3://bucket/night/more/a.png"
    assert input_address("a.png", "https://host/night") == "https://host/night/a.png"


def test_a_person_may_mean_the_folder_they_are_in_and_a_server_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.png").write_bytes(b"x")
    assert input_address("a.png", "/night") == str(tmp_path / "a.png")
    assert input_address("a.png", "/night", ReadingPolicy(roots=("/night",))) == "/night/a.png"


@pytest.mark.parametrize("address", ["/other/a.png", "s3://other/a.png", "https://host/a.png", "data:image/png,x"])
def test_what_is_no_relative_path_stays(address: str) -> None:
    assert input_address(address, "/night") == address


def test_without_a_manifest_it_begins_at_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert input_address("a.png", None) == str(tmp_path / "a.png")
