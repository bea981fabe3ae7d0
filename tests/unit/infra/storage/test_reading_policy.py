"""What may be read: decided in milliseconds, without a network."""

from __future__ import annotations

import ipaddress

import pytest

from infra.storage.reading_policy import (
    ReadingPolicy,
    check_address,
    check_below,
    check_redirect,
    check_scheme,
    is_public,
)
from infra.storage.storage import SourceRefused, folder_of_manifest
from manifests.errors import ErrorKind


@pytest.mark.parametrize(
    ("uri", "kind"),
    [
        ("a.png", "file"), ("/a/b.png", "file"), ("~/a:b.png", "file"), ("./x::y.png", "file"),
        ("file:///a/b.png", "file"), ("local://a", "file"), ("memory://a", "memory"), ("s3://bucket/a::b", "s3"),
        ("s3a://b/k", "s3"), ("gcs://b/k", "gs"), ("http://host/a?b=zip://c", "web"), ("HTTPS://host/a", "web"),
    ],
)  # fmt: skip
def test_what_is_read(uri: str, kind: str) -> None:
    assert check_scheme(uri, uri) == kind


@pytest.mark.parametrize(
    "uri",
    [
        "zip://a.png::/tmp/a.zip", "tar://a::b.tar", "simplecache::http://host/a", "filecache::/etc/passwd",
        "blockcache::s3://b/k", "reference://", "reference::x", "jupyter://host/a", "hf://datasets/a/b",
        "data:;base64,YQ==",
        "DATA:,x", "ftp://host/a", "sftp://host/a", "ssh://h/a", "smb://h/a", "git://a", "github://o:r@main/a",
        "dask://a", "dir::file:///etc", "hdfs://a", "webhdfs://a", "dbfs://a", "libarchive://a", "arrow_hdfs://a",
        "nonsense://x", "file::http://h/a", "http::x", "FILE:///etc/passwd", " http://host", "://x",
        "gopher://h/a", "az://c/k", "abfs://c/k", "root://h/a", "pyfilesystem://a", "javascript://x",
    ],
)  # fmt: skip
def test_what_is_never_read(uri: str) -> None:
    with pytest.raises(SourceRefused, match="which is not read: give a path, or an address that begins with") as caught:
        check_scheme(uri, uri)
    assert caught.value.kind is ErrorKind.BAD_INPUT


def test_every_protocol_of_fsspec_is_known_or_refused() -> None:
    from fsspec.registry import known_implementations

    read = {name for name in known_implementations if _is_read(f"{name}://host/a")}
    assert read == {"file", "local", "memory", "s3", "s3a", "gs", "gcs", "http", "https"}


def _is_read(uri: str) -> bool:
    try:
        check_scheme(uri, uri)
    except SourceRefused:
        return False
    return True


@pytest.mark.parametrize(
    ("path", "allowed"),
    [
        ("/data/night/a.png", True), ("/data/night", True), ("/data/nightly/a.png", False), ("/data/a.png", False),
        ("/data/night/../a.png", False), ("s3://bucket/night/a.png", True), ("s3a://bucket/night/a.png", True),
        ("s3://bucket/nightly/a.png", False), ("s3://bucket/night/../other/a.png", False), ("s3://bucket", False),
        ("gs://bucket/night/a.png", False), ("memory://night/a.png", False), ("data/night/a.png", False),
    ],
)  # fmt: skip
def test_roots_are_whole_folders(path: str, allowed: bool) -> None:
    roots = ("/data/night", "s3://bucket/night")
    if allowed:
        check_below(path, roots, path)
    else:
        with pytest.raises(SourceRefused, match=r"NIGHTREEL_READ_ROOTS|'\.\.'"):
            check_below(path, roots, path)


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True), ("2606:4700::1111", True), ("::ffff:8.8.8.8", True), ("64:ff9b::808:808", True),
        ("127.0.0.1", False), ("127.8.8.8", False), ("0.0.0.0", False), ("10.0.0.1", False), ("172.16.0.1", False),
        ("192.168.1.1", False), ("169.254.169.254", False), ("100.64.1.1", False), ("192.0.0.192", False),
        ("168.63.129.16", False), ("::ffff:168.63.129.16", False), ("3fff:1::1", False), ("168.63.129.17", True),
        ("224.0.0.1", False), ("255.255.255.255", False), ("240.0.0.1", False), ("198.18.0.1", False),
        ("::1", False), ("::", False), ("fd00:ec2::254", False), ("fe80::1", False), ("fec0::1", False),
        ("ff02::1", False), ("::ffff:127.0.0.1", False), ("::ffff:a9fe:a9fe", False), ("::7f00:1", False),
        ("64:ff9b::7f00:1", False), ("2002:7f00:1::", False), ("2001:0:7f00:1::", False),
    ],
)  # fmt: skip
def test_addresses(address: str, public: bool) -> None:
    assert is_public(ipaddress.ip_address(address)) is public


@pytest.mark.parametrize(
    ("allowed", "fine"),
    [
        ((), False), (("files.lan",), True), (("FILES.lan",), True), (("10.1.2.3",), True), (("10.0.0.0/8",), True),
        (("10.1.0.0/24",), False), (("lan",), False), (("other.lan", "192.168.0.0/16"), False),
    ],
)  # fmt: skip
def test_private_hosts_are_named(allowed: tuple[str, ...], fine: bool) -> None:
    policy = ReadingPolicy(private_hosts=allowed)
    if fine:
        check_address("files.lan", "10.1.2.3", policy, "http://files.lan/a.png")
        check_address("files.lan", "::ffff:10.1.2.3", policy, "http://files.lan/a.png")
    else:
        with pytest.raises(SourceRefused, match=r"private network \('files\.lan' is 10\.1\.2\.3\).*READ_PRIVATE_HOSTS"):
            check_address("files.lan", "10.1.2.3", policy, "http://files.lan/a.png")


@pytest.mark.parametrize(
    ("source", "target", "hops", "words"),
    [
        ("http://a/", "https://b/", 1, ""), ("http://a/", "http://b/", 5, ""), ("https://a/", "https://b/", 1, ""),
        ("http://a/", "http://b/", 6, "more than 5 times"), ("https://a/", "http://a/", 1, "from https to http"),
        ("http://a/", "file:///etc/passwd", 1, "kind 'file:'"), ("http://a/", "ftp://b/", 1, "kind 'ftp:'"),
    ],
)  # fmt: skip
def test_redirects(source: str, target: str, hops: int, words: str) -> None:
    if not words:
        check_redirect(source, target, hops, source)
    else:
        with pytest.raises(SourceRefused, match=words):
            check_redirect(source, target, hops, source)


@pytest.mark.parametrize(
    ("manifest", "folder"),
    [
        ("/data/night.parquet", "/data"), ("file:///data/night.parquet", "/data"), ("/data/*/x.parquet", "/data"),
        ("/data/ni*.parquet", "/data"), ("s3://bucket/night/a.parquet", "s3://bucket/night"),
        ("s3://bucket/night", "s3://bucket/night"), ("s3://bucket/night/", "s3://bucket/night"),
        ("s3://bucket/n*/a.parquet", "s3://bucket"), ("https://host/night/a.parquet", "https://host/night"),
    ],
)  # fmt: skip
def test_the_folder_of_a_manifest(manifest: str, folder: str) -> None:
    assert folder_of_manifest(manifest) == folder
