"""The doctor on a real cluster: actors of ours that outlived their jobs are found and ended, and no others."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from flows.doctor.cluster import check_cluster
from flows.doctor.findings import repair_all
from infra.ray.fair_share_actor import NAME, NAMESPACE
from infra.settings import InfraSettings

pytestmark = pytest.mark.timeout(600)

# A job that makes detached actors, the one among them that all jobs share, and whose driver then ends.
JOB = """
import sys, time
from infra.ray.fair_share_actor import FairShareClient
from infra.workers.fair_share import Demand
import ray
address, namespace = sys.argv[1:]
ray.init(address=address, log_to_driver=False, logging_level="ERROR")

@ray.remote(num_cpus=0)
class Idle:
    def ready(self): return True

for space in (namespace, "of-somebody-else"):
    ray.get(Idle.options(name="orphan", namespace=space, lifetime="detached").remote().ready.remote())
line = FairShareClient()
while line.answer() is None:
    line.ask(Demand("test", 1))
    time.sleep(0.1)
line.leave("test")
"""


@pytest.fixture
def address(ray_cluster: None) -> Iterator[str]:
    import ray

    yield ray.get_runtime_context().gcs_address
    for name, space in (("orphan", NAMESPACE), ("orphan", "of-somebody-else"), ("busy", NAMESPACE)):
        with suppress(ValueError):
            ray.kill(ray.get_actor(name, namespace=space), no_restart=True)


def test_orphans_are_found_and_ended(address: str) -> None:
    import ray

    subprocess.run([sys.executable, "-c", JOB, address, NAMESPACE], check=True, env=dict(os.environ))

    @ray.remote(num_cpus=0)
    class Busy:
        def ready(self) -> bool:
            return True

    busy = Busy.options(name="busy", namespace=NAMESPACE, lifetime="detached").remote()  # type: ignore[attr-defined]
    assert ray.get(busy.ready.remote())

    settings = InfraSettings(ray_address=address, cpus_per_actor=0.5)
    deadline = time.monotonic() + 300
    while not (lost := [it for it in check_cluster(settings) if it.level == "problem"]):
        assert time.monotonic() < deadline, "the cluster never noticed that the job ended"
        time.sleep(0.5)
    assert [it.what for it in lost] == ["actors that outlived their jobs: orphan"]

    assert [it.repaired for it in repair_all(lost)] == ["ended orphan"]
    found = [it.what for it in check_cluster(settings)]
    assert "no actor outlived its job" in found
    assert "with 1 node" in found[0]
    assert "asks nobody for a token" in found[1]  # as a `Cluster` of Ray's own tests does
    assert "room for 4 actors" in found[2]
    left = {(it["name"], it["namespace"]) for it in ray.util.list_named_actors(all_namespaces=True)}
    assert {("busy", NAMESPACE), (NAME, NAMESPACE), ("orphan", "of-somebody-else")} <= left
    assert ("orphan", NAMESPACE) not in left


def test_more_actors_than_fit_are_a_problem(address: str) -> None:
    found = list(check_cluster(InfraSettings(ray_address=address, actors=50)))
    assert [it.level for it in found][:4] == ["ok", "warning", "problem", "ok"]
    assert "room for 2 of 50 actors" in found[2].what


def test_where_nobody_listens_is_reported_at_once() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but nobody listens there
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        (found,) = check_cluster(InfraSettings(ray_address=address))
    assert (found.level, found.repair) == ("problem", None)
    assert found.what == f"no Ray cluster at '{address}': Connection refused"
    assert "NIGHTREEL_RAY_ADDRESS" in found.remedy
