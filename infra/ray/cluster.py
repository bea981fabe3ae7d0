"""Joining a Ray cluster, or starting one of this machine's own; what the pool and the training have in common."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from infra.environment import ray_environment
from infra.own_cluster import SYSTEM_CONFIG
from infra.settings import InfraSettings

ray_environment()  # before the import: Ray reads them while it is imported

import ray  # noqa: E402
from ray._private.state import state  # noqa: E402

from infra.ray.guest import LABEL  # noqa: E402
from infra.ray.head_watch import HeadWatch  # noqa: E402
from infra.ray.joining import JOIN_REMEDY, Guest, RayUnavailable, head_address, knock, knock_for_a_while, node_here  # noqa: E402
from infra.ray.private_cluster import forget_token, private_start  # noqa: E402

__all__ = ["RayUnavailable", "alive_nodes", "connect", "disconnect", "knock", "leaving_nodes", "lost_cluster"]

# Ray gives its own servers 30 s to come up, and a raylet its agents 15 s, constants of its code; a busy machine needs
# longer now and then, and each attempt finds more of Ray in the disk cache.
START_ATTEMPTS = 5
_QUIET: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False, "configure_logging": False}
# of the cluster that this process is connected to, while it is: its own node there, if it has one, and who watches it
_guest: list[Guest] = []
_watch: list[HeadWatch] = []


def connect(settings: InfraSettings) -> bool:
    """Connect to the settings' cluster, or start one; returns whether this call did it, False if it was done before.

    On a machine without a node of that cluster this process has one of its own, until `disconnect`. Ray's own servers
    end with the THREAD that started them (Linux' PR_SET_PDEATHSIG): it must live as long as they.

    Raises:
        RayUnavailable: no cluster answers, or it does not let this process in.
    """
    if ray.is_initialized():
        return False
    logging.getLogger("ray").setLevel(logging.ERROR)  # no notes on signals and tokens between our progress lines
    if settings.ray_address is None:
        _start()
    else:
        _join(settings.ray_address)
    head = ray.get_runtime_context().gcs_address
    _watch.append(HeadWatch(head, settings.head_seconds, _guest[-1] if _guest else None))
    return True


def disconnect() -> None:
    """Let go of the cluster: one that `connect` started ends, and so does this process's node on another."""
    gone = bool(lost_cluster())
    while _watch:
        _watch.pop().close()
    if not gone:  # it would wait for an answer
        ray.shutdown()
    while _guest:
        _guest.pop().leave()


def _listen_to_nobody(*_: Any) -> None:
    """Instead of Ray's thread that prints the cluster's messages into our output: while a head is away it asks for them
    without a pause, and keeps the interpreter to itself, so that all of the driver crawls. What concerns us, we hear by
    exceptions."""


ray._private.worker.listen_error_messages = _listen_to_nobody  # type: ignore[assignment]  # its parameters are named


def lost_cluster() -> str:
    """Say why there is no cluster any more, '' while there is one. Ray then answers nothing; calls would wait."""
    return _watch[-1].lost if _watch else ""


def _start() -> None:
    for attempts_left in reversed(range(START_ATTEMPTS)):
        try:
            with private_start() as folder:
                # "local": not whatever cluster of this machine left a note
                ray.init(
                    "local", include_dashboard=False, _temp_dir=folder, _system_config=dict(SYSTEM_CONFIG), **_QUIET
                )
            return
        except Exception as error:  # "node timed out during startup" is a plain Exception of Ray's
            ray.shutdown()
            if not attempts_left:
                raise RayUnavailable(
                    f"Ray on this machine can't be used: {error}. Is the machine overloaded, or out of memory or disk? "
                    "Try again when it has calmed down"
                ) from error


def _join(named: str) -> None:
    address = head_address(named)
    knock_for_a_while(address)
    forget_token()
    folder = node_here(address)
    try:
        if folder is None:
            _guest.append(Guest(address))
            folder = _guest[-1].wait()
        ray.init(address, _temp_dir=folder, **_QUIET)
    except RayUnavailable:
        disconnect()
        raise
    except Exception as error:
        disconnect()
        raise RayUnavailable(f"Ray at {address} can't be used: {error}. {JOIN_REMEDY}") from error


def alive_nodes() -> list[Mapping[str, float]]:
    """Return the resources of every node of the cluster, those aside that drivers have for themselves and those that
    are about to leave: no actor begins there any more."""
    leaving = leaving_nodes()
    nodes = (node for node in ray.nodes() if node["Alive"] and node["NodeID"] not in leaving)
    return [node["Resources"] for node in nodes if LABEL not in node["Labels"]]


def leaving_nodes() -> frozenset[str]:
    """Return the ids of nodes that are being drained: a cloud takes them back, or a person does (`ray start --block`
    that gets SIGTERM, `ray drain-node`). Their actors may finish what they do, for as long as the notice lasts."""
    return frozenset(state.get_draining_nodes())
