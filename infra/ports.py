"""Ports of this machine's loopback at which nobody listens."""

from __future__ import annotations

import socket
from contextlib import ExitStack

__all__ = ["free_port", "free_ports"]


def free_port() -> int:
    """Find one; somebody else may take it before it is used."""
    return free_ports(1)[0]


def free_ports(count: int) -> list[int]:
    """Find `count` different ones."""
    with ExitStack() as stack:  # all are held open at once, so that they differ
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]
