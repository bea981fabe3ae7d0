"""What Prefect, Ray and child processes are told, and what of the environment they are not."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from pathlib import Path

import httpx
import pytest

from infra.environment import (
    RAY_FOLDER_BYTES,
    check_prefect_home,
    exempt_loopback,
    forget_head_patience,
    odd_token_file,
    own_ray_folder,
    prefect_api_url,
    prepare_prefect,
    proxy_for,
    ray_environment,
    ray_folder,
    widen_terminal,
)
from infra.settings import SettingsInvalid
from infra.storage.storage import Storage, StorageUnavailable, disconnect

pytestmark = pytest.mark.usefixtures("fresh_settings")


def test_an_empty_prefect_address_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "")
    assert prefect_api_url() is None
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:4200/api")
    assert prefect_api_url() == "http://127.0.0.1:4200/api"


def test_what_ray_reads_at_import_is_set_unless_somebody_set_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    monkeypatch.setenv("RAY_DEDUP_LOGS", "0")
    monkeypatch.delenv("RAY_USAGE_STATS_ENABLED", raising=False)
    wanted = ray_environment()
    assert os.environ["RAY_DEDUP_LOGS"] == "0"
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == wanted["RAY_USAGE_STATS_ENABLED"] == "0"


def test_a_prefect_home_that_cant_be_written_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Prefect said so in 216 lines."""
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "new" / "home"))
    assert check_prefect_home().is_dir()
    (tmp_path / "file").write_text("")
    for home in (tmp_path / "file", tmp_path / "file" / "below", Path("/proc/nightreel")):
        monkeypatch.setenv("PREFECT_HOME", str(home))
        with pytest.raises(SettingsInvalid, match="set PREFECT_HOME to a folder of yours") as caught:
            prepare_prefect(quiet=True)
        assert f"'{home}'" in str(caught.value)
        assert caught.value.kind.exit_code == 3


def test_a_temporary_folder_of_a_long_name_is_not_used_for_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batch systems give such names; a socket's path has 107 bytes."""
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setattr(tempfile, "gettempdir", lambda: "/tmp/" + "a" * 100)
    folder = ray_folder()
    assert folder is not None
    assert len(str(folder)) <= RAY_FOLDER_BYTES
    assert folder.stat().st_mode & 0o777 == 0o700
    assert ray_folder() == folder, "again"
    monkeypatch.setenv("RAY_TMPDIR", "/tmp/" + "b" * 100)
    assert ray_folder() is None, "a person's own choice stays; `doctor` says what is wrong with it"
    monkeypatch.delenv("RAY_TMPDIR")
    monkeypatch.setattr(tempfile, "gettempdir", lambda: "/tmp")
    assert ray_folder() is None


def test_a_ray_that_is_started_here_keeps_its_things_where_nobody_else_may_look(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    short = tempfile.mkdtemp(prefix="nr", dir="/tmp")
    try:
        monkeypatch.setattr(tempfile, "gettempdir", lambda: short)
        folder = own_ray_folder()
        assert folder == Path(short) / f"nightreel-{os.getuid()}" / "ray"
        folder.mkdir(mode=0o777)  # Ray opens it
        folder.parent.chmod(0o777)  # what an earlier one left
        assert own_ray_folder() == folder
        assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
        monkeypatch.setattr(tempfile, "gettempdir", lambda: f"{short}/theirs")
        (tmp_path / "elsewhere").mkdir()
        Path(short, "theirs").mkdir()
        Path(short, "theirs", f"nightreel-{os.getuid()}").symlink_to(tmp_path / "elsewhere")
        with pytest.raises(SettingsInvalid, match=r"is not yours: set RAY_TMPDIR"):
            own_ray_folder()
    finally:
        shutil.rmtree(short)
    monkeypatch.setenv("RAY_TMPDIR", "/tmp/mine")
    assert own_ray_folder() is None


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"HTTP_PROXY": "http://proxy:1"}, "127.0.0.1,localhost,::1"),
        ({"https_proxy": "http://proxy:1", "no_proxy": "corp,localhost"}, "corp,localhost,127.0.0.1,::1"),
        ({"ALL_PROXY": "http://proxy:1", "NO_PROXY": "*"}, "*"),
        ({}, None),
    ],
)
def test_no_proxy_is_asked_for_loopback(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], expected: str | None
) -> None:
    _only_proxies(monkeypatch, given)
    exempt_loopback()
    exempt_loopback()
    assert os.environ.get("NO_PROXY") == os.environ.get("no_proxy") == expected


@pytest.mark.parametrize(
    ("proxy", "no_proxy"),
    [
        ("socks5://127.0.0.1:9", ""),
        ("socks4://127.0.0.1:9", "corp"),
        ("ftp://proxy:1", ""),
        ("http://user:p#ss@proxy:1", ""),
        ("http://[::1", ""),
        ("http://proxy:1", "[::1]"),
        ("http://proxy:1", "fe80::/10,corp"),
        ("http://proxy:1", "bücher.example,host:port"),
        ("http://proxy:1", "[fe80::1%eth0],10.0.0.0/8"),
    ],
)
def test_no_proxy_of_the_environment_ends_a_client_of_a_server_of_this_machine(
    monkeypatch: pytest.MonkeyPatch, proxy: str, no_proxy: str
) -> None:
    _only_proxies(monkeypatch, {"ALL_PROXY": proxy, "NO_PROXY": no_proxy})
    exempt_loopback()
    exempt_loopback()
    httpx.Client(verify=False).close()  # as Prefect makes its own
    # whoever reads from elsewhere still hears of it, or would go past it
    assert proxy_for("https", "elsewhere.example") == proxy
    assert proxy_for("http", "127.0.0.1") is None


def test_what_needs_no_proxy_stays_exempt(monkeypatch: pytest.MonkeyPatch) -> None:
    _only_proxies(
        monkeypatch, {"https_proxy": "http://proxy:1", "no_proxy": "[2001:db8::1], bücher.example ,.corp,fe80::/10"}
    )
    exempt_loopback()
    assert os.environ["NO_PROXY"] == "2001:db8::1,xn--bcher-kva.example,.corp,127.0.0.1,localhost,::1"


def _only_proxies(monkeypatch: pytest.MonkeyPatch, given: dict[str, str]) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        for spelled in (name, name.lower()):
            monkeypatch.delenv(spelled, raising=False)
    monkeypatch.setenv("NIGHTREEL_PROXIES_SET_ASIDE", "")  # what the code sets, goes with the test
    for name, value in given.items():
        monkeypatch.setenv(name, value)


def test_a_node_s_patience_with_its_head_is_a_person_s_or_ray_s(monkeypatch: pytest.MonkeyPatch) -> None:
    name = "RAY_gcs_rpc_server_reconnect_timeout_s"
    monkeypatch.setenv(name, "604800")  # a driver's
    forget_head_patience()
    assert name not in os.environ
    monkeypatch.setenv(name, "600")
    forget_head_patience()
    assert os.environ[name] == "600"


@pytest.mark.parametrize(
    "url",
    ["x", "ftp://x", "http://", "http://[::1", "http://h:99999/api", "http://h:1\n/api", "http://\udcff/", "http://h /",
     "javascript:alert(1)", "file:///etc/passwd", "http://:4200/api", "http://user:SECRET@[::1"],
    ids=lambda url: url.encode("ascii", "backslashreplace").decode(),
)  # fmt: skip
def test_an_address_that_is_none_of_a_server_is_said_before_prefect_is_imported(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(os.environ, "PREFECT_API_URL", url)
    with pytest.raises(SettingsInvalid, match=r"(?s)PREFECT_API_URL=.*names no server") as caught:
        prefect_api_url()
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://127.0.0.1:4200/api", "https://prefect.example/api", "http://[::1]:4200/api"])
def test_an_address_of_a_server_is_used(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", url)
    assert prefect_api_url() == url
    monkeypatch.setenv("PREFECT_API_URL", "")
    assert prefect_api_url() is None


@pytest.mark.parametrize(("given", "used"), [("0", "40"), ("80", "80"), ("9" * 30, "10000"), ("x", "x"), ("-1", "-1")])
def test_a_terminal_is_of_some_width(given: str, used: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", given)
    widen_terminal()
    assert os.environ["COLUMNS"] == used


def test_a_token_file_of_awss_that_is_none_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "token").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "token")
    for name, is_odd in (("pipe", True), ("token", False), ("link", False), ("none", False), (".", True)):
        monkeypatch.setenv("AWS_WEB_IDENTITY_TOKEN_FILE", str(tmp_path / name))
        assert (odd_token_file() is not None) == is_odd, name
    monkeypatch.setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/x")
    disconnect()
    with pytest.raises(StorageUnavailable, match=r"AWS_WEB_IDENTITY_TOKEN_FILE names .* which is no regular file"):
        Storage("s3://bucket/night").check(write=False)
