"""What is read from the answers of a Ray cluster's autoscaler, and that a cluster without one has none."""

from __future__ import annotations

import time
from typing import Any

import pytest
import ray
from ray.core.generated.autoscaler_pb2 import GetClusterStatusReply  # type: ignore[attr-defined]

from infra.ray.autoscaler import Autoscaler, has_autoscaler, look_at_scaling, scaling_of
from infra.ray.placing import wants_gpus
from infra.settings import InfraSettings
from infra.workers.scaling import Coming, Scaling


def reply(kind: str = "head", unplaced: int = 0, **state: Any) -> Any:
    """The status of a cluster whose head is of this kind."""
    pending = [{"request": {"resources_bundle": {"CPU": 1.0}}, "count": unplaced}] if unplaced else []
    return GetClusterStatusReply(
        autoscaling_state={"last_seen_cluster_resource_state_version": 7} | state,
        cluster_resource_state={"node_states": [{"ray_node_type_name": kind}], "pending_resource_requests": pending},
    )


def test_an_autoscaler_that_only_looks_is_none() -> None:
    assert has_autoscaler(reply())
    assert not has_autoscaler(reply(kind=""))
    assert not has_autoscaler(GetClusterStatusReply(cluster_resource_state=reply().cluster_resource_state))


def test_its_answer_is_read() -> None:
    status = reply(
        unplaced=3,
        pending_instance_requests=[{"ray_node_type_name": "gpu", "count": 2}],
        pending_instances=[{"ray_node_type_name": "gpu"}, {"ray_node_type_name": "cpu"}],
        infeasible_resource_requests=[{"resources_bundle": {"CPU": 1.0, "GPU": 0.25}}] * 3
        + [{"resources_bundle": {"CPU": 2.0}}],
    )
    assert scaling_of(status) == Scaling(
        unplaced={(1.0, 0.0): 3},
        refused={(1.0, 0.25): 3, (2.0, 0.0): 1},
        coming=(Coming("cpu", 1), Coming("gpu", 3)),
    )
    assert scaling_of(reply()) == Scaling()


@pytest.mark.usefixtures("ray_cluster")
def test_a_cluster_without_one_has_none_unless_somebody_says_so() -> None:
    assert Autoscaler.of(InfraSettings()) is None
    assert Autoscaler.of(InfraSettings(autoscaler="off")) is None
    there = Autoscaler.of(InfraSettings(autoscaler="on"))
    assert there is not None
    assert look_at_scaling() == Scaling()
    assert not wants_gpus(InfraSettings(), None)
    assert not wants_gpus(InfraSettings(device="cpu"), there)
    assert wants_gpus(InfraSettings(device="cuda"), there)


@ray.remote(num_cpus=7)
class _TooLarge:
    pass


@pytest.mark.usefixtures("ray_cluster")
def test_what_ray_has_no_room_for_is_seen_by_the_driver_and_on_the_cluster() -> None:
    actor = _TooLarge.remote()
    elsewhere = ray.remote(num_cpus=0)(look_at_scaling)
    try:
        deadline = time.monotonic() + 60
        while {(7.0, 0.0): 1} not in (look_at_scaling().unplaced, seen := ray.get(elsewhere.remote()).unplaced):
            assert time.monotonic() < deadline, seen
            time.sleep(0.2)
        assert look_at_scaling().unplaced == ray.get(elsewhere.remote()).unplaced == {(7.0, 0.0): 1}
    finally:
        ray.kill(actor)
