"""A Prefect server of this process's own, for a command line without a configured one.

Prefect would start one by itself, but as a plain child: Ctrl-C in a terminal ends that one as well, and the flow then
calls a dead server for minutes; and it outlives a parent that is killed. This one leads a session of its own, where no
Ctrl-C reaches it, and ends with its parent, however that one ended (infra/child_process.py).
"""

from __future__ import annotations

import atexit
import contextlib
import os
import socket
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module

from flows.local.guard import Guard
from flows.local.server_key import passing_key
from infra.child_process import ChildProcess, Parent
from infra.environment import (
    child_environment,
    prefect_api_url,
    prefect_may_know_a_server,
    server_environment,
    up_folder,
)
from infra.masked_logs import mask_logs
from infra.own_prefect import key_for
from infra.ports import free_port
from infra.settings import load_settings
from manifests.errors import ErrorKind, NightreelError

__all__ = ["SERVING", "OwnServer", "ServerUnavailable", "begin_server", "own_server", "prefect_server"]

SERVING = "serving"  # what the child says

# 20 s do not suffice on a cold disk, nor beside Ray and its actors, which start at the same moment.
START_SECONDS = 180.0
STOP_SECONDS = 5.0


class ServerUnavailable(NightreelError):
    """Prefect's server does not start; the message says why and what to do."""

    kind = ErrorKind.ENVIRONMENT


@cache
def own_server() -> OwnServer:
    """Start the server, which takes its seconds while the caller goes on; one per process, stopped at its end.

    Its database is Prefect's usual one, so that runs can be looked at later.
    """
    server = OwnServer()
    # at exit and not before: Prefect sends its last events when the interpreter ends (handlers run last in, first out)
    atexit.register(server.stop)
    return server


def begin_server() -> None:
    """Start the server of `prefect_server` before Prefect is imported, which takes seconds that both may take side by
    side, where it is certain that nothing names another one."""
    if prefect_api_url() is None and not prefect_may_know_a_server():
        own_server()


@contextmanager
def prefect_server(module: str) -> Iterator[None]:
    """The server that the environment or Prefect's profile names, or one of this process's own; `module`, which takes
    seconds to import, is imported while that one comes up."""
    from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

    if named := PREFECT_API_URL.value():
        key = PREFECT_API_AUTH_STRING.value() or key_for(named, up_folder())  # a profile may name the server of `up`
        with temporary_settings({PREFECT_API_AUTH_STRING: key} if key else {}):
            yield
        return
    server = own_server()
    import_module(module)
    with temporary_settings({PREFECT_API_URL: server.wait(), PREFECT_API_AUTH_STRING: server.key}):
        yield


class OwnServer:
    """The server's process, its address, and the key that it asks for: None for none."""

    def __init__(self) -> None:
        self.port = free_port()
        self.key = passing_key(load_settings())
        environment = child_environment(server_environment(f"http://127.0.0.1:{self.port}", self.key))
        self._child = ChildProcess("flows.local.own_server", [str(self.port)], environment=environment)

    def wait(self) -> str:
        """Wait until it answers; returns its API's URL. Raises ServerUnavailable."""
        url = f"http://127.0.0.1:{self.port}/api"
        deadline = time.monotonic() + START_SECONDS
        # whoever else answers there, since it took the port a moment earlier, is not shown the key
        while not (self._child.said(SERVING) and _answers(f"{url}/health")):
            code = self._child.ended()
            if code is not None or time.monotonic() > deadline:
                why = f"did not answer within {START_SECONDS:.0f} s" if code is None else f"ended with code {code}"
                raise ServerUnavailable(
                    f"a Prefect server of this command's own {why}: see its messages above, or start one with "
                    "`prefect server start` and set PREFECT_API_URL to its address"
                )
            time.sleep(0.1)
        return url

    def stop(self) -> None:
        """End it, giving it a moment to write down what it knows."""
        self._child.terminate()
        self._child.kill(STOP_SECONDS)


def _answers(url: str) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=5) as answer:
        return bool(answer.status == 200)
    return False


def _serve(port: int) -> None:
    """The child: Prefect's API on loopback, without its pages."""
    parent = Parent()
    from prefect.settings import PREFECT_UI_ENABLED, temporary_settings

    with temporary_settings({PREFECT_UI_ENABLED: False}):
        _run(port, parent, ephemeral=True)


def _serve_with_pages(port: int) -> None:
    """The child of `nightreel up`: everything that `prefect server start` has, its services included."""
    _run(port, Parent(), ephemeral=False)


def _run(port: int, parent: Parent, *, ephemeral: bool) -> None:
    mask_logs()  # a webhook that can't be called is logged with its address
    os.umask(0o077)  # its database holds prompts, addresses and secrets: nobody else's to read
    import uvicorn
    from prefect.server.api.server import create_app
    from prefect.settings import PREFECT_SERVER_CORS_ALLOWED_ORIGINS as ORIGINS

    class Telling(uvicorn.Server):
        """Says to the parent that the port is its own and that it answers there."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                parent.tell(SERVING)

    app = create_app(ephemeral=ephemeral, final=True)
    guarded = Guard(app, load_settings().server_hosts.split(","), ORIGINS.value().split(","))
    # connections that stay open (events to the UI) must not keep it from ending
    config = uvicorn.Config(
        guarded, host="127.0.0.1", port=port, log_level="error", lifespan="on",
        timeout_graceful_shutdown=None if ephemeral else 1,
    )  # fmt: skip
    Telling(config).run()


if __name__ == "__main__":
    (_serve_with_pages if "--pages" in sys.argv else _serve)(int(sys.argv[1]))
