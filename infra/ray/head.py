"""The head of a Ray cluster of this machine's own, in a process of its own: other processes join it.

`nightreel up` starts it as `python -m infra.ray.head PORT`, the port at which the cluster is to be joined. All servers
listen on loopback only and end with this process.

It does what `ray start --head --block` does, by the same classes, but for three things. `ray start` leaves a note by
which every other `ray.init` of this machine joins its cluster, unasked. It lets the node's agents choose their ports,
which the raylet then waits for, 15 s at most, and dies: too little on a machine that is busy elsewhere. And it gives
the node 30 s to register.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

from infra.child_process import Parent
from infra.settings import ray_environment

ray_environment()  # before the import: Ray reads them while it is imported

from ray._private import services  # noqa: E402
from ray._private.authentication.authentication_token_setup import ensure_token_if_auth_enabled  # noqa: E402
from ray._private.node import Node  # noqa: E402
from ray._private.parameter import RayParams  # noqa: E402
from ray._private.ray_constants import PROCESS_TYPE_RAYLET  # noqa: E402

__all__ = ["serve"]

CHECK_SECONDS = 0.5
REGISTER_SECONDS = 120.0


def serve(port: int) -> None:
    """Start the servers, say "ready" to the parent, and stay until one of the servers ends."""
    parent = Parent()
    ensure_token_if_auth_enabled()  # made if there is none, where those who join look for it
    agent, metrics, export, runtime = _free_ports(4)
    services.get_node = _patiently(services.get_node)
    services.start_ray_process = _with_port(services.start_ray_process, agent)
    wanted = RayParams(
        node_ip_address="127.0.0.1",
        gcs_server_port=port,
        dashboard_agent_listen_port=agent,
        metrics_agent_port=metrics,
        metrics_export_port=export,
        runtime_env_agent_port=runtime,
        include_dashboard=False,
        include_log_monitor=False,  # nobody reads the workers' output through the driver
        no_monitor=True,  # of an autoscaler
    )
    # spawn_reaper: the servers end with this thread, which is the main one
    node = Node(wanted, head=True, shutdown_at_exit=False, spawn_reaper=True)
    parent.tell("ready")
    while not (dead := node.dead_processes()):
        time.sleep(CHECK_SECONDS)
    told = ", ".join(f"{kind} with code {process.returncode}" for kind, process in dead)
    print(f"ended: {told}; see the logs in {node.get_logs_dir_path()}", file=sys.stderr, flush=True)


def _with_port(start: Callable[..., Any], agent: int) -> Callable[..., Any]:
    """`start`, which starts a server, telling the raylet its agent's port: Ray itself tells only the agent."""

    def starting(command: list[str], kind: str, *arguments: Any, **named: Any) -> Any:
        if kind == PROCESS_TYPE_RAYLET:
            command = [*command, f"--dashboard_agent_listen_port={agent}"]
        return start(command, kind, *arguments, **named)

    return starting


def _patiently(look: Callable[..., Any]) -> Callable[..., Any]:
    """`look`, which finds a node of the cluster, asked again and again."""

    def patient(*arguments: Any, **named: Any) -> Any:
        deadline = time.monotonic() + REGISTER_SECONDS
        while True:
            try:
                return look(*arguments, **named)
            except RuntimeError:  # it is not there yet
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    return patient


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:  # all are held open at once, so that they differ
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]


if __name__ == "__main__":
    serve(int(sys.argv[1]))
    os._exit(1)  # the servers die with this process; taking leave of dead ones would hang
