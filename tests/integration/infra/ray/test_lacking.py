"""Nodes whose processes can't do their part: credentials are missing where a raylet was started. On a real Ray and a
real S3 server; what is rendered is rendered where it can be."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import ray

from flows.job.dispatch import run_job
from infra.ray.left_nodes import LeftNodes
from infra.ray.pool import RayPool
from infra.settings import InfraSettings
from infra.storage.storage import Storage
from tests.helpers.patient_ray import add_node
from tests.helpers.render_jobs import frame_objects, planned, quick_row, write_manifest

# More than the first node of the cluster has, which was started without any AWS variables.
CPUS = 3


@contextmanager
def node(cluster: Any, actors: int = 1, **variables: str) -> Iterator[str]:
    """A node with room for so many actors, whose processes find these variables besides this process's."""
    added = add_node(cluster, num_cpus=actors * CPUS, num_gpus=0, object_store_memory=80 * 2**20, env_vars=variables)
    try:
        yield added.node_id
    finally:
        cluster.remove_node(added, allow_graceful=False)
        # the next test counts the nodes that are there, and Ray takes a while to see that one is gone
        while any(it["Alive"] and it["NodeID"] == added.node_id for it in ray.nodes()):
            time.sleep(0.2)


def job(s3_root: str, tmp_path: Path, **settings: Any) -> Any:
    # a chunk for each video: of two free actors the second chunk takes the other one
    settings = {"chunk_seconds": 0.01, **settings}
    rows = [quick_row(f"video-{number}", frames=3) for number in range(4)]
    return planned(
        write_manifest(tmp_path / "m.parquet", rows), s3_root, InfraSettings(cpus_per_actor=CPUS, **settings)
    )


def test_a_node_is_come_back_to_when_the_others_have_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without it a job waited for ever for actors that could begin nowhere."""
    room = {"elsewhere": 2}
    monkeypatch.setattr(LeftNodes, "_room_beside", lambda self, left: room["elsewhere"])
    left = LeftNodes(1, 0)
    assert left.at_most(3) == 3
    assert left.add("a")
    assert (left.at_most(3), left.options) == (2, {"label_selector": {"ray.io/node-id": "!in(a)"}})
    room["elsewhere"] = 0
    assert (left.at_most(3), left.options) == (3, {})


def nodes_of(pool: RayPool) -> set[str]:
    return set(pool.places.values())


@pytest.mark.minutes
@pytest.mark.timeout(900)
def test_frames_go_where_there_are_credentials(ray_cluster: Any, s3_root: str, tmp_path: Path) -> None:
    with node(ray_cluster) as good, node(ray_cluster, AWS_ACCESS_KEY_ID="") as bad:
        wanted = job(s3_root, tmp_path, actors=2)
        pool = RayPool(Storage(s3_root), wanted.settings, reading=wanted.reading)
        try:
            until = time.monotonic() + 600
            while nodes_of(pool) != {good, bad}:
                assert time.monotonic() < until
                time.sleep(0.1)
            run_job(wanted, pool)
            # the bad node has no actor any more, and none comes back to it
            assert bad not in nodes_of(pool)
        finally:
            pool.close()
    assert wanted.complete, [run.reason for run in wanted.runs.values()]
    assert len(frame_objects(Storage(s3_root))) == 12
    # no frame was at fault
    assert not [info.key for info in Storage(s3_root).list() if "/failures/" in info.key]
    (said,) = wanted.lacks
    assert "lacks access to 's3://" in said
    assert "no credentials" in said
    assert "AWS_ACCESS_KEY_ID" in said
    assert "its frames go to workers of other hosts" in said


@pytest.mark.minutes
@pytest.mark.timeout(900)
def test_all_actors_move_away_from_such_a_node(ray_cluster: Any, s3_root: str, tmp_path: Path) -> None:
    with node(ray_cluster, actors=2, AWS_ACCESS_KEY_ID="") as bad:
        wanted = job(s3_root, tmp_path, actors=2, attempts=1)
        pool = RayPool(Storage(s3_root), wanted.settings, reading=wanted.reading)
        try:
            until = time.monotonic() + 600
            while list(pool.places.values()) != [bad, bad]:
                assert time.monotonic() < until
                time.sleep(0.1)
            with node(ray_cluster) as good:
                run_job(wanted, pool)
                assert nodes_of(pool) <= {good, ""}
        finally:
            pool.close()
    assert wanted.complete, [run.reason for run in wanted.runs.values()]
    assert not [info.key for info in Storage(s3_root).list() if "/failures/" in info.key]
    assert len(wanted.lacks) == 1


@pytest.mark.minutes
@pytest.mark.timeout(900)
def test_without_another_node_the_frames_fail_and_say_why(ray_cluster: Any, s3_root: str, tmp_path: Path) -> None:
    with node(ray_cluster, AWS_ACCESS_KEY_ID=""):
        wanted = job(s3_root, tmp_path, actors=1, attempts=1)
        pool = RayPool(Storage(s3_root), wanted.settings, reading=wanted.reading)
        try:
            run_job(wanted, pool)
        finally:
            pool.close()
    assert wanted.frames_missing == (12, 12)
    (said,) = wanted.lacks
    assert "no worker of another host is left" in said
    assert all("no credentials" in run.reason for run in wanted.runs.values())
    assert ray.is_initialized()
