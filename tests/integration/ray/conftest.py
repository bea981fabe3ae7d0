"""One Ray for all tests here: it takes ten seconds and more to start."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Iterator
from typing import Any

import pytest

from infra.settings import ray_environment
from tests.patient_ray import add_node, patient


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[Any]:
    """A Ray of this machine's own with a node of two (logical) CPUs and no GPU; pools join it, and leave it running.
    Tests that add nodes to this `Cluster` remove them."""
    ray_environment()
    import ray
    from ray.cluster_utils import Cluster

    patch = pytest.MonkeyPatch()
    # a short path, for its sockets; of its own, since by a note there every `ray.init` of this machine would join it
    folder = tempfile.mkdtemp(prefix="nr", dir="/tmp")
    patch.setenv("RAY_TMPDIR", folder)
    patch.setattr(ray._private.services, "get_node", patient(ray._private.services.get_node))
    cluster = Cluster()
    add_node(cluster, num_cpus=2, num_gpus=0, include_dashboard=False, object_store_memory=100 * 2**20)
    ray.init(address=cluster.address, log_to_driver=False, configure_logging=False, logging_level=logging.ERROR)
    yield cluster
    ray.shutdown()
    cluster.shutdown()
    patch.undo()
    shutil.rmtree(folder, ignore_errors=True)
