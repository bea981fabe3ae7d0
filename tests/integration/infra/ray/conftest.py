"""One Ray for all tests here: it takes ten seconds and more to start."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.helpers.patient_ray import running_cluster


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[Any]:
    """A Ray of this machine's own with a node of two (logical) CPUs and no GPU; pools join it, and leave it running.
    Tests that add nodes to this `Cluster` remove them."""
    with running_cluster() as cluster:
        yield cluster
