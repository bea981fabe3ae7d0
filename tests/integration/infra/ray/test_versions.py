"""A run whose driver has another nightreel than a node of the cluster."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.render_jobs import quick_row, write_manifest

DRIVE = """
import json, sys
from flows.job.dispatch import run_job
from flows.job.job import RenderJob
from flows.job.parameters import RenderParameters
from infra.ray.pool import RayPool
from infra.settings import InfraSettings

settings = InfraSettings(ray_address=sys.argv[1], actors=1)
job = RenderJob(RenderParameters(*sys.argv[2:]), settings)
job.read()
pool = RayPool(job.output, settings)
run_job(job, pool)
pool.close()
(run,) = job.runs.values()
print(json.dumps([[it.kind, it.message] for it in run.failures]))
"""


@pytest.mark.minutes  # a driver of its own
def test_mixed_versions_are_refused_by_name(ray_cluster: None, tmp_path: Path) -> None:
    import ray

    (tmp_path / "nightreel-9.9.dist-info").mkdir()
    metadata = tmp_path / "nightreel-9.9.dist-info" / "METADATA"
    metadata.write_text("Metadata-Version: 2.4\nName: nightreel\nVersion: 9.9\n")
    address = ray.get_runtime_context().gcs_address
    manifest = write_manifest(tmp_path / "m.parquet", [quick_row("reef")])
    done = subprocess.run(
        [sys.executable, "-c", DRIVE, address, manifest, str(tmp_path / "out")],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{Path.cwd()}"}, capture_output=True, text=True, check=False,
        timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    ((kind, message),) = json.loads(done.stdout.splitlines()[-1])
    assert kind == "environment", "it is not tried again"
    assert "and the run's driver is nightreel 9.9: install the same version everywhere" in message
    assert f"({ray.util.get_node_ip_address()})" in message
