"""The head of a Ray cluster of this machine's own, in a process of its own: other processes join it.

`nightreel up` starts it as `python -m infra.ray.head PORT`, the port at which the cluster is to be joined. All servers
listen on loopback only and end with this process.
"""

from __future__ import annotations

import os
import sys
import time

from infra.child_process import Parent
from infra.environment import own_ray_folder, ray_environment
from infra.own_cluster import SYSTEM_CONFIG
from infra.ray.node_process import start_node  # before Ray: sets its environment

ray_environment()  # before the import: Ray reads them while it is imported

from ray._private.authentication.authentication_token_setup import ensure_token_if_auth_enabled  # noqa: E402

__all__ = ["serve"]

CHECK_SECONDS = 0.5


def serve(port: int) -> None:
    """Start the servers, say "ready" to the parent, and stay until one of the servers ends."""
    parent = Parent()
    ensure_token_if_auth_enabled()  # made if there is none, where those who join look for it
    node = start_node(
        head=True,
        node_ip_address="127.0.0.1",
        temp_dir=None if (folder := own_ray_folder()) is None else str(folder),
        gcs_server_port=port,
        include_dashboard=False,
        _system_config=dict(SYSTEM_CONFIG),
    )
    parent.tell("ready")
    while not (dead := node.dead_processes()):
        time.sleep(CHECK_SECONDS)
    ended = ", ".join(f"{kind} with code {process.returncode}" for kind, process in dead)
    print(f"ended: {ended}; see the logs in {node.get_logs_dir_path()}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    serve(int(sys.argv[1]))
    os._exit(1)  # the servers die with this process; taking leave of dead ones would hang
