"""Keys and folders for their owner alone, under the umask that most people have."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.private_files import private_folder, stored_key, write_private


@pytest.fixture(autouse=True)
def _usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_private_file_is_its_owners_alone_also_where_an_open_one_was(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "token"
    write_private(path, "first")
    assert (path.read_text(), mode(path)) == ("first", 0o600)
    path.chmod(0o644)
    write_private(path, "second")
    assert (path.read_text(), mode(path)) == ("second", 0o600)
    assert [file.name for file in path.parent.iterdir()] == ["token"]


def test_a_link_that_somebody_laid_there_is_replaced_and_not_followed(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.write_text("theirs")
    (tmp_path / "token").symlink_to(theirs)
    write_private(tmp_path / "token", "ours")
    assert theirs.read_text() == "theirs"
    assert not (tmp_path / "token").is_symlink()


def test_a_private_folder_is_made_closed_and_an_open_one_closed(tmp_path: Path) -> None:
    assert mode(private_folder(tmp_path / "new" / "folder")) == 0o700
    (tmp_path / "open").mkdir(mode=0o755)
    assert mode(private_folder(tmp_path / "open")) == 0o700


def test_the_stored_key_is_its_owners_alone_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "up" / "live.key"
    key = stored_key(path)
    assert len(key) >= 43
    assert mode(path) == 0o600
    assert stored_key(path) == key
    path.chmod(0o644)  # others may have read it
    assert stored_key(path) != key
    path.write_text("short")
    assert len(stored_key(path)) >= 43
