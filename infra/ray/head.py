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
import sys
import time
from collections.abc import Callable
from typing import Any

from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from infra.child_process import Parent
from infra.environment import own_ray_folder, ray_environment
from infra.own_cluster import SYSTEM_CONFIG
from infra.ports import free_ports

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
    agent, metrics, export, runtime = free_ports(4)
    until_registered = Retrying(
        retry=retry_if_exception_type(RuntimeError),  # the node is not there yet
        stop=stop_after_delay(REGISTER_SECONDS),
        wait=wait_fixed(0.1),
        reraise=True,
    )
    services.get_node = until_registered.wraps(services.get_node)
    services.start_ray_process = _with_port(services.start_ray_process, agent)
    wanted = RayParams(
        node_ip_address="127.0.0.1",
        temp_dir=None if (folder := own_ray_folder()) is None else str(folder),
        gcs_server_port=port,
        dashboard_agent_listen_port=agent,
        metrics_agent_port=metrics,
        metrics_export_port=export,
        runtime_env_agent_port=runtime,
        include_dashboard=False,
        # nobody reads the workers' output through the driver
        include_log_monitor=False,  # type: ignore[arg-type]  # Ray's annotation says str, its code wants a bool
        no_monitor=True,  # of an autoscaler
        _system_config=dict(SYSTEM_CONFIG),  # type: ignore[arg-type]  # as above
    )
    # spawn_reaper: the servers end with this thread, which is the main one
    node = Node(wanted, head=True, shutdown_at_exit=False, spawn_reaper=True)
    parent.tell("ready")
    while not (dead := node.dead_processes()):
        time.sleep(CHECK_SECONDS)
    ended = ", ".join(f"{kind} with code {process.returncode}" for kind, process in dead)
    print(f"ended: {ended}; see the logs in {node.get_logs_dir_path()}", file=sys.stderr, flush=True)


def _with_port(start: Callable[..., Any], agent: int) -> Callable[..., Any]:
    """`start`, which starts a server, giving the raylet its agent's port: Ray itself gives it only to the agent."""

    def starting(command: list[str], kind: str, *arguments: Any, **named: Any) -> Any:
        if kind == PROCESS_TYPE_RAYLET:
            command = [*command, f"--dashboard_agent_listen_port={agent}"]
        return start(command, kind, *arguments, **named)

    return starting


if __name__ == "__main__":
    serve(int(sys.argv[1]))
    os._exit(1)  # the servers die with this process; taking leave of dead ones would hang
