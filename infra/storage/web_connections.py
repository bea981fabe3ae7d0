"""Connections to web servers that somebody else names: to public addresses only, and no longer than there is time.

A name is resolved once, all that it stands for is checked, and the connection goes to what was checked, so that no name
server can say one thing first and another later (DNS rebinding).
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterable
from typing import Any

import httpcore

from infra.storage.reading_policy import ReadingPolicy, check_address
from infra.storage.web_time import Deadline, HungServers

__all__ = ["Network"]


class Network(httpcore.NetworkBackend):
    """Makes the connections of a request: to what a name stands for, once that is known to be allowed."""

    def __init__(self, policy: ReadingPolicy, deadline: Deadline, hung: HungServers, place: str) -> None:
        self._policy, self._deadline, self._hung, self._place = policy, deadline, hung, place
        self._below = httpcore.SyncBackend()
        self._proxy: str | None = None  # the operator's, wherever it is
        self._server: tuple[str, int] | None = None  # the last that was connected to

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address that answers, of those that `host` stands for."""
        addresses = _resolved(host, port) if self._proxy is not None else self._checked(host, port)
        failed: Exception = httpcore.ConnectError("no address")
        for address in addresses:
            if not self._deadline.left:
                break
            if self._proxy is None:
                self._wait_for((address, port))
            patience = min(timeout or self._deadline.left, self._deadline.left)
            try:
                stream = self._below.connect_tcp(address, port, patience, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
                continue
            self._deadline.watch(stream.get_extra_info("socket"))
            return stream
        raise failed

    def go_through(self, proxy: str, host: str, port: int) -> None:
        """Have `proxy` ask the server at `host` and `port`. Whether that one is allowed is seen as far as it can be."""
        with contextlib.suppress(httpcore.ConnectError):  # a name that only the proxy knows
            self._checked(host, port)
        self._proxy = proxy
        self._wait_for((host, port))

    def _wait_for(self, server: tuple[str, int]) -> None:
        self._server = server
        self._hung.check(server, self._place)

    def _checked(self, host: str, port: int) -> list[str]:
        """What `host` stands for, all of it allowed."""
        found = _resolved(host, port)
        for address in found:
            check_address(host, address, self._policy, self._place)
        return found

    def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> httpcore.NetworkStream:
        """Refuse: nothing of the web lies there."""
        raise httpcore.ConnectError("no sockets of this machine")

    def late(self) -> None:
        """Remember the server that this request waited for."""
        if self._server is not None:
            self._hung.add(self._server)


def _resolved(host: str, port: int) -> list[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise httpcore.ConnectError(str(error)) from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))
