"""Joining a Ray cluster, or starting one of this machine's own; what the pool and the training have in common."""

from __future__ import annotations

import logging
import socket
import time
from collections.abc import Mapping, Sequence
from typing import Any

from infra.environment import ray_environment
from infra.own_cluster import SYSTEM_CONFIG
from infra.settings import InfraSettings
from manifests.errors import ErrorKind, NightreelError

ray_environment()  # before the import: Ray reads them while it is imported

import ray  # noqa: E402

from infra.ray.private_cluster import forget_token, private_start  # noqa: E402

__all__ = ["RayUnavailable", "alive_nodes", "connect", "knock", "room_for_actors"]

# Ray gives its own servers 30 s to come up, and a raylet its agents 15 s, constants of its code; a busy machine needs
# longer now and then, and each attempt finds more of Ray in the disk cache.
START_ATTEMPTS = 5
KNOCK_SECONDS = 5.0
# `nightreel up` ends the runs of a cluster that has died, and begins them again; until then they must not fail by it.
PATIENCE_SECONDS = 20.0
_QUIET: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False, "configure_logging": False}
JOIN_REMEDY = (
    "Is the cluster up and NIGHTREEL_RAY_ADDRESS right (each `nightreel up` has another one)? Unset it to use this "
    "machine alone"
)


class RayUnavailable(NightreelError):
    """No Ray cluster can be used; the message says why and what to do."""

    kind = ErrorKind.ENVIRONMENT


def connect(settings: InfraSettings) -> bool:
    """Connect to the settings' cluster, or start one; returns whether this call did it, False if it was done before.

    Ray's own servers end with the THREAD that started them (Linux' PR_SET_PDEATHSIG): it must live as long as they.

    Raises:
        RayUnavailable: no cluster answers.
    """
    if ray.is_initialized():
        return False
    logging.getLogger("ray").setLevel(logging.ERROR)  # no notes on signals and tokens between our progress lines
    own = settings.ray_address is None
    if settings.ray_address is not None:
        _knock_for_a_while(settings.ray_address)
    for attempt in range(START_ATTEMPTS if own else 1):
        try:
            if settings.ray_address is None:
                with private_start() as folder:
                    # "local": not whatever cluster of this machine left a note
                    ray.init(
                        "local",
                        include_dashboard=False,
                        _temp_dir=folder,
                        _system_config=dict(SYSTEM_CONFIG),
                        **_QUIET,
                    )
            else:
                forget_token()
                ray.init(settings.ray_address, **_QUIET)
            return True
        except Exception as error:  # "node timed out during startup" is a plain Exception of Ray's
            ray.shutdown()
            if own and attempt + 1 < START_ATTEMPTS:
                continue
            remedy = (
                "Is the machine overloaded, or out of memory or disk? Try again when it has calmed down"
                if own
                else JOIN_REMEDY
            )
            where = "on this machine" if own else f"at {settings.ray_address}"
            raise RayUnavailable(f"Ray {where} can't be used: {error}. {remedy}") from error
    return True


def knock(address: str) -> None:
    """Raise RayUnavailable if nothing listens at `host:port`: Ray itself tries for up to eight minutes."""
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdecimal():
        return  # "auto" and the like: Ray knows by itself where to look
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=KNOCK_SECONDS).close()
    except OSError as error:
        raise RayUnavailable(f"no Ray cluster at '{address}': {error.strerror or error}") from error


def _knock_for_a_while(address: str) -> None:
    """`knock`, with patience for a cluster that is being started again, and with what a person can do."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return knock(address)
        except RayUnavailable as error:
            if time.monotonic() > deadline:
                raise RayUnavailable(f"{error}. {JOIN_REMEDY}") from error
        time.sleep(0.5)


def alive_nodes() -> list[Mapping[str, float]]:
    """Return the resources of every node of the cluster."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def room_for_actors(nodes: Sequence[Mapping[str, float]], cpus: float, gpus: float) -> int:
    """Count the actors of `cpus` and `gpus` that fit on nodes of these resources, together.

    Node by node, and shares of a GPU card by card, as Ray places them: one actor counted too many would wait for ever.
    """

    def times(have: float, need: float) -> int:
        return int(have / need + 1e-6)  # 7 / 0.07 is 99.99...

    def on(node: Mapping[str, float]) -> int:
        room = times(node.get("CPU", 0.0), cpus)
        if gpus:
            have = node.get("GPU", 0.0)
            room = min(room, int(have) * times(1, gpus) if gpus < 1 else times(have, gpus))
        return room

    return sum(on(node) for node in nodes)
