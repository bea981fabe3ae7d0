"""Which requests Prefect's server of `up` answers, and what its answers let other pages do."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from flows.local.guard import LOOPBACK_NAMES, SIGN_IN, Guard, refusal

OWN = "127.0.0.1:4200"
FOLLOWED = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"}


def headers(**given: str) -> list[tuple[bytes, bytes]]:
    return [(name.replace("_", "-").encode(), value.encode()) for name, value in {"host": OWN, **given}.items()]


@pytest.mark.parametrize("host", [OWN, "localhost:4200", "[::1]:4200", "127.0.0.1", "localhost:8888", "LOCALHOST:1"])
def test_this_machines_names_are_answered_at_any_port(host: str) -> None:
    assert refusal("GET", headers(host=host), names=LOOPBACK_NAMES) is None


@pytest.mark.parametrize(
    "host", ["attacker.example", "attacker.example:4200", "127.0.0.1.nip.example", "", "[::1", "localhost.evil:4200"]
)
def test_other_names_are_refused_as_a_rebound_page_has_one(host: str) -> None:
    assert "names" in (refusal("GET", headers(host=host), names=LOOPBACK_NAMES) or "")


def test_a_request_without_a_host_or_with_two_is_refused() -> None:
    assert refusal("GET", [], names=LOOPBACK_NAMES)
    assert refusal("GET", [*headers(), (b"host", b"attacker.example")], names=LOOPBACK_NAMES)


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "DELETE", "OPTIONS"])
@pytest.mark.parametrize(
    "origin", ["http://127.0.0.1:4201", "http://localhost:4200", "https://attacker.example", "null", ""]
)
def test_other_origins_are_refused_whatever_they_ask(method: str, origin: str) -> None:
    assert "origin" in (refusal(method, headers(origin=origin), names=LOOPBACK_NAMES) or "")


def test_the_servers_own_pages_and_named_origins_are_answered() -> None:
    assert refusal("POST", headers(origin=f"http://{OWN}"), names=LOOPBACK_NAMES) is None
    assert refusal("POST", headers(host="ui.example", origin="https://ui.example"), names={"ui.example"}) is None
    studio = "https://studio.example"
    assert refusal("POST", headers(origin=studio), names=LOOPBACK_NAMES, origins={studio}) is None


def test_a_request_that_a_browser_says_to_come_from_another_site_is_refused_but_a_followed_link_is_not() -> None:
    def asks(method: str, **given: str) -> str | None:
        return refusal(method, headers(**given), names=LOOPBACK_NAMES)

    # what a page's <img>, <script> or <iframe> asks for has no origin
    for site in ("cross-site", "same-site"):
        assert asks("GET", sec_fetch_site=site, sec_fetch_mode="no-cors", sec_fetch_dest="image")
        assert asks("GET", sec_fetch_site=site, sec_fetch_mode="navigate", sec_fetch_dest="iframe")
        assert asks("POST", sec_fetch_site=site, sec_fetch_mode="navigate", sec_fetch_dest="document")
    assert refusal("GET", headers(**FOLLOWED), names=LOOPBACK_NAMES) is None
    for site in ("same-origin", "none"):  # none: typed into the browser
        assert asks("GET", sec_fetch_site=site, sec_fetch_mode="navigate", sec_fetch_dest="document") is None


def asked(guard: Guard, kind: str = "http", path: str = "/api/health", **given: str) -> list[dict[str, Any]]:
    """What the guard sends for one request."""
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(dict(message))

    async def receive() -> dict[str, Any]:
        return {"type": "http.request"}

    scope = {"type": kind, "method": "GET", "path": path, "headers": headers(**given)}
    asyncio.run(guard(scope, receive, send))
    return sent


async def app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": [(b"etag", b"1")]})
    await send({"type": "http.response.body", "body": b"runs"})


def test_what_is_refused_never_reaches_the_server_behind() -> None:
    start, body = asked(Guard(app), origin="https://attacker.example")
    assert (start["status"], b"another origin" in body["body"]) == (403, True)
    (closed,) = asked(Guard(app), "websocket", origin="https://attacker.example")
    assert (closed["type"], closed["code"]) == ("websocket.close", 1008)
    assert asked(Guard(app), "websocket") == [{"type": "websocket.accept"}]


def test_every_answer_says_that_no_other_page_may_show_it() -> None:
    for path in ("/", "/api/health", SIGN_IN):
        start, _ = asked(Guard(app), path=path)
        sent = dict(start["headers"])
        assert start["status"] == 200
        assert sent[b"x-frame-options"] == b"DENY"
        assert b"frame-ancestors 'none'" in sent[b"content-security-policy"]
        assert sent[b"cross-origin-resource-policy"] == b"same-origin"


def test_names_and_origins_may_be_added_but_never_all_origins() -> None:
    guard = Guard(app, [" Studio.Example ", ""], ["https://pages.example/", "*", ""])
    for good in ({"host": "studio.example"}, {"origin": "https://pages.example"}):
        assert asked(guard, **good)[0]["status"] == 200
    for bad in ({"host": ""}, {"origin": "*"}, {"origin": ""}, {"origin": "https://other.example"}):
        assert asked(guard, **bad)[0]["status"] == 403
