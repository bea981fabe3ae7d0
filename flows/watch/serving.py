"""Serving the live page on loopback."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass

import uvicorn

from flows.watch.access import PREFIX, Access
from flows.watch.app import make_app
from flows.watch.asking import BeginRerun
from flows.watch.outputs import Outputs
from manifests.errors import ErrorKind, NightreelError
from renderers.registry import Registry

__all__ = ["LivePage", "PageUnavailable"]


class PageUnavailable(NightreelError):
    """The page can't be served; the message says why and what to do."""

    kind = ErrorKind.ENVIRONMENT


@dataclass(frozen=True)
class LivePage:
    """A page that listens at `address` and is served by `serve`. `link` holds its key."""

    address: str
    link: str
    _server: uvicorn.Server
    _listening: socket.socket

    @classmethod
    def listen(
        cls, outputs: Outputs, registry: Registry, key: str, *, port: int = 0, begin: BeginRerun | None = None
    ) -> LivePage:
        """Take a port of loopback, `port` or any that is free.

        Raises:
            PageUnavailable: somebody else has the port.
        """
        listening = socket.socket()
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind(("127.0.0.1", port))
            listening.listen(128)  # whoever is told of the page and asks at once waits, and is not refused
        except OSError as error:
            listening.close()
            raise PageUnavailable(
                f"port {port} can't be used: {error.strerror}. Give another one, or none: then a free one is taken"
            ) from error
        address = f"http://127.0.0.1:{listening.getsockname()[1]}{PREFIX}/"
        access = Access(key)
        app = make_app(outputs, access, registry, time.monotonic, begin)
        # no log of requests; browsers that stay connected must not keep it from ending
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=1
        )
        return cls(address, access.link(address), uvicorn.Server(config), listening)

    def serve(self) -> None:
        """Serve until the process is asked to end."""
        self._server.run(sockets=[self._listening])
