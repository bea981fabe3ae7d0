"""Who may look, and who may ask for something. Loopback alone protects nobody: any page in the operator's browser, and
any user of the machine, can reach it.

A key, made at random, is in the fragment of the page's link, which browsers send nowhere; the page's script trades it
for a cookie that scripts can't read and that no other site's requests carry. Requests must name this machine as their
host (a page whose name was made to point here, "DNS rebinding", does not), and those that change something must come
from the page itself, with a header that other sites can't send.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["PREFIX", "Access", "Refusal"]

#: Everything of the page is below it, so that the cookie goes to no other server of this machine's loopback.
PREFIX = "/live"
HEADER = "x-nightreel"
HOSTS = frozenset({"127.0.0.1", "localhost", "[::1]"})
COOKIE_SECONDS = 30 * 86_400


@dataclass(frozen=True)
class Refusal:
    """Why a request is not answered: an HTTP status, and a sentence for people."""

    status: int
    message: str


class Access:
    """The page's key, and what a request must show."""

    def __init__(self, key: str) -> None:
        self._key = key
        # what the browser keeps is not the key itself
        self.cookie = hashlib.sha256(f"nightreel watch cookie {key}".encode()).hexdigest()
        # pages at several ports of one host share their cookies' names
        self.cookie_name = f"nightreel-live-{hashlib.sha256(self.cookie.encode()).hexdigest()[:8]}"

    def link(self, address: str) -> str:
        """Return the page's address with the key in it, for the person who started it."""
        return f"{address}#key={self._key}"

    def opens(self, key: str) -> bool:
        """Return whether `key` is the page's."""
        return secrets.compare_digest(key.encode(), self._key.encode())

    def refuses(
        self, method: str, headers: Mapping[str, str], cookies: Mapping[str, str], *, public: bool = False
    ) -> Refusal | None:
        """Return why a request is refused, None if it is not. `headers` by their names in lower case; `public`: what
        is asked for is the page's own code, or the trade of a key."""
        host = headers.get("host", "")
        if _name_of(host) not in HOSTS:
            return Refusal(403, "this page answers only to the names of this machine's loopback")
        if method not in ("GET", "HEAD") or "origin" in headers:
            if headers.get("origin", "") != f"http://{host}":
                return Refusal(403, "this request does not come from the page")
            if headers.get("sec-fetch-site", "same-origin") != "same-origin":
                return Refusal(403, "this request comes from another site")
            if method not in ("GET", "HEAD") and HEADER not in headers:
                return Refusal(403, f"this request lacks the header {HEADER}")
        if public or self._known(headers, cookies):
            return None
        return Refusal(
            401, "open the page by the link that `nightreel watch` or `nightreel up` printed: it has the key"
        )

    def _known(self, headers: Mapping[str, str], cookies: Mapping[str, str]) -> bool:
        given = headers.get("authorization", "")
        if given.startswith("Bearer ") and self.opens(given.removeprefix("Bearer ")):
            return True
        return secrets.compare_digest(cookies.get(self.cookie_name, "").encode(), self.cookie.encode())


def _name_of(host: str) -> str:
    """Return a Host header's name, without its port: another one where the page is reached through a tunnel."""
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]
