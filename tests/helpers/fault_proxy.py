"""A reverse proxy that makes an S3 server's life, and that of its clients, hard: seeded faults on real HTTP.

    with FaultProxy(server.url, FaultPlan(seed=7, server_errors=0.02, resets=0.02)) as proxy:
        use_environment(monkeypatch, {**server.environment, "AWS_ENDPOINT_URL": proxy.url})
        ...
        proxy.refuse(r"/reef/frames/000003-", 403)   # for good, until proxy.allow()
        assert proxy.counts["resets"] > 0

It runs in a thread of its own on loopback, so processes that the test starts (Ray's, too) reach it by its URL. Whether
a request suffers is decided by the seed, its method, its path and how often that was asked before: never by the order
in which threads happen to arrive. So a test that passes does so for every run.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
import re
import socket
import struct
import threading
from collections import Counter
from dataclasses import dataclass, fields
from types import TracebackType
from typing import Literal, Self, cast

import aiohttp
from aiohttp import web
from yarl import URL

__all__ = ["Fault", "FaultPlan", "FaultProxy"]

Fault = Literal["server_errors", "slow_downs", "delays", "resets", "cut_uploads", "lost_answers", "truncations"]


@dataclass(frozen=True)
class FaultPlan:
    """Which share of requests suffers what; the shares add up to 1 at most.

    Attributes:
        server_errors: answered 500 InternalError; the server never hears of the request.
        slow_downs: answered 503 SlowDown; likewise.
        delays: held for `delay_seconds`, then served.
        resets: the connection is reset (RST) before anything is done.
        cut_uploads: the server gets the first half of the body, then both connections break; without a body, a reset.
        lost_answers: done by the server, and the connection reset before the answer: a PUT that counts all the same.
        truncations: the answer breaks off in the middle of its body; one without a body is lost.
        delay_seconds: how long `delays` take.
    """

    seed: int = 0
    server_errors: float = 0.0
    slow_downs: float = 0.0
    delays: float = 0.0
    resets: float = 0.0
    cut_uploads: float = 0.0
    lost_answers: float = 0.0
    truncations: float = 0.0
    delay_seconds: float = 0.3

    @classmethod
    def all_ways(cls, seed: int, share: float, **more: float) -> FaultPlan:
        """`share` of all requests, spread evenly over all ways to fail."""
        each = share / len(_FAULTS)
        return cls(seed=seed, **{**dict.fromkeys(_FAULTS, each), **more})  # type: ignore[arg-type]

    def fault(self, method: str, path: str, time: int) -> Fault | None:
        """What happens to a request that is made for the `time`-th time (from 0)."""
        address = f"{self.seed}|{method}|{path}|{time}".encode()
        chance = int.from_bytes(hashlib.sha256(address).digest()[:8], "big") / 2**64
        for name in _FAULTS:
            chance -= getattr(self, name)
            if chance < 0:
                return name
        return None


_FAULTS = cast(
    "tuple[Fault, ...]", tuple(field.name for field in fields(FaultPlan) if field.name not in ("seed", "delay_seconds"))
)
_HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "upgrade", "te", "trailer", "proxy-connection"}
_REFUSALS = {403: "AccessDenied", 507: "InsufficientStorage"}


class FaultProxy:
    """The proxy in front of `target` (http://host:port), served between `__enter__` and `__exit__`.

    `plan` may be replaced at any time; how often each request was asked starts at 0 then. `counts` holds how often each
    fault struck, the "refused" PUTs, and all "requests".
    """

    def __init__(self, target: str, plan: FaultPlan | None = None) -> None:
        self.target = target
        self._plan = plan or FaultPlan()
        self.counts: Counter[str] = Counter()
        self._refused: tuple[re.Pattern[str], int] | None = None
        self._asked: Counter[tuple[str, str]] = Counter()
        self._port = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="fault proxy", daemon=True)
        self._ready = threading.Event()
        self._ended: asyncio.Event
        self._failure: BaseException | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    @property
    def plan(self) -> FaultPlan:
        return self._plan

    @plan.setter
    def plan(self, plan: FaultPlan) -> None:
        self._plan = plan
        self._asked = Counter()

    @property
    def faults(self) -> int:
        """How many requests suffered anything so far."""
        return sum(self.counts[name] for name in _FAULTS) + self.counts["refused"]

    def refuse(self, pattern: str, status: int = 403) -> None:
        """Refuses every PUT whose path (`/bucket/key`) matches the regular expression from now on, with 403 or 507."""
        self._refused = (re.compile(pattern), status)

    def allow(self) -> None:
        """Refuses nothing any more."""
        self._refused = None

    def answered(self, request: web.BaseRequest, status: int, fault: Fault | None) -> None:
        """The server has answered a request, in the thread; the client will hear of it unless the fault is one of the
        answer's. For subclasses that keep count."""

    def __enter__(self) -> Self:
        self._thread.start()
        self._ready.wait(30)
        if self._failure is not None or not self._port:
            raise RuntimeError("the fault proxy does not start") from self._failure
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(30)

    # ---- in the thread

    def _serve(self) -> None:
        try:
            self._loop.run_until_complete(self._run())
        except BaseException as error:
            self._failure = error
        finally:
            self._ready.set()
            self._loop.close()

    async def _run(self) -> None:
        self._ended = asyncio.Event()
        connector = aiohttp.TCPConnector(limit=0, force_close=True)  # a stale kept connection would be a fault unasked
        timeout = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False) as self._session:
            runner = web.ServerRunner(web.Server(self._handle, access_log=None), shutdown_timeout=1)
            await runner.setup()
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            assert site._server is not None
            self._port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
            self._ready.set()
            await self._ended.wait()
            await runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        method, path = request.method, request.raw_path
        body = await request.content.read()
        self.counts["requests"] += 1
        refused = self._refused
        if method == "PUT" and refused is not None and refused[0].search(URL(path, encoded=True).path):
            self.counts["refused"] += 1
            return _s3_error(refused[1], _REFUSALS.get(refused[1], "AccessDenied"))
        fault = self.plan.fault(method, path, self._asked[method, path])
        self._asked[method, path] += 1
        if fault is not None:
            self.counts[fault] += 1
        if fault == "server_errors":
            return _s3_error(500, "InternalError", empty=method == "HEAD")
        if fault == "slow_downs":
            return _s3_error(503, "SlowDown", empty=method == "HEAD")
        if fault == "cut_uploads" and body:
            await self._cut_upload(request, body)
        if fault in ("resets", "cut_uploads"):
            return _reset(request)
        if fault == "delays":
            await asyncio.sleep(self.plan.delay_seconds)
        return await self._pass_on(request, body, fault)

    async def _cut_upload(self, request: web.BaseRequest, body: bytes) -> None:
        """Sends the server what a client sends that dies in the middle of an upload."""
        target = URL(self.target)
        _, writer = await asyncio.open_connection(target.host, target.port)
        head = f"{request.method} {request.raw_path} HTTP/1.1\r\n".encode()
        head += b"".join(name + b": " + value + b"\r\n" for name, value in request.raw_headers)
        with contextlib.suppress(ConnectionError):
            writer.write(head + b"\r\n" + body[: len(body) // 2])
            await writer.drain()
            await asyncio.sleep(0.01)  # so that the half is there before the connection breaks
        writer.close()

    async def _pass_on(self, request: web.BaseRequest, body: bytes, fault: Fault | None) -> web.StreamResponse:
        # Host stays the client's: the signature covers it.
        headers = [(name, value) for name, value in request.headers.items() if name.lower() not in _HOP_BY_HOP]
        url = URL(self.target + request.raw_path, encoded=True)
        skip = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")
        data = io.BytesIO(body) if body else None  # aiohttp warns of large plain bytes
        try:
            async with self._session.request(
                request.method, url, headers=headers, data=data, allow_redirects=False, skip_auto_headers=skip
            ) as answer:
                content = await answer.read()
        except aiohttp.ClientError:  # the server is gone; so is the proxy, as far as the client can tell
            self.counts["target_gone"] += 1
            return _reset(request)
        self.answered(request, answer.status, fault)
        if fault == "lost_answers" or (fault == "truncations" and not content):
            return _reset(request)
        response = web.StreamResponse(status=answer.status, reason=answer.reason)
        for name, value in answer.headers.items():
            if name.lower() not in _HOP_BY_HOP | {"content-length"}:
                response.headers.add(name, value)
        length = answer.headers.get("Content-Length")
        response.content_length = len(content) if length is None else int(length)  # a HEAD tells one, without content
        with contextlib.suppress(ConnectionError):  # the client was killed, or is tired of waiting
            await response.prepare(request)
            if fault == "truncations":
                await response.write(content[: len(content) // 2])
                await asyncio.sleep(0.01)  # so that the half leaves before the connection breaks
                return _reset(request, linger=True)
            if content:
                await response.write(content)
            await response.write_eof()
        return response


def _s3_error(status: int, code: str, *, empty: bool = False) -> web.Response:
    text = f'<?xml version="1.0" encoding="UTF-8"?><Error><Code>{code}</Code><Message>fault proxy</Message></Error>'
    return web.Response(status=status, text=None if empty else text, content_type="application/xml")


def _reset(request: web.BaseRequest, *, linger: bool = False) -> web.StreamResponse:
    """Breaks the connection: with a RST, or with a FIN after what was sent if it is to `linger`."""
    if request.transport is not None:
        sock = request.transport.get_extra_info("socket")
        if not linger and sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        request.transport.close() if linger else request.transport.abort()
    return web.StreamResponse()  # aiohttp wants one; nobody is left to read it
