"""What one actor of a job is to have, whether there is room for it on the cluster that this process has joined, and
room that is waited for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from infra.ray.autoscaler import Autoscaler, Placed  # before Ray: sets its environment
from infra.ray.cluster import RayUnavailable, alive_nodes
from infra.settings import InfraSettings
from infra.workers.room import Size, described, room_for_actors

import ray  # isort: skip
import ray.exceptions  # isort: skip

__all__ = ["check_room", "wait_for_room", "wants_gpus"]

# Between two looks at what the autoscaler says.
LOOK_SECONDS = 1.0


def wants_gpus(settings: InfraSettings, autoscaler: Autoscaler | None) -> bool:
    """Decide whether actors are to have GPUs: where none is there, an autoscaler may add some."""
    if settings.device == "cpu":
        return False
    if any(node.get("GPU", 0.0) > 0 for node in alive_nodes()):
        return True
    if autoscaler is None:
        return False
    return settings.device != "auto" or autoscaler.gives_gpus()


def check_room(settings: InfraSettings, size: Size) -> None:
    """Refuse what the nodes that are there have no room for, even if nobody else used them.

    Raises:
        RayUnavailable: they have none for as many actors of this size as the settings name, or for one.
    """
    nodes = alive_nodes()
    room = room_for_actors(nodes, *size)
    if room and (settings.actors or 1) <= room:
        return
    cpus, gpus = (sum(node.get(kind, 0.0) for node in nodes) for kind in ("CPU", "GPU"))
    have = f"{cpus:g} CPUs" + (f" and {gpus:g} GPUs" if size[1] else "")
    raise RayUnavailable(
        f"{settings.actors or 1} actors of {described(size)} each do not fit on a cluster of {have}: "
        "set NIGHTREEL_ACTORS, NIGHTREEL_CPUS_PER_ACTOR or NIGHTREEL_GPUS_PER_ACTOR lower"
    )


def wait_for_room(
    autoscaler: Autoscaler, size: Size, actors: int, *, say: Callable[[str], object], stop: Callable[[], bool]
) -> bool:
    """Ask a cluster that grows for room for so many actors of `size` at once, and wait until it is there; return
    whether it is: `stop` ends the waiting. `say` hears what is waited for.

    Raises:
        RayUnavailable: it was not there within the settings' `node_seconds`.
    """
    asking: list[tuple[Any, Any]] = []
    try:
        while not stop():
            asking = [(actor, here) for actor, here in asking if not _lost(here)]
            while len(asking) < actors:
                actor = cast(Any, Placed).options(num_cpus=size[0], num_gpus=size[1]).remote()
                asking.append((actor, actor.here.remote()))
            _, waiting = ray.wait([here for _, here in asking], num_returns=actors, timeout=LOOK_SECONDS)
            if not waiting and not any(_lost(here) for _, here in asking):
                return True
            autoscaler.look()
            if autoscaler.waited(waits=True) > autoscaler.patience:
                raise RayUnavailable(autoscaler.refusal(size))
            say(autoscaler.waiting(size))
        return False
    finally:
        for actor, _ in asking:
            ray.kill(actor, no_restart=True)


def _lost(here: Any) -> bool:
    """Whether an actor that asked has gone with its node."""
    if not ray.wait([here], timeout=0)[0]:
        return False
    try:
        ray.get(here)
    except ray.exceptions.RayError:
        return True
    return False
