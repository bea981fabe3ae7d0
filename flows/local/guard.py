"""What stands before Prefect's server on loopback, and answers for it where it must not.

Prefect's own key says who may use the API. But a browser goes wherever any page sends it, with whatever its person has
there; so requests must name this machine as their host (a page whose name was made to point here, "DNS rebinding", does
not), and those of other origins are not answered, whatever they ask for and however; nor is the UI shown inside of
another page, where clicks could be led onto it.

The UI keeps the key in the browser's storage, as base64, and shows a field for it. A link with the key in its fragment
spares people the typing: the page behind it puts the key there.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Awaitable, Callable, Collection, Iterable, MutableMapping, Sequence
from typing import Any
from urllib.parse import urlsplit

__all__ = ["LOOPBACK_NAMES", "SIGN_IN", "Guard", "refusal"]

SIGN_IN = "/sign-in"
LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_SCRIPT = """
const say = text => { document.getElementById("said").textContent = text; };
async function signIn() {
  const key = new URLSearchParams(location.hash.slice(1)).get("key");
  if (!key) return say("Open the link that `nightreel up` printed: it has the key.");
  history.replaceState(null, "", location.pathname);
  const coded = btoa(String.fromCharCode(...new TextEncoder().encode(key)));
  const answer = await fetch("/api/admin/version", {headers: {Authorization: "Basic " + coded}});
  if (!answer.ok) return say("This is not the key of the server that runs now. Open the link that it printed.");
  localStorage.setItem("prefect-password", coded);
  location.replace("/");
}
const begin = () => signIn().catch(() => say("The server does not answer."));
addEventListener("hashchange", begin);
begin();
"""
_PAGE = f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>nightreel: sign in</title>
<meta name="viewport" content="width=device-width"><style>body {{ font: 16px/1.5 system-ui, sans-serif;
margin: 3rem auto; max-width: 36rem; padding: 0 1rem; color: #222; background: #fff }}</style>
<h1>nightreel</h1><p id="said" role="status">Signing in ...</p><noscript>Signing in needs JavaScript, as the UI does.
</noscript><script>{_SCRIPT}</script></html>""".encode()
_SUM = base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()
_POLICY = (
    "default-src 'none'; connect-src 'self'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; "
    f"frame-ancestors 'none'; script-src 'sha256-{_SUM}'"
)
_HEADERS = (
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"same-origin"),
)


def refusal(
    method: str, headers: Sequence[tuple[bytes, bytes]], *, names: Collection[str | None], origins: Iterable[str] = ()
) -> str | None:
    """Return why a request is not answered, None if it is.

    `headers` by their names in lower case; `names`: of the server, as people's browsers know it; `origins`: others that
    may use it.
    """

    def given(name: bytes) -> list[str]:
        return [value.decode("latin-1").strip() for header, value in headers if header == name]

    hosts = given(b"host")
    if len(hosts) != 1 or _name(hosts[0]) not in names:
        return "this server answers only to the names of this machine's loopback and of NIGHTREEL_SERVER_HOSTS"
    own = {f"http://{hosts[0]}", f"https://{hosts[0]}"} | set(origins)  # https: of a proxy in front
    froms = given(b"origin")
    if any(origin not in own for origin in froms):
        return "this request comes from a page of another origin"
    if not froms and any(site not in ("same-origin", "none") for site in given(b"sec-fetch-site")):
        # a link that a person followed is no request of the page that has it, which is not shown the answer
        followed = given(b"sec-fetch-mode") == ["navigate"] and given(b"sec-fetch-dest") == ["document"]
        if method not in ("GET", "HEAD") or not followed:
            return "this request comes from a page of another site"
    return None


class Guard:
    """An ASGI application before another one, `app`. `names`: of the server besides those of loopback; `origins` that
    may use it besides its own pages', "*" not among them."""

    def __init__(self, app: App, names: Iterable[str] = (), origins: Iterable[str] = ()) -> None:
        self._app = app
        self._names = LOOPBACK_NAMES | {name.strip().lower() for name in names} - {""}
        self._origins = {origin.strip().rstrip("/") for origin in origins} - {"*", ""}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            return await self._app(scope, receive, send)
        method = scope.get("method", "GET")
        why = refusal(method, scope["headers"], names=self._names, origins=self._origins)
        if why is not None:
            if scope["type"] == "websocket":
                return await send({"type": "websocket.close", "code": 1008, "reason": why[:120]})
            return await _answer(send, 403, why.encode(), b"text/plain; charset=utf-8")
        if scope["type"] == "websocket":
            return await self._app(scope, receive, send)
        if scope["path"] == SIGN_IN and method in ("GET", "HEAD"):
            return await _answer(send, 200, _PAGE if method == "GET" else b"", b"text/html; charset=utf-8", _POLICY)

        async def closed_to_frames(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *_HEADERS]}
            await send(message)

        return await self._app(scope, receive, closed_to_frames)


def _name(host: str) -> str | None:
    """A Host header's name, without its port: another one where the server is reached through a tunnel."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


async def _answer(send: Send, status: int, body: bytes, kind: bytes, policy: str = "") -> None:
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode()), (b"cache-control", b"no-store")]
    headers += [header for header in _HEADERS if header[0] != b"content-security-policy" or not policy]
    headers += [(b"content-security-policy", policy.encode())] if policy else []
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
