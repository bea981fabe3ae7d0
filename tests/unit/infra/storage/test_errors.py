"""Every error that the libraries below storage can raise becomes one of ours, and says nothing secret."""

from __future__ import annotations

import builtins
import errno
import os
import string
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import aiohttp
import botocore.exceptions
import pytest
from fsspec.exceptions import FSTimeoutError
from s3fs.errors import ERROR_CODE_TO_EXCEPTION, translate_boto_error

from infra.storage.filesystems import translate
from infra.storage.storage import ObjectMissing, Storage, StorageBusy, StorageError, StorageUnavailable

PLACE = "s3://bucket/night"


def subclasses(root: type) -> Iterator[type]:
    child: type
    for child in root.__subclasses__():
        yield child
        yield from subclasses(child)


def botocore_errors() -> list[Exception]:
    errors: list[Exception] = []
    for kind in sorted(set(subclasses(botocore.exceptions.BotoCoreError)), key=lambda kind: kind.__name__):
        if kind.__module__ == "botocore.exceptions":
            fields = {name: name for _, name, _, _ in string.Formatter().parse(kind.fmt) if name}  # type: ignore[attr-defined]
            fields |= {"error": "gone"} if issubclass(kind, botocore.exceptions.HTTPClientError) else {}
            try:
                errors.append(kind(**fields))
            except (KeyError, TypeError):  # a signature of its own
                errors.append(kind(**{**fields, "last_response": None, "reason": "x"}))
    return errors


def s3_answer(code: str, message: str = "the server's own words") -> botocore.exceptions.ClientError:
    return botocore.exceptions.ClientError({"Error": {"Code": code, "Message": message}}, "PutObject")


@pytest.mark.parametrize("error", botocore_errors(), ids=lambda error: type(error).__name__)
def test_botocore(error: Exception) -> None:
    assert isinstance(translate(error, PLACE), StorageError)


def test_there_are_botocore_errors_to_test() -> None:
    assert len(botocore_errors()) > 80


@pytest.mark.parametrize("code", sorted(ERROR_CODE_TO_EXCEPTION))
@pytest.mark.parametrize("by_s3fs", [False, True])
def test_answers_of_s3(code: str, by_s3fs: bool) -> None:
    error = s3_answer(code)
    ours = translate(translate_boto_error(error) if by_s3fs else error, PLACE)
    assert isinstance(ours, StorageError)
    assert PLACE in str(ours)
    assert bool(ours.remedy) or not isinstance(ours, StorageUnavailable)


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        ("NoSuchKey", ObjectMissing, "nothing at"),
        ("404", ObjectMissing, "nothing at"),
        ("NoSuchBucket", StorageUnavailable, "create the bucket"),
        ("InvalidAccessKeyId", StorageUnavailable, "AWS_ACCESS_KEY_ID"),
        ("SignatureDoesNotMatch", StorageUnavailable, "AWS_SECRET_ACCESS_KEY"),
        ("AccessDenied", StorageUnavailable, "not permitted"),
        ("403", StorageUnavailable, "not permitted"),
        ("ExpiredToken", StorageUnavailable, "sign in again"),
        ("RequestTimeTooSkewed", StorageUnavailable, "clock"),
        ("PermanentRedirect", StorageUnavailable, "AWS_DEFAULT_REGION"),
        ("SlowDown", StorageBusy, "try again later"),
        ("503", StorageBusy, "try again later"),
        ("NotImplemented", StorageUnavailable, "If-None-Match"),
        ("EntityTooLarge", StorageError, "EntityTooLarge.*own words"),
        ("SomethingNew", StorageError, "SomethingNew.*own words"),
    ],
)
def test_what_an_answer_of_s3_means(code: str, kind: type[StorageError], words: str) -> None:
    ours = translate(translate_boto_error(s3_answer(code)), PLACE)
    assert type(ours) is kind
    with pytest.raises(kind, match=words):
        raise ours


@pytest.mark.parametrize("number", sorted(errno.errorcode), ids=lambda number: errno.errorcode[number])
def test_the_operating_system(number: int) -> None:
    ours = translate(OSError(number, os.strerror(number), "/out/a"), "/out/a")
    assert isinstance(ours, StorageError)
    assert "/out/a" in str(ours)
    assert bool(ours.remedy) or not isinstance(ours, StorageUnavailable)


BUILT_IN = sorted(kind.__name__ for kind in (OSError, *subclasses(OSError)) if hasattr(builtins, kind.__name__))


@pytest.mark.parametrize("name", sorted(set(BUILT_IN)))
def test_errors_without_a_number(name: str) -> None:
    """fsspec's file systems raise FileNotFoundError(path) and the like."""
    ours = translate(getattr(builtins, name)("/out/a"), "/out/a")
    assert isinstance(ours, StorageError)
    assert isinstance(ours, ObjectMissing) == (name == "FileNotFoundError")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (botocore.exceptions.NoCredentialsError(), "AWS_ACCESS_KEY_ID"),
        (botocore.exceptions.PartialCredentialsError(provider="env", cred_var="x"), "AWS_ACCESS_KEY_ID"),
        (botocore.exceptions.ProfileNotFound(profile="night"), "night.*AWS_PROFILE"),
        (botocore.exceptions.EndpointConnectionError(endpoint_url="http://10.0.0.1:9"), "10.0.0.1:9.*AWS_ENDPOINT_URL"),
        (botocore.exceptions.ConnectTimeoutError(endpoint_url="http://10.0.0.1:9"), "10.0.0.1:9.*AWS_ENDPOINT_URL"),
        (botocore.exceptions.ReadTimeoutError(endpoint_url="http://10.0.0.1:9"), "10.0.0.1:9.*AWS_ENDPOINT_URL"),
        (FSTimeoutError(), "no answer in time"),
        (TimeoutError(), "no answer in time"),
        (ConnectionRefusedError(errno.ECONNREFUSED, "refused"), "cannot reach"),
        (OSError(errno.ENOSPC, "full"), "free space"),
        (OSError(errno.EROFS, "read-only"), "read-only file system"),
        (OSError(errno.EOPNOTSUPP, "no hard links"), "hard links"),
        (ImportError("Please install gcsfs to access Google Storage"), "gcsfs"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_storage_is_unavailable(error: Exception, words: str) -> None:
    ours = translate(error, PLACE)
    assert isinstance(ours, StorageUnavailable)
    assert ours.remedy
    with pytest.raises(StorageUnavailable, match=words):
        raise ours


class Broken:
    """A file system that fails in one way, to stand where the libraries are called."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __getattr__(self, name: str) -> Any:
        def fail(*args: object, **kwargs: object) -> None:
            raise self.error

        return fail


@pytest.mark.parametrize(
    "error",
    [
        s3_answer("AccessDenied"),
        PermissionError("no"),
        FSTimeoutError(),
        aiohttp.ClientPayloadError("cut off"),
        botocore.exceptions.EndpointConnectionError(endpoint_url="x"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_no_method_lets_a_foreign_error_through(
    error: Exception, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setattr("infra.storage.storage.filesystem", lambda kind, options, retry_policy: Broken(error))
    (tmp_path / "a").write_bytes(b"x")
    storage = Storage("s3://bucket/out")
    for use in (
        lambda: storage.read("a"),
        lambda: storage.exists("a"),
        lambda: list(storage.list()),
        lambda: storage.put("a", b"x"),
        lambda: storage.put("a", b"x", existing="same"),
        lambda: storage.put("a", b"x", existing="replace"),
        lambda: storage.put_file("a", tmp_path / "a"),
        lambda: storage.delete("a"),
        storage.check,
    ):
        with pytest.raises(StorageError) as caught:
            use()
        assert caught.value.__cause__ is not None


def test_a_bug_stays_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "infra.storage.storage.filesystem", lambda kind, options, retry_policy: Broken(TypeError("a bug"))
    )
    with pytest.raises(TypeError, match="a bug"):
        Storage("s3://bucket/out").read("a")


def test_secrets_stay_secret() -> None:
    secret = "wJalrXUtnFEMI"
    for error in (
        botocore.exceptions.ProxyConnectionError(proxy_url=f"http://me:{secret}@proxy:3128", error="x"),
        s3_answer("SomethingNew", f"https://host/a?X-Amz-Signature={secret}&X-Amz-Credential={secret}"),
        OSError(f"https://me:{secret}@host/a"),
        ValueError(f"https://host/a?token={secret}"),
    ):
        ours = translate(error, PLACE)
        assert secret not in f"{ours!r} {ours}"


@pytest.mark.parametrize(
    ("status", "kind"),
    [(404, "bad input"), (410, "bad input"), (403, "storage"), (429, "infrastructure"), (503, "infrastructure"),
     (418, "application")],
)  # fmt: skip
def test_a_web_servers_status_says_of_which_kind_it_is(status: int, kind: str) -> None:
    request: Any = SimpleNamespace(real_url="http://host/a")
    error = aiohttp.ClientResponseError(request, (), status=status, message="no")
    assert translate(error, "http://host/a").kind == kind


def test_a_name_that_is_not_known_may_be_known_later() -> None:
    key: Any = SimpleNamespace(host="nowhere", port=80, ssl=True)
    error = aiohttp.ClientConnectorDNSError(key, OSError(-2, "Name or service not known"))
    assert translate(error, "http://nowhere/a").kind == "infrastructure"
