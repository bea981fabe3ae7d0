"""Plain clients of Prefect's server, for where its own is not imported, ask again where that one does."""

from __future__ import annotations

import time

import httpx

__all__ = ["PatientTransport"]

TRIES, PAUSE_SECONDS = 20, 0.5
# The server closes a connection that nobody has used for 5 s; whoever asks in that very moment gets no answer.
KEPT = httpx.Limits(max_connections=20, max_keepalive_connections=5, keepalive_expiry=2.0)


class PatientTransport(httpx.BaseTransport):
    """Asks again while the server answers 503: its database, SQLite, is in use, and a moment later it is free.

    Every such answer leaves the database as it was, so a request that changes something is asked again as well.
    After ten seconds the answer is handed on as it is.
    """

    def __init__(self, below: httpx.BaseTransport | None = None) -> None:
        """`below` sends the requests; plain HTTP by default, past the proxies of the environment."""
        self._below = below or httpx.HTTPTransport(trust_env=False, limits=KEPT)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send the request, some times at most."""
        answer = self._below.handle_request(request)
        for _ in range(TRIES - 1):
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                break
            answer.close()
            time.sleep(PAUSE_SECONDS)
            answer = self._below.handle_request(request)
        return answer

    def close(self) -> None:
        """Close the connections."""
        self._below.close()
