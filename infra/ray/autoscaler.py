"""What the autoscaler of a Ray cluster says of itself, if the cluster has one: version 2, which KubeRay, `ray up` and
`ray start --autoscaling-config` with RAY_enable_autoscaler_v2=1 run.

It is asked for nodes by actors that wait (infra/workers/scaling.py), never by `request_resources`: that is one list for
the whole cluster, the last writer's, and it stays when its writer dies.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, cast

from infra.environment import ray_environment
from infra.settings import InfraSettings
from infra.workers.room import Size
from infra.workers.scaling import Coming, Scaling, Spare

ray_environment()  # before the import: Ray reads them while it is imported

import ray  # noqa: E402
import ray.exceptions  # noqa: E402
from ray.core.generated.autoscaler_pb2 import GetClusterStatusReply  # type: ignore[attr-defined]  # noqa: E402

__all__ = ["Autoscaler", "Placed", "has_autoscaler", "look_at_scaling", "scaling_of"]

logger = logging.getLogger(__name__)

ANSWER_SECONDS = 10.0
# It looks every five seconds; on a busy head the first time takes longer.
GPU_ANSWER_SECONDS = 40.0
ASK_SECONDS = 0.3


@ray.remote(max_restarts=0)
class Placed:
    """An actor by which it is asked whether there is room for one, now or on a node to come."""

    def here(self) -> None:
        """Answer, from wherever there was room."""


class Autoscaler:
    """The autoscaler of the cluster that this process has joined, as one pool sees it."""

    def __init__(self, settings: InfraSettings) -> None:
        self.scaling = Scaling()
        self._settings, self._spare = settings, Spare()
        self._waiting_since: float | None = None

    @classmethod
    def of(cls, settings: InfraSettings) -> Autoscaler | None:
        """Return it; None if there is none, or if it is not to be used."""
        if settings.autoscaler == "auto":
            with suppress(ray.exceptions.RayError, RuntimeError):  # a head that does not tell has none to be counted on
                return cls(settings) if has_autoscaler(_status()) else None
        return cls(settings) if settings.autoscaler == "on" else None

    @property
    def patience(self) -> float:
        """Seconds for which a run waits for a first node."""
        return self._settings.node_seconds

    def look(self) -> None:
        """Hear what it says now."""
        self.scaling = look_at_scaling()

    def waiting(self, size: Size) -> str:
        """Say what a pool without an actor waits for."""
        if not self.scaling.unplaced.get(size):
            return "starting actors"
        return f"waiting for {self.scaling.waits_for(size)}"

    def gives_gpus(self) -> bool:
        """Ask for an actor with the settings' GPUs, and return whether it can be placed, now or on a node to come."""
        size = self._settings.cpus_per_actor, self._settings.gpus_per_actor
        asking = cast(Any, Placed).options(num_cpus=size[0], num_gpus=size[1]).remote()
        try:
            there = asking.here.remote()
            seen, until = None, time.monotonic() + GPU_ANSWER_SECONDS
            while time.monotonic() < until:
                if ray.wait([there], timeout=ASK_SECONDS)[0]:
                    return True
                try:
                    status = _status()
                except (ray.exceptions.RayError, RuntimeError):  # a head that is busy
                    continue
                scaling = scaling_of(status)
                if scaling.refused.get(size):
                    return False
                if seen is None and scaling.unplaced.get(size):
                    seen = status.cluster_resource_state.cluster_resource_state_version
                # it has looked since the demand is there, and has not refused it
                if seen is not None and status.autoscaling_state.last_seen_cluster_resource_state_version > seen:
                    return True
        finally:
            with suppress(ray.exceptions.RayError):
                ray.kill(asking, no_restart=True)
        logger.warning(
            "the cluster's autoscaler does not say whether it can add GPUs: rendering on CPUs. NIGHTREEL_DEVICE=cuda "
            "asks for GPUs all the same"
        )
        return False

    def keep(self, share: int, wanted: int) -> int:
        """See `Spare.keep`."""
        return self._spare.keep(share, wanted, time.monotonic())

    def waited(self, *, waits: bool) -> float:
        """Return for how many seconds there has been no actor although there should be: it `waits` now, or not."""
        now = time.monotonic()
        if not waits:
            self._waiting_since = None
            return 0.0
        self._waiting_since = self._waiting_since or now
        return now - self._waiting_since

    def refusal(self, size: Size) -> str:
        """Say why a run ends that has waited for long enough."""
        seconds = self._settings.node_seconds
        return (
            f"the Ray cluster has had no node for this run for {seconds:g} s, for which NIGHTREEL_NODE_SECONDS lets it "
            f"wait; it waited for {self.scaling.waits_for(size)} (the autoscaler's log on the head says why none came)"
        )


def look_at_scaling() -> Scaling:
    """Return what the autoscaler of the cluster that this process has joined says; nothing where it can't be had."""
    try:
        return scaling_of(_status())
    except (ray.exceptions.RayError, RuntimeError):  # the head is away: others look after that
        return Scaling()


def has_autoscaler(status: Any) -> bool:
    """Say whether a cluster's status (`GetClusterStatusReply`) is that of one whose autoscaler adds nodes. One that
    only looks is run on every cluster; the former knows of which of its kinds the head is."""
    if not status.HasField("autoscaling_state"):
        return False
    return any(node.ray_node_type_name for node in status.cluster_resource_state.node_states)


def scaling_of(status: Any) -> Scaling:
    """Read a cluster's status (`GetClusterStatusReply`)."""
    state = status.autoscaling_state
    coming = Counter({it.ray_node_type_name: it.count for it in state.pending_instance_requests})
    coming.update(it.ray_node_type_name for it in state.pending_instances)
    unplaced: Counter[Size] = Counter()
    for it in status.cluster_resource_state.pending_resource_requests:
        unplaced[_size(it.request.resources_bundle)] += it.count
    return Scaling(
        unplaced=unplaced,
        refused=Counter(_size(it.resources_bundle) for it in state.infeasible_resource_requests),
        coming=tuple(Coming(kind, number) for kind, number in sorted(coming.items()) if number > 0),
    )


def _size(bundle: Mapping[str, float]) -> Size:
    return round(bundle.get("CPU", 0.0), 4), round(bundle.get("GPU", 0.0), 4)


def _status() -> Any:
    worker: Any = ray._private.worker.global_worker
    return GetClusterStatusReply.FromString(worker.gcs_client.get_cluster_status(timeout_s=ANSWER_SECONDS))
