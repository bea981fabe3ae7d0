"""The doctor's look at a Ray cluster: what it has room for, and which actors of ours nobody needs any more."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

# before Ray: sets its environment
from infra.ray.autoscaler import Autoscaler
from infra.ray.cluster import RayUnavailable, alive_nodes, connect, disconnect, knock
from infra.ray.fair_share_actor import NAME, NAMESPACE
from infra.ray.node_doctor import NodeLook, look_at_nodes
from infra.ray.node_look import NodeFacts
from infra.settings import InfraSettings
from infra.workers.room import room_for_actors
from renderers.registry import Registry

import ray  # isort: skip
import ray.exceptions  # isort: skip
from ray._raylet import AuthenticationMode, get_authentication_mode  # type: ignore[attr-defined]  # isort: skip
from ray._private.state import state  # isort: skip  # the public state API needs the dashboard, which may be off

__all__ = ["ClusterLook", "RayUnavailable", "look_at_cluster", "orphans", "remove_orphans"]


@dataclass(frozen=True)
class ClusterLook:
    """A cluster of `nodes` machines with `room` for that many actors of ours, `free` of them at once; `orphans` are
    names of actors that outlived their jobs. `asks`: it lets nobody in without a token, as far as can be seen. `grows`:
    its autoscaler adds nodes, so that there may be room for more. `here` is this machine as its nodes are seen
    (`each`)."""

    nodes: int
    room: int
    free: int
    orphans: tuple[str, ...]
    asks: bool = True
    grows: bool = False
    here: NodeFacts | None = None
    each: tuple[NodeLook, ...] = ()


def look_at_cluster(settings: InfraSettings, output: str | None = None) -> ClusterLook:
    """Join the cluster for a moment; its nodes are asked to read and write `output`. Raises RayUnavailable."""
    with _joined(settings):
        nodes = alive_nodes()
        use_gpu = settings.device != "cpu" and any(node.get("GPU", 0.0) > 0 for node in nodes)
        size = settings.cpus_per_actor, settings.gpus_per_actor if use_gpu else 0.0
        free = room_for_actors(list(state.available_resources_per_node().values()), *size)
        asks = get_authentication_mode() is not AuthenticationMode.DISABLED  # whoever has no token is let in then
        grows = Autoscaler.of(settings) is not None
        here, each = look_at_nodes(Registry(settings.models_folder), output)
        return ClusterLook(len(nodes), room_for_actors(nodes, *size), free, _orphans(), asks, grows, here, tuple(each))


def remove_orphans(settings: InfraSettings) -> tuple[str, ...]:
    """End the actors that outlived their jobs; returns their names. Raises RayUnavailable."""
    with _joined(settings):
        ended = _orphans()
        for name in ended:
            with suppress(ValueError, ray.exceptions.RayError):  # it ended just now
                ray.kill(ray.get_actor(name, namespace=NAMESPACE), no_restart=True)
        return ended


def orphans(named: Iterable[tuple[str, str]], gone: Iterable[str]) -> tuple[str, ...]:
    """Of `named` actors of our namespace with the job that made each, those whose job is `gone`.

    The actor of fair shares belongs to all jobs and outlives them by design.
    """
    dead = set(gone)
    return tuple(sorted(name for name, job in named if name != NAME and job in dead))


def _orphans() -> tuple[str, ...]:
    named = []
    for entry in ray.util.list_named_actors(all_namespaces=True):
        if entry["namespace"] != NAMESPACE:
            continue
        with suppress(ValueError, ray.exceptions.RayError):
            actor = ray.get_actor(entry["name"], namespace=NAMESPACE)
            known = state.actor_table(actor._actor_id.hex())
            named.append((entry["name"], str(known["JobID"])))
    return orphans(named, (job["JobID"] for job in state.job_table() if job["IsDead"]))


@contextmanager
def _joined(settings: InfraSettings) -> Iterator[None]:
    knock(settings.ray_address or "")
    joined = connect(settings)
    try:
        yield
    finally:
        if joined:
            disconnect()
