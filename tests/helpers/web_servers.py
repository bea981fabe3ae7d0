"""Web servers on loopback that do what no honest one does, a connection at a time: hang, drip, never end, lie."""

from __future__ import annotations

import contextlib
import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Behaviour = Callable[[socket.socket], None]
_PACKED = gzip.compress(bytes(10_000_000))


@contextmanager
def web_server(behave: Behaviour) -> Iterator[tuple[str, list[bytes]]]:
    """A server that reads a request and lets `behave` answer it; gives its address, and the requests that came."""
    requests: list[bytes] = []
    stopped = threading.Event()
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        listening.settimeout(0.05)

        def answer(connection: socket.socket) -> None:
            with connection, contextlib.suppress(OSError):
                connection.settimeout(20)
                requests.append(connection.recv(1 << 16))
                behave(connection)

        def accept() -> None:
            while not stopped.is_set():
                with contextlib.suppress(TimeoutError):
                    threading.Thread(target=answer, args=(listening.accept()[0],), daemon=True).start()

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/a.png", requests
        finally:
            stopped.set()
            thread.join()


def hangs(connection: socket.socket) -> None:
    """Take the request, and say nothing."""
    connection.recv(1)


def drips_headers(connection: socket.socket) -> None:
    """Send a header that goes on for ever, a letter at a time."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
    _drip(connection)


def drips(connection: socket.socket) -> None:
    """Send a body that goes on for ever, a letter at a time, of a length that is not said."""
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    _drip(connection)


def _drip(connection: socket.socket) -> None:
    for _ in range(2_000):
        connection.sendall(b"x")
        time.sleep(0.02)


def never_ends(connection: socket.socket) -> None:
    """Send as fast as it goes, for ever."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\n\r\n")
    while True:
        connection.sendall(bytes(1 << 16))


def lies_short(connection: socket.socket) -> None:
    """Say ten bytes, and send more."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\n" + bytes(1 << 20))


def lies_long(connection: socket.socket) -> None:
    """Say a thousand bytes, and send ten."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nConnection: close\r\n\r\n" + bytes(10))


def says_much(connection: socket.socket) -> None:
    """Say more bytes than there are on Earth."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999999\r\n\r\n")
    connection.recv(1)


def bomb(connection: socket.socket) -> None:
    """Send ten megabytes, packed to ten kilobytes."""
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nConnection: close\r\n\r\n" + _PACKED)


def is_no_server(connection: socket.socket) -> None:
    """Say what is no HTTP."""
    connection.sendall(b"220 smtp ready\r\n")


def redirects_to(target: str) -> Behaviour:
    """Send whoever asks to `target`."""

    def behave(connection: socket.socket) -> None:
        connection.sendall(
            f"HTTP/1.1 302 Found\r\nLocation: {target}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
        )

    return behave


def gives(data: bytes, *headers: str) -> Behaviour:
    """Answer with `data`, and `headers` above it."""

    def behave(connection: socket.socket) -> None:
        head = "".join(f"{header}\r\n" for header in headers)
        connection.sendall(f"HTTP/1.1 200 OK\r\n{head}Connection: close\r\n\r\n".encode() + data)

    return behave
