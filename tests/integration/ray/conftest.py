"""One Ray for all tests here: it takes ten seconds and more to start."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from infra.settings import ray_environment


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[None]:
    """A Ray of this machine's own with two (logical) CPUs and no GPU; pools join it, and leave it running."""
    ray_environment()
    import ray

    ray.init(
        num_cpus=2, num_gpus=0, include_dashboard=False, log_to_driver=False, configure_logging=False,
        logging_level=logging.ERROR, object_store_memory=100 * 2**20,
    )  # fmt: skip
    yield
    ray.shutdown()
