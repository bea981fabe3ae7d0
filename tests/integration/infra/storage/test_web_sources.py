"""Pictures on web servers: bounded in bytes and time whatever a server does, and none of a private network."""

from __future__ import annotations

import gzip
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import Any

import pytest

from infra.models.downloads import DownloadFailed, download
from infra.ports import free_port
from infra.storage.errors import AnswerCutOff, AnswerLate
from infra.storage.storage import (
    ObjectMissing,
    ReadingPolicy,
    RetryPolicy,
    SourceReader,
    SourceRefused,
    StorageBusy,
    StorageError,
    read_uri,
)
from tests.helpers import web_servers
from tests.helpers.file_server import file_server
from tests.helpers.web_servers import gives, redirects_to, web_server

ONCE = RetryPolicy(attempts=1)
LOCAL = ReadingPolicy(private_hosts=("127.0.0.0/8", "::1"), most_bytes=1_000_000, seconds=1.5, idle_seconds=0.5)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def test_a_picture_is_read_under_our_own_name() -> None:
    with file_server() as server:
        server.files |= {"/a.png": b"picture", "/empty": b""}
        server.redirects = {"/moved": "/a.png", "/again": "/moved"}
        assert read_uri(f"{server.url}/a.png", LOCAL) == b"picture"
        assert read_uri(f"{server.url}/again", LOCAL) == b"picture"
        assert read_uri(f"{server.url}/empty", LOCAL) == b""
        with pytest.raises(ObjectMissing):
            read_uri(f"{server.url}/none", LOCAL)
        with pytest.raises(DownloadFailed):
            download([f"{server.url}/none"], _target(), sha256="0" * 64)
    assert {headers["User-Agent"] for _, headers in server.requests} == {f"nightreel/{version('nightreel')}"}


def _target() -> Any:
    from pathlib import Path
    from tempfile import mkdtemp

    return Path(mkdtemp()) / "file"


@pytest.mark.parametrize(
    ("behave", "kind", "words"),
    [
        (web_servers.hangs, AnswerLate, "no whole answer"),
        (web_servers.drips_headers, AnswerLate, r"no whole answer in 1\.5 s"),
        (web_servers.drips, AnswerLate, r"no whole answer in 1\.5 s"),
        (web_servers.never_ends, SourceRefused, "more than 1 MB.*NIGHTREEL_READ_MEGABYTES"),
        (web_servers.says_much, SourceRefused, "more than 1 MB"),
        (web_servers.bomb, SourceRefused, "more than 1 MB"),
        (web_servers.lies_long, AnswerCutOff, "breaks off half-way"),
        (web_servers.is_no_server, AnswerCutOff, "breaks off half-way"),
        (gives(b"x", "Content-Encoding: br"), StorageError, "packs it by 'br'"),
        (gives(b"x" * 20, "Content-Encoding: gzip"), StorageError, "can't be unpacked"),
        (gives(gzip.compress(b"x" * 999)[:-9], "Content-Encoding: gzip"), AnswerCutOff, "breaks off"),
        (redirects_to("file:///etc/passwd"), SourceRefused, "kind 'file:'"),
        (redirects_to("/a.png"), SourceRefused, "more than 5 times"),
        (redirects_to("http://169.254.169.254/latest/meta-data"), SourceRefused, r"private network \(169\.254"),
        (redirects_to("http://[::ffff:10.0.0.1]/"), SourceRefused, "private network"),
        (redirects_to("http://[x/"), StorageError, "no address of the web|cannot reach"),
    ],
)
def test_a_server_costs_a_bounded_time(behave: web_servers.Behaviour, kind: type[Exception], words: str) -> None:
    began = time.monotonic()
    with web_server(behave) as (url, _), pytest.raises(kind, match=words):
        SourceReader(LOCAL, ONCE).read(url)
    assert time.monotonic() - began < 8


def test_what_is_more_than_was_said_is_not_read() -> None:
    with web_server(web_servers.lies_short) as (url, _):
        assert read_uri(url, LOCAL) == bytes(10)


def test_what_is_packed_unasked_is_unpacked() -> None:
    with web_server(gives(gzip.compress(b"picture" * 1000), "Content-Encoding: gzip")) as (url, (*requests,)):
        assert read_uri(url, LOCAL) == b"picture" * 1000
    assert not requests


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "0177.0.0.1", "127.1", "0", "[::1]"]
)
def test_nothing_of_this_machine_is_asked_however_it_is_written(host: str) -> None:
    with web_server(gives(b"secret")) as (url, requests):
        with pytest.raises(StorageError) as caught:
            SourceReader(ReadingPolicy(), ONCE).read(url.replace("127.0.0.1", host))
        assert not requests
    assert isinstance(caught.value, SourceRefused) or "cannot reach" in str(caught.value)


def test_a_name_that_means_something_else_the_second_time_is_connected_to_as_checked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """DNS rebinding: asked again, the name would be this machine."""
    answers = iter(["203.0.113.7"])  # of no public network: in documentation only

    def looked_up(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers, "127.0.0.1"), port))]

    monkeypatch.setattr(socket, "getaddrinfo", looked_up)
    connected: list[Any] = []

    def connect(address: tuple[str, int], *_: Any, **__: Any) -> socket.socket:
        connected.append(address)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "create_connection", connect)
    quick = ReadingPolicy(private_hosts=("203.0.113.0/24",), seconds=0.3, idle_seconds=0.1)
    with pytest.raises(SourceRefused, match=r"private network \('rebinding\.example' is 127\.0\.0\.1\)"):
        read_uri("http://rebinding.example/a.png", quick)
    assert connected == [("203.0.113.7", 80)], "the second answer was not connected to"


def test_a_name_of_which_a_part_is_private_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 80)) for address in ("8.8.8.8", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    with pytest.raises(SourceRefused, match=r"10\.0\.0\.1"):
        read_uri("http://half.example/a.png")


def test_a_server_that_hung_is_not_waited_for_by_everybody() -> None:
    reader = SourceReader(LOCAL)

    def ask(url: str) -> type[Exception]:
        with pytest.raises(AnswerLate) as caught:
            reader.read(url)
        return type(caught.value)

    with web_server(web_servers.hangs) as (url, requests), ThreadPoolExecutor(8) as threads:
        began = time.monotonic()
        list(threads.map(ask, [url] * 100))
        assert time.monotonic() - began < 5
        assert len(requests) <= 8


def test_a_server_that_is_not_there_is_no_fault_of_the_row() -> None:
    with pytest.raises(StorageBusy, match="cannot reach"):
        SourceReader(LOCAL, ONCE).read(f"http://127.0.0.1:{free_port()}/a.png")
    with pytest.raises(StorageBusy, match="cannot reach"):
        SourceReader(LOCAL, ONCE).read("http://no-such-host.invalid/a.png")


def test_a_proxy_of_the_environment_is_asked_for_what_is_public_only(monkeypatch: pytest.MonkeyPatch) -> None:
    with web_server(gives(b"through the proxy")) as (proxy, requests):
        monkeypatch.setenv("http_proxy", proxy.removesuffix("/a.png"))
        assert (
            read_uri("http://203.0.113.7/a.png", ReadingPolicy(private_hosts=("203.0.113.7",))) == b"through the proxy"
        )
        assert requests[0].startswith(b"GET http://203.0.113.7/a.png HTTP/1.1\r\n")
        for host in ("10.0.0.1", "169.254.169.254", "2130706433"):
            with pytest.raises(SourceRefused, match="private network"):
                read_uri(f"http://{host}/a.png")
        assert len(requests) == 1


def test_a_password_goes_to_its_own_server_only() -> None:
    with web_server(gives(b"x")) as (second, there), web_server(redirects_to(second)) as (first, here):
        assert read_uri(first.replace("//", "//user:p%40ss@"), LOCAL) == b"x"
    assert b"Authorization: Basic dXNlcjpwQHNz" in here[0]
    assert b"Authorization" not in there[0]


def test_a_server_that_never_begins_with_tls_costs_a_bounded_time() -> None:
    began = time.monotonic()
    with web_server(web_servers.hangs) as (url, _), pytest.raises(AnswerLate):
        SourceReader(LOCAL, ONCE).read(url.replace("http://", "https://"))
    with web_server(web_servers.is_no_server) as (url, _), pytest.raises(StorageBusy):
        SourceReader(LOCAL, ONCE).read(url.replace("http://", "https://"))
    assert time.monotonic() - began < 8
