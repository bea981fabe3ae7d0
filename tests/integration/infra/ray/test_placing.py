"""Room that is waited for, on a real cluster that gets a node meanwhile, as from an autoscaler."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import ray

from infra.ray.autoscaler import Autoscaler
from infra.ray.cluster import RayUnavailable, connect, disconnect
from infra.ray.placing import wait_for_room
from infra.settings import InfraSettings
from tests.helpers.patient_ray import add_node

# More than the cluster's first node has.
SIZE = (3.0, 0.0)


@pytest.mark.minutes
@pytest.mark.timeout(900)
def test_room_is_waited_for_until_it_comes_or_the_patience_ends(ray_cluster: Any) -> None:
    settings = InfraSettings(ray_address=ray_cluster.address, autoscaler="on", node_seconds=10)
    started = connect(settings)
    try:
        with pytest.raises(RayUnavailable, match="no node for this run for 10 s, for which NIGHTREEL_NODE_SECONDS"):
            wait_for_room(Autoscaler(settings), SIZE, 2, say=lambda _: None, stop=lambda: False)
        stopped = threading.Event()
        assert not wait_for_room(Autoscaler(settings), SIZE, 1, say=lambda _: stopped.set(), stop=stopped.is_set)

        patient = Autoscaler(settings.model_copy(update={"node_seconds": 600.0}))
        said: list[str] = []
        heard = threading.Event()

        def say(what: str) -> None:
            said.append(what)
            if "waiting for" in what:
                heard.set()

        with ThreadPoolExecutor(1) as background:
            waits = background.submit(wait_for_room, patient, SIZE, 2, say=say, stop=lambda: False)
            assert heard.wait(300)
            node = add_node(ray_cluster, num_cpus=6, num_gpus=0, object_store_memory=80 * 2**20)
            try:
                assert waits.result(300)
            finally:
                ray_cluster.remove_node(node, allow_graceful=False)
        assert "waiting for the autoscaler, which has been asked for nodes" in said
        assert ray.is_initialized()
    finally:
        if started:
            disconnect()
