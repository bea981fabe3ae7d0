"""Keys and folders for their owner alone, under the umask that most people have."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.own_cluster import joining, own_cluster
from infra.private_files import private_folder, read_own, stored_key, write_private
from tests.helpers.rights import NOBODY


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


def test_only_a_file_that_nobody_else_can_have_written_is_obeyed(tmp_path: Path) -> None:
    path = tmp_path / "up.json"
    write_private(path, "ours")
    assert read_own(path) == "ours"
    (tmp_path / "link").symlink_to(path)
    os.mkfifo(tmp_path / "pipe")
    assert [read_own(tmp_path / name) for name in ("link", "pipe", "none", ".")] == [None] * 4
    path.chmod(0o660)
    assert read_own(path) is None, "its group may have written it"
    path.write_bytes(b"\xff")
    path.chmod(0o600)
    assert read_own(path) is None


@pytest.mark.skipif(os.geteuid() != 0, reason="files of another account are made by root alone")
def test_what_another_account_left_in_our_folder_is_not_obeyed(tmp_path: Path) -> None:
    write_private(tmp_path / "key", "k" * 43)
    own_cluster(tmp_path, "127.0.0.1:1", "token", own_token=False)
    assert joining(tmp_path, "127.0.0.1:1")["RAY_AUTH_MODE"] == "token"
    for name in ("key", "ray.json"):
        os.chown(tmp_path / name, NOBODY, NOBODY)
    assert joining(tmp_path, "127.0.0.1:1") == {}
    assert stored_key(tmp_path / "key") != "k" * 43


@pytest.mark.parametrize(
    "document",
    ["[]", "null", "{", "{}", "[" * 100_000, '{"address": "h:1"}', '{"address": "h:1", "variables": [1]}',
     '{"address": "h:1", "variables": {"LD_PRELOAD": "/tmp/x.so", "RAY_AUTH_MODE": 7}}'],
    ids=lambda it: it[:40],
)  # fmt: skip
def test_of_a_clusters_file_only_what_joins_it_is_taken(tmp_path: Path, document: str) -> None:
    write_private(tmp_path / "ray.json", document)
    assert joining(tmp_path, "h:1") == {}
    assert joining(tmp_path, None) == {}
