"""The head of a Ray cluster of this machine's own, in a process of its own: other processes join it.

`nightreel up` starts it as `python -m infra.ray_head`, with RAY_GCS_SERVER_PORT saying where the cluster is to be
joined. It is a driver that does nothing: `ray.init` starts the servers, on loopback, and they end with this process.
(`ray start` would leave a note by which every other `ray.init` of this machine joins its cluster, unasked.)
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from typing import Any

from infra.child_process import Parent
from infra.settings import ray_environment

ray_environment()  # before the import: Ray reads them while it is imported

import ray  # noqa: E402
from ray._private import services  # noqa: E402

__all__ = ["serve"]

CHECK_SECONDS = 0.5
START_SECONDS = 180.0


def serve() -> None:
    """Start the servers, say "ready" to the parent, and stay until one of the servers ends."""
    parent = Parent()
    logging.getLogger("ray").setLevel(logging.ERROR)
    services.get_node = _patiently(services.get_node)
    ray.init(
        address="local",  # whatever RAY_ADDRESS says
        include_dashboard=False,
        log_to_driver=False,
        configure_logging=False,
        _node_ip_address="127.0.0.1",
    )
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # Ray's handler would wait for its servers, one after another
    parent.tell("ready")
    while not _a_child_ended():
        time.sleep(CHECK_SECONDS)
    print("one of Ray's servers ended: see the logs of its session", file=sys.stderr, flush=True)


def _patiently(look: Callable[..., Any]) -> Callable[..., Any]:
    """`look`, which finds a node of the cluster, asked again and again: Ray gives a node that starts 30 s, a constant
    of its code, and a busy machine needs longer. Another try would find the port taken by this one's servers."""

    def patient(*arguments: Any, **named: Any) -> Any:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                return look(*arguments, **named)
            except RuntimeError:  # it is not there yet
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    return patient


def _a_child_ended() -> bool:
    """Whether a server of Ray's is dead. It is left unreaped, since it is Ray's child."""
    return os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


if __name__ == "__main__":
    serve()
    os._exit(1)  # the servers die with this process; taking leave of dead ones would hang
