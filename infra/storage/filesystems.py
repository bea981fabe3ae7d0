"""fsspec's file systems: one per process, kind and options; and what their errors mean.

This module owns fsspec, s3fs and botocore. It decides what is tried again (`retry_policy` says how often), and it is
the one seam where the libraries' errors become those of `errors`. Credentials come from the environment
or from the libraries' own configuration files only.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import random
import threading
from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

import botocore.exceptions
import fsspec
from fsspec.core import split_protocol
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt

from infra import metrics
from infra.environment import odd_token_file
from infra.storage.errors import (
    AnswerCutOff,
    ObjectMissing,
    SourceRefused,
    StorageBusy,
    StorageError,
    StorageUnavailable,
    from_os_error,
    from_s3_code,
    from_web_status,
    s3_code,
)
from infra.storage.object_stores import moment
from infra.storage.retry_policy import RETRY_POLICY, RetryPolicy
from manifests.masking import without_secrets
from renderers.user_paths import at_home

__all__ = [
    "absolute_uri",
    "disconnect",
    "filesystem",
    "filesystem_of",
    "in_full",
    "kind_of",
    "path_of",
    "pause_before_retry",
    "translate",
    "translated",
]

T = TypeVar("T")

_KINDS = {"file": "file", "local": "file", "memory": "memory", "s3": "s3", "s3a": "s3", "gs": "gs", "gcs": "gs"}


# ---- names


def kind_of(uri: str) -> str | None:
    """Return the kind of store that a URI names, None if it is not among those that take commits."""
    return _KINDS.get(split_protocol(uri)[0] or "file")


def path_of(uri: str) -> str:
    """Return a URI without its protocol: for stores of buckets, the bucket and the prefix."""
    return str(split_protocol(uri)[1])


def absolute_uri(uri: str) -> str:
    """Return `uri`, as an absolute plain path if it is local: it then means the same to a worker in another folder."""
    protocol, path = split_protocol(uri)
    # abspath, not resolve(): a link that an operator made stays the name that people know
    return os.path.abspath(at_home(path)) if protocol in (None, "file", "local") else uri  # noqa: PTH100


# ---- file systems

_filesystems: dict[str, Any] = {}
_filesystems_lock = threading.Lock()
_left_to_the_parent: list[Any] = []


def _after_fork() -> None:
    """A child has no event loop thread, and must not close the sockets that it shares with its parent."""
    global _filesystems, _filesystems_lock
    _left_to_the_parent.append(_filesystems)
    _filesystems, _filesystems_lock = {}, threading.Lock()


os.register_at_fork(after_in_child=_after_fork)


def filesystem(kind: str, options: dict[str, Any], retry_policy: RetryPolicy = RETRY_POLICY) -> Any:
    """Return this process's file system of a kind ("file", "memory", "s3", "gs"), made when first asked for."""
    identity = json.dumps([kind, options, repr(retry_policy)], sort_keys=True, default=repr)
    with _filesystems_lock:
        if identity not in _filesystems:
            _filesystems[identity] = _new_filesystem(kind, options, retry_policy)
        return _filesystems[identity]


def filesystem_of(uri: str) -> tuple[Any, str]:
    """Return the file system that reads `uri`, and the path there. Never one of those of fsspec's that chain, unpack or
    fetch: whoever writes an address would choose what runs here.

    Raises:
        SourceRefused: there is none.
    """
    kind = kind_of(uri)
    if kind is None:
        raise SourceRefused(f"'{without_secrets(uri)}' is of no kind that is read", "give a path, s3:// or gs://")
    found = filesystem(kind, {})
    return found, str(found._strip_protocol(absolute_uri(uri) if kind == "file" else uri))


def disconnect() -> None:
    """Forget all connections of this process, so that changed credentials or endpoints in the environment count."""
    with _filesystems_lock:
        _filesystems.clear()


def _new_filesystem(kind: str, options: dict[str, Any], retry_policy: RetryPolicy) -> Any:
    # fsspec would share instances by thread: eight threads would hold eight clients, with eight pools of connections.
    common = {"use_listings_cache": False, "skip_instance_cache": True}
    if kind != "s3":
        return fsspec.filesystem(kind, **common, **options)  # gcsfs asks again by itself, with pauses and jitter
    # Imported here: they take a second or two, which a job on local files need not spend.
    from aiobotocore.session import AioSession
    from botocore.handlers import add_expect_header

    if (odd := odd_token_file()) is not None:
        raise StorageUnavailable(
            f"AWS_WEB_IDENTITY_TOKEN_FILE names '{odd}', which is no regular file", "name the file of the token"
        )
    for library in ("botocore", "aiobotocore", "s3fs"):  # what they warn of, with a stack, is in the error as well
        logging.getLogger(library).addHandler(logging.NullHandler())
    options = dict(options)
    session = AioSession(profile=options.pop("profile", None))
    # `Expect: 100-continue` before each PUT costs a round trip, and waits for a hung server without any timeout.
    session.unregister("before-call.s3", add_expect_header)
    # At botocore's own hook for it every request is covered, each part of an upload and each page of a listing too.
    # Its policies are not used: their pauses have no setting (7 s until a refused port shows, at four attempts), and
    # a quota shared by all threads ends their retries just when a server is in trouble.
    session.register("needs-retry.s3", partial(pause_before_retry, retry_policy))
    session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_server_time)
    config = {
        "connect_timeout": retry_policy.connect_seconds,
        "read_timeout": retry_policy.answer_seconds,
        "max_pool_connections": 32,
        "retries": {"total_max_attempts": 1, "mode": "standard"},
        **options.pop("config_kwargs", {}),
    }
    made = fsspec.filesystem("s3", session=session, config_kwargs=config, **common, **options)
    made.retries = 1
    return made


def _server_time(written: Any) -> datetime:
    """Return the time in an answer of S3. A page of a listing names a thousand, in ISO 8601: botocore's own reader,
    made for whatever form there is, takes four fifths of the time that a page takes, and is left those of headers."""
    try:
        return moment(written)
    except ValueError:
        from botocore.utils import parse_timestamp  # loads much that is seldom needed

        return parse_timestamp(written)


# ---- retries

_PASSING_STATUS = {429, 500, 502, 503, 504}
_HUNG = (botocore.exceptions.ReadTimeoutError, botocore.exceptions.ConnectTimeoutError)


def pause_before_retry(
    retry_policy: RetryPolicy,
    *,
    attempts: int,
    response: Any = None,
    caught_exception: Exception | None = None,
    **_: Any,
) -> float | None:
    """Answer botocore, after `attempts` of a request: the seconds to wait before the next, None if there is none."""
    if caught_exception is not None:
        passing = isinstance(translate(caught_exception, ""), StorageBusy)
    else:
        http, parsed = response
        code = parsed.get("Error", {}).get("Code")
        passing = http.status_code in _PASSING_STATUS or (
            code is not None and isinstance(from_s3_code(str(code), "", ""), StorageBusy)
        )
    if not passing:
        return None
    pause = retry_policy.pause(attempts, random.random(), hung=isinstance(caught_exception, _HUNG))
    metrics.count(metrics.STORAGE_RETRIES, 0 if pause is None else 1)
    return pause


def in_full(
    place: str,
    read: Callable[[], T],
    retry_policy: RetryPolicy = RETRY_POLICY,
    *,
    again_if: type[StorageBusy] = AnswerCutOff,
) -> T:
    """Return what `read` reads at the URI `place`, translating its errors, and reads again what broke off half-way.

    The one thing that `pause_before_retry` cannot see: the answer had begun, and botocore was content. `again_if` is
    StorageBusy for file systems without retries of their own.
    """

    def once() -> T:
        with translated(place):
            return read()

    again = Retrying(
        retry=retry_if_exception_type(again_if),
        stop=stop_after_attempt(retry_policy.attempts),
        wait=retry_policy.backoff,
        reraise=True,
    )
    return again(once)


# ---- errors

_FOREIGN = {"aiobotocore", "aiohttp", "botocore", "fsspec", "gcsfs", "google", "requests", "s3fs", "urllib3"}
# by name: to import aiohttp takes a second
_CUT_OFF = {
    "ClientPayloadError", "IncompleteReadError", "IncompleteRead", "ResponseStreamingError", "ResponseParserError",
}  # fmt: skip
_WEB_UNREACHABLE = {"ClientConnectionError", "ServerTimeoutError"}  # a name that is not known for the moment included


@contextlib.contextmanager
def translated(place: str) -> Iterator[None]:
    """Turn errors of the operating system and of the libraries into ours; bugs (TypeError, ...) stay what they are."""
    try:
        yield
    except StorageError:
        raise
    except Exception as error:
        foreign = type(error).__module__.split(".")[0] in _FOREIGN or s3_code(error) is not None
        if foreign or isinstance(error, OSError | ImportError | ValueError):
            meant = translate(error, place)
            if not isinstance(meant, ObjectMissing):  # many ask just that
                metrics.count(metrics.STORAGE_ERRORS, error=type(meant).__name__)
            raise meant from error
        raise


def translate(error: Exception, place: str) -> StorageError:
    """Return the error of ours that says what `error`, met at the URI `place`, means."""
    text = without_secrets(str(error))
    if (code := s3_code(error)) is not None:
        return from_s3_code(code, place, text)
    if any(kind.__name__ in _CUT_OFF for kind in type(error).__mro__):
        return AnswerCutOff(f"'{place}' breaks off half-way: {text}", "check the server and the network")
    if isinstance(error, botocore.exceptions.NoCredentialsError | botocore.exceptions.PartialCredentialsError):
        return StorageUnavailable(
            f"no credentials for '{place}'",
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (or AWS_PROFILE) where this process starts",
        )
    if isinstance(error, botocore.exceptions.ProfileNotFound | botocore.exceptions.ConfigParseError):
        return StorageUnavailable(f"AWS configuration for '{place}': {text}", "correct AWS_PROFILE or ~/.aws/config")
    if isinstance(error, botocore.exceptions.NoRegionError):
        return StorageUnavailable(f"no region for '{place}'", "set AWS_DEFAULT_REGION")
    if isinstance(error, botocore.exceptions.ParamValidationError):
        return StorageUnavailable(f"not a name that S3 takes: '{place}'", "write s3://bucket/prefix")
    if isinstance(error, botocore.exceptions.HTTPClientError | botocore.exceptions.ConnectionError):
        return StorageBusy(
            f"cannot reach '{place}': {text}",
            "start the server, or set AWS_ENDPOINT_URL (unset for AWS itself) and check the network",
        )
    if isinstance(status := getattr(error, "status", None), int):  # aiohttp's: an answer of a web server
        return from_web_status(status, place)
    if any(kind.__name__ in _WEB_UNREACHABLE for kind in type(error).__mro__):
        return StorageBusy(f"cannot reach '{place}': {text}", "check the address, the server and the network")
    if isinstance(error, ImportError):
        return StorageUnavailable(f"cannot open '{place}': {text}", "install the package named in this message")
    if isinstance(error, OSError):
        return from_os_error(error, place)
    if "auth" in f"{type(error).__module__}.{type(error).__name__}".lower():
        return StorageUnavailable(f"credentials for '{place}' are missing or refused", "sign in to that cloud first")
    return StorageError(f"'{place}': {text or type(error).__name__}")
