"""Reading from web servers that somebody else names: bounded in bytes and time, and never from a private network.

On httpcore, the transport below httpx, which lets the connection be made by `web_connections`. Redirects are followed
by hand, each checked like the first address.

A proxy of the environment is used as everywhere. It resolves names itself: then what the name stands for here is
checked, which need not be what the proxy finds.
"""

from __future__ import annotations

import base64
import contextlib
import ssl
import zlib
from collections.abc import Iterable, Iterator
from functools import cache

import httpcore
import httpx

from infra.environment import proxy_for
from infra.proxies import askable
from infra.storage.errors import (
    AnswerCutOff,
    AnswerLate,
    SourceRefused,
    StorageBusy,
    StorageError,
    StorageUnavailable,
    from_web_status,
)
from infra.storage.reading_policy import ReadingPolicy, check_redirect
from infra.storage.user_agent import user_agent
from infra.storage.web_connections import Network
from infra.storage.web_time import Deadline, HungServers
from manifests.masking import address_without_secrets, without_secrets

__all__ = ["get"]

_REDIRECTS = {301, 302, 303, 307, 308}
_PIECE = 1 << 16
_CONNECT_SECONDS = 5.0  # for one of the addresses of a name


def get(url: str, policy: ReadingPolicy, deadline: Deadline, hung: HungServers) -> Iterator[bytes]:
    """Yield what lies at `url`, unpacked, piece by piece.

    Raises:
        SourceRefused: its server, or one that it redirects to, is private, or there is more than is allowed.
        ObjectMissing, StorageUnavailable, StorageError: what the server answers, see `from_web_status`.
        StorageBusy: the server is not there, or overloaded; AnswerCutOff: it breaks off; AnswerLate: it is too slow.
    """
    place = without_secrets(url)
    target, hops = _parsed(url, place), 0
    login = _login(target)
    while True:
        network = Network(policy, deadline, hung, place)
        with _translated(place, deadline, network), _connections(target, network) as connections:
            request = connections.stream(
                "GET", _core_url(target), headers=_headers(target, login), extensions={"timeout": _timeouts(policy)}
            )
            with request as answer:
                headers = {key.lower().decode("latin-1"): value.decode("latin-1") for key, value in answer.headers}
                if answer.status not in _REDIRECTS or "location" not in headers:
                    yield from _body(answer, headers, policy, place)
                    if not deadline.left:  # its connection was shut: that looks like an end where no length was said
                        raise httpcore.ReadTimeout
                    return
        hops += 1
        following = target.join(_parsed(headers["location"], place))
        check_redirect(str(target), str(following), hops, place)
        login = login if following.netloc == target.netloc else _login(following)
        target = following


def _body(answer: httpcore.Response, headers: dict[str, str], policy: ReadingPolicy, place: str) -> Iterator[bytes]:
    if answer.status != 200:
        raise from_web_status(answer.status, place)
    length = headers.get("content-length", "")
    if length.isdigit() and len(length) < 20:
        policy.check_size(int(length), place)
    unpacked = _unpacked(answer.iter_stream(), headers.get("content-encoding", "identity").strip().lower(), place)
    count = 0
    for piece in unpacked:
        count += len(piece)
        policy.check_size(count, place)
        yield piece


def _unpacked(pieces: Iterable[bytes], coding: str, place: str) -> Iterator[bytes]:
    """Unpack what a server packs although it was asked not to; never more than a piece at a time."""
    if coding in ("", "identity"):
        yield from pieces
        return
    if coding not in ("gzip", "x-gzip", "deflate"):
        raise StorageError(f"'{place}': its server packs it by '{coding[:40]}', which is not read")
    inflate = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
    try:
        for piece in pieces:
            rest = piece
            while rest and not inflate.eof:
                yield inflate.decompress(rest, _PIECE)
                rest = inflate.unconsumed_tail
        while not inflate.eof and (more := inflate.decompress(b"", _PIECE)):
            yield more
    except zlib.error as error:
        raise StorageError(f"'{place}': what its server sends can't be unpacked ({error})") from error
    if not inflate.eof:
        raise AnswerCutOff(f"'{place}' breaks off half-way", "check the server and the network")


# ---- requests


def _parsed(url: str, place: str) -> httpx.URL:
    try:
        return httpx.URL(url)
    except (httpx.InvalidURL, ValueError) as error:
        # its own words quote a part of the address, which may be one of a password
        why = f" ({without_secrets(str(error))})" if place == url else ""
        raise SourceRefused(f"'{place}' is no address of the web{why}", "correct it") from error


def _core_url(url: httpx.URL) -> httpcore.URL:
    return httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)


def _headers(url: httpx.URL, login: bytes | None) -> list[tuple[bytes, bytes]]:
    sent = [(b"Host", url.netloc), (b"User-Agent", user_agent().encode()), (b"Accept", b"*/*"),
            (b"Accept-Encoding", b"identity"), (b"Connection", b"close")]  # fmt: skip
    return [*sent, (b"Authorization", login)] if login else sent


def _login(url: httpx.URL) -> bytes | None:
    """The name and password in an address, as a header; None without."""
    if not url.userinfo:
        return None
    return b"Basic " + base64.b64encode(f"{url.username}:{url.password}".encode())


def _timeouts(policy: ReadingPolicy) -> dict[str, float]:
    return {"connect": min(_CONNECT_SECONDS, policy.idle_seconds), "read": policy.idle_seconds,
            "write": policy.idle_seconds, "pool": policy.idle_seconds}  # fmt: skip


@cache
def _trusted() -> ssl.SSLContext:
    return httpx.create_ssl_context()


def _connections(url: httpx.URL, network: Network) -> httpcore.ConnectionPool:
    """Connections for one request: none is kept, so that none is used for a name that it was not checked for."""
    proxy = _proxy(url)
    if proxy is None:
        return httpcore.ConnectionPool(_trusted(), network_backend=network, max_keepalive_connections=0)
    network.go_through(proxy.host, url.host, url.port or (443 if url.scheme == "https" else 80))
    login = (proxy.username, proxy.password) if proxy.userinfo else None
    return httpcore.HTTPProxy(
        f"{proxy.scheme}://{proxy.netloc.decode()}", login, ssl_context=_trusted(), network_backend=network,
        max_keepalive_connections=0,
    )  # fmt: skip


def _proxy(url: httpx.URL) -> httpx.URL | None:
    """The proxy that the environment names for `url`.

    Raises:
        StorageUnavailable: it is no address, or of a kind that is not asked (SOCKS).
    """
    proxy = proxy_for(url.scheme, url.host)
    if proxy is None:
        return None
    parsed = askable(proxy)
    if parsed is None:
        raise StorageUnavailable(
            f"the proxy that the environment names for '{url.scheme}:' is not one that can be asked: "
            f"'{address_without_secrets(proxy if '://' in proxy else f'http://{proxy}')}'",
            f"give an address with http:// or https:// in {url.scheme.upper()}_PROXY or ALL_PROXY, or the server in "
            "NO_PROXY",
        )
    return parsed


@contextlib.contextmanager
def _translated(place: str, deadline: Deadline, network: Network) -> Iterator[None]:
    try:
        yield
    except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError, OSError) as error:
        said = without_secrets(str(error)) or type(error).__name__
        remedy = "check the address, the server and the network"
        if isinstance(error, httpcore.ConnectError | httpcore.ProxyError):
            raise StorageBusy(f"cannot reach '{place}': {said}", remedy) from error
        if isinstance(error, httpcore.TimeoutException) or not deadline.left:
            network.late()
            seconds = f" in {deadline.seconds:g} s" if not deadline.left else ""
            raise AnswerLate(f"no whole answer{seconds} from '{place}'", remedy) from error
        raise AnswerCutOff(f"'{place}' breaks off half-way: {said}", remedy) from error
