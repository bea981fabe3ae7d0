"""Ray's own `Cluster` for tests, with the patience of infra/ray/node_process.py, and more: several run at once."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import pytest

from infra.environment import ray_environment
from infra.ports import free_port

__all__ = ["NODE_SECONDS", "RAYLET_SECONDS", "add_node", "running_cluster"]

NODE_SECONDS = 240.0
RAYLET_SECONDS = 240.0
# A raylet that has to learn these from its agents aborts if they have not started after 15 s, another constant.
AGENT_PORTS = ("metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port", "runtime_env_agent_port")
ATTEMPTS = 5


@contextmanager
def running_cluster() -> Iterator[Any]:
    """A Ray `Cluster` with a node of two (logical) CPUs and no GPU, to which this process is connected."""
    ray_environment()  # again and again: tests put the environment back
    from infra.ray.node_process import patient

    import ray  # isort: skip
    from ray.cluster_utils import Cluster  # isort: skip

    patch = pytest.MonkeyPatch()
    # a short path, for its sockets; of its own, since by a note there every `ray.init` of this machine would join it
    folder = tempfile.mkdtemp(prefix="nr", dir="/tmp")
    patch.setenv("RAY_TMPDIR", folder)
    patient_look = patient(ray._private.services.get_node, RAYLET_SECONDS)
    patch.setattr(ray._private.services, "get_node", patient_look)
    cluster = Cluster()
    add_node(cluster, num_cpus=2, num_gpus=0, include_dashboard=False, object_store_memory=100 * 2**20)
    ray.init(address=cluster.address, log_to_driver=False, configure_logging=False, logging_level=logging.ERROR)
    yield cluster
    ray.shutdown()
    cluster.shutdown()
    patch.undo()
    shutil.rmtree(folder, ignore_errors=True)


def add_node(cluster: Any, **node: Any) -> Any:
    """`Cluster.add_node`, tried again when the raylet gave itself up."""
    from infra.ray.node_process import with_port  # before Ray: settles its environment

    from ray._private import services  # isort: skip

    for attempts_left in reversed(range(ATTEMPTS)):
        ports = {port: free_port() for port in AGENT_PORTS}
        agent = ports["dashboard_agent_listen_port"]
        try:
            with mock.patch.object(services, "start_ray_process", with_port(services.start_ray_process, agent)):
                return cluster.add_node(**ports, **node)
        except Exception:  # a plain one: "the current node timed out during startup"
            if not attempts_left:
                raise
    return None
