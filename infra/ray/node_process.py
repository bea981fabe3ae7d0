"""Starting a Ray node's servers as children of this process, with what Ray's own start lacks on a busy machine.

It does what `ray start --block` does, by the same classes, but for three things. `ray start` leaves a note by which
every other `ray.init` of this machine joins its cluster, unasked. It lets the node's agents choose their ports, which
the raylet then waits for, 15 s at most, and dies: too little on a machine that is busy elsewhere. And it gives the node
30 s to register. `ray start` itself with the patience alone, for nodes that are to outlive what starts them:
infra/ray/start.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from infra.environment import ray_environment
from infra.ports import free_ports

ray_environment()  # before the import: Ray reads them while it is imported

from ray._private import services  # noqa: E402
from ray._private.node import Node  # noqa: E402
from ray._private.parameter import RayParams  # noqa: E402
from ray._private.ray_constants import PROCESS_TYPE_RAYLET  # noqa: E402

__all__ = ["be_patient", "patient", "start_node", "with_port"]

REGISTER_SECONDS = 120.0


def start_node(*, head: bool, metrics_port: int | None = None, **wanted: Any) -> Node:
    """Start a node with these of Ray's parameters. Its servers end with the calling thread, which must be the main one.
    At `metrics_port` it serves its numbers; None is any.

    Raises what Ray's own `Node` raises.
    """
    agent, metrics, export, runtime = free_ports(4)
    be_patient(agent)
    parameters = RayParams(
        dashboard_agent_listen_port=agent,
        metrics_agent_port=metrics,
        metrics_export_port=metrics_port or export,
        runtime_env_agent_port=runtime,
        # nobody reads the workers' output through the driver
        include_log_monitor=False,  # type: ignore[arg-type]  # Ray's annotation says str, its code wants a bool
        no_monitor=True,  # of an autoscaler
        **wanted,
    )
    return Node(parameters, head=head, shutdown_at_exit=False, spawn_reaper=True)


def be_patient(agent_port: int) -> None:
    """Have this process start nodes as a busy machine needs it: a raylet is told the port of its dashboard's agent, and
    is given time to register."""
    services.get_node = patient(services.get_node)
    services.start_ray_process = with_port(services.start_ray_process, agent_port)


def patient(get_node: Callable[..., Any], seconds: float = REGISTER_SECONDS) -> Callable[..., Any]:
    """`get_node`, which tells of a node, asked again for so long while the node is not there yet."""
    until_registered = Retrying(
        retry=retry_if_exception_type(RuntimeError), stop=stop_after_delay(seconds), wait=wait_fixed(0.1), reraise=True
    )
    return until_registered.wraps(get_node)


def with_port(start: Callable[..., Any], agent: int) -> Callable[..., Any]:
    """`start`, which starts a server, giving the raylet its agent's port: Ray itself gives it only to the agent."""

    def starting(command: list[str], kind: str, *arguments: Any, **named: Any) -> Any:
        if kind == PROCESS_TYPE_RAYLET:
            command = [*command, f"--dashboard_agent_listen_port={agent}"]
        return start(command, kind, *arguments, **named)

    return starting
