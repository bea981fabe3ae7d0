"""How long a web server is waited for: by one source, and by all that name the same server."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

from infra.storage.errors import AnswerLate

__all__ = ["Deadline", "HungServers"]

_FORGET_SECONDS = 600.0


class Deadline:
    """When the time for a source is over; sockets that it watches are shut then, whatever waits for them."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds
        self._watched: list[socket.socket] = []
        self._lock = threading.Lock()
        self._timer = threading.Timer(seconds, self._shut)
        self._timer.daemon = True

    def __enter__(self) -> Deadline:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        with self._lock:
            for connection in self._watched:
                connection.close()
            self._watched.clear()

    @property
    def left(self) -> float:
        """Seconds that are left, 0 at the least."""
        return max(0.0, self._end - time.monotonic())

    def watch(self, connection: socket.socket) -> None:
        """Shut `connection` when the time is over. A copy of it is: TLS takes the socket itself apart."""
        with self._lock:
            self._watched.append(connection.dup())

    def _shut(self) -> None:
        with self._lock:
            for connection in self._watched:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)


class HungServers:
    """Servers that did not answer in time: others that name them need not wait as well. Safe to share by threads."""

    def __init__(self) -> None:
        self._since: dict[tuple[str, int], float] = {}

    def add(self, server: tuple[str, int]) -> None:
        """Remember `server`, an address and a port, for ten minutes."""
        self._since[server] = time.monotonic()

    def check(self, server: tuple[str, int], place: str) -> None:
        """Raise AnswerLate if `server` is among them."""
        since = self._since.get(server)
        if since is not None and time.monotonic() - since < _FORGET_SECONDS:
            raise AnswerLate(f"the server of '{place}' did not answer in time before", "check the server")
