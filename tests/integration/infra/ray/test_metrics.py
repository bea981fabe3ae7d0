"""The numbers of a real render, as the agents of a real cluster's nodes tell them to Prometheus.

A small night with everything in it that is counted: storage that answers 503 now and then, a frame that storage
refuses for good, an actor that is killed, an actor that holds a (logical) GPU.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import pytest

from infra.metrics import METRICS, Counter, Gauge, Histogram
from tests.helpers.fault_proxy import FaultPlan, FaultProxy
from tests.helpers.monitoring import alert_rules, dashboard_queries, names_in
from tests.helpers.render_jobs import quick_row, write_manifest
from tests.helpers.s3_server import S3Server

pytestmark = [pytest.mark.minutes, pytest.mark.timeout(1800)]

# Ray tells them of GPUs that a driver of NVIDIA's knows, which logical ones are not.
OF_REAL_GPUS = {"ray_node_gpus_utilization"}

RENDER = """
import json, os, signal, sys, time, urllib.request
from tests.helpers.patient_ray import add_node, running_cluster

manifest, output = sys.argv[1:]


def seen(told):
    return {line.split()[2] for text in told for line in text.splitlines() if line.startswith("# TYPE ")}


def count(text):
    lines = [line for line in text.splitlines() if line.startswith("ray_nightreel_frames_committed_total{")]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


with running_cluster() as cluster:
    import ray
    from flows.job.dispatch import run_job
    from flows.job.events import JobEvents
    from flows.job.job import RenderJob
    from flows.job.parameters import RenderParameters
    from infra import metrics
    from infra.ray.pool import RayPool
    from infra.settings import InfraSettings

    add_node(cluster, num_cpus=1, num_gpus=1, object_store_memory=100 * 2**20)
    settings = InfraSettings(ray_address=cluster.address, actors=1, attempts=2)
    job = RenderJob(RenderParameters(manifest, output), settings)
    job.read()
    pool = RayPool(job.output, settings)
    killed = []

    def kill_once():
        at = [it for it in pool.progress() if it.busy]
        if at and not killed and any(run.rendered for run in job.runs.values()):
            killed.append(int(at[0].worker.rpartition(":")[2]))
            os.kill(killed[0], signal.SIGKILL)

    run_job(job, pool, events=JobEvents(tick=kill_once))
    left = {video: run.missing for video, run in job.runs.items()}
    committed = sum(run.rendered for run in job.runs.values())
    heard = metrics.recorded()
    urls = [f"http://{it['NodeManagerAddress']}:{it['MetricsExportPort']}/metrics" for it in ray.nodes()]
    pool.close()
    ray.shutdown()  # as a command does that ends: what it said last must not be lost
    names, told = {it.exported for it in metrics.METRICS}, []
    until = time.monotonic() + 60
    while time.monotonic() < until and not (names <= seen(told) and committed == count(told[-1])):
        time.sleep(1)
        told.append("".join(urllib.request.urlopen(url, timeout=10).read().decode() for url in urls))
    missing = sorted(names - seen(told))
    print(json.dumps({"told": told, "missing": missing, "killed": killed, "left": left,
                      "committed": committed, "heard": [heard, metrics.recorded()]}))
"""


@dataclass(frozen=True)
class Night:
    """What came of it; `text` is what all nodes told, again and again, and `last` what they told last: a gauge is
    forgotten once nobody says it any more."""

    text: str
    last: str
    result: dict[str, Any]
    secret: str

    def values(self, name: str) -> dict[str, float]:
        """Each series of a name, by its labels."""
        found = re.findall(rf"^{name}{{(.*)}} (\S+)$", self.last, re.MULTILINE)
        return {labels: float(value) for labels, value in found}


@pytest.fixture(scope="module")
def night(s3_server: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Night:
    folder = tmp_path_factory.mktemp("night")
    rows = [quick_row("reef", frames=12, steps=30), quick_row("sealed-video", frames=1)]
    manifest = write_manifest(folder / "night.parquet", rows)
    with FaultProxy(s3_server.url, FaultPlan(seed=1, server_errors=0.15)) as proxy:
        proxy.refuse("/sealed-video/frames/", 403)
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "NIGHTREEL_"))}
        environment |= {**s3_server.environment, "AWS_ENDPOINT_URL": proxy.url}
        done = subprocess.run(
            [sys.executable, "-c", RENDER, manifest, "s3://nightreel-tests/numbers"],
            env=environment, capture_output=True, text=True, check=False, timeout=1700,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    result = json.loads(done.stdout.splitlines()[-1])
    told = result.pop("told")
    return Night("\n".join(told), told[-1], result, s3_server.secret_key)


def test_all_numbers_are_told(night: Night) -> None:
    assert night.result["missing"] == []
    assert len(night.result["killed"]) == 1
    assert night.result["left"] == {"reef": 0, "sealed-video": 1}
    assert night.result["heard"] == [True, False], "whoever lets go of the cluster says nothing more"


def test_they_are_true(night: Night) -> None:
    assert sum(night.values("ray_nightreel_frames_committed_total").values()) == night.result["committed"] == 12
    assert sum(night.values("ray_nightreel_frames_failed_total").values()) == 1
    assert sum(night.values("ray_nightreel_workers_lost_total").values()) == 1
    assert any('kind="storage"' in labels for labels in night.values("ray_nightreel_frames_failed_total"))
    assert any('kind="infrastructure"' in labels for labels in night.values("ray_nightreel_retries_total"))
    assert any('error="StorageUnavailable"' in labels for labels in night.values("ray_nightreel_storage_errors_total"))
    # one logical GPU, held by whoever renders
    busy = sum(night.values("ray_nightreel_worker_busy_seconds_total").values())
    assert sum(night.values("ray_nightreel_gpu_busy_seconds_total").values()) == pytest.approx(busy)


def test_they_are_of_their_kinds(night: Night) -> None:
    kinds = dict(re.findall(r"^# TYPE (\S+) (\S+)$", night.text, re.MULTILINE))
    expected = {Counter: "counter", Gauge: "gauge", Histogram: "histogram"}
    assert {it.exported: kinds[it.exported] for it in METRICS} == {it.exported: expected[type(it)] for it in METRICS}


@pytest.mark.parametrize("where", ["dashboard", "alerts"])
def test_what_is_asked_for_is_told(night: Night, where: str) -> None:
    queries = dashboard_queries() if where == "dashboard" else [rule["expr"] for rule in alert_rules().values()]
    for name in set().union(*map(names_in, queries)) - OF_REAL_GPUS - {"up"}:  # Prometheus' own
        assert re.search(rf"^{name}\{{", night.text, re.MULTILINE), f"nobody tells {name}"


def test_ray_has_the_numbers_of_real_gpus() -> None:
    from ray.dashboard.modules.reporter.reporter_agent import METRICS_GAUGES

    assert {name.removeprefix("ray_") for name in OF_REAL_GPUS} <= METRICS_GAUGES.keys()


def test_labels_hold_neither_videos_nor_secrets(night: Night) -> None:
    ours = [line for line in night.text.splitlines() if line.startswith("ray_nightreel_")]
    own = {"Component", "NodeAddress", "SessionName", "Version", "WorkerId", "JobId", "NodeType", "le"}
    labels = {name for line in ours for name in re.findall(r'[{,](\w+)="', line)}
    assert {name for name in labels if not name.startswith("otel_")} - own == {"kind", "state", "error"}
    for word in ("reef", "sealed", "s3:", night.secret):
        assert word not in "\n".join(ours)
