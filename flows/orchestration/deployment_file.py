"""The list of deployments as the file that `prefect deploy` reads, and the job templates of work pools as files for
`prefect work-pool create --base-job-template`: `make deployments` writes infra/prefect.yaml and infra/work_pools."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import yaml

from flows.orchestration.deployments import DEPLOYMENTS, Deployment
from flows.orchestration.job_templates import POOL, WorkPool, job_template

__all__ = ["deployment_file", "template_files", "write"]

HEADER = """\
# Made by `make deployments` from flows/orchestration/deployments.py: change that list, not this file.
#
# nightreel's deployments for a work pool on a cluster; `nightreel up` serves the same ones on one machine. One command
# makes the pool, these deployments and the automations, and checks the server:
#
#   nightreel deploy --type kubernetes --image registry.example/nightreel:0.3 --credentials nightreel-storage
#
# By Prefect's own commands, without automations and checks:
#
#   prefect work-pool create nightreel --type kubernetes --base-job-template infra/work_pools/kubernetes.json
#   prefect deploy --all --prefect-file infra/prefect.yaml
#
# The work pool is named in one place, below `definitions`. The workers' image, or machine, has nightreel installed, and
# NIGHTREEL_RAY_ADDRESS in its environment; the code is not pulled. Run either command where nightreel is installed too:
# the forms are made from the flows' signatures. A schedule is off until its parameters name a real place; switch it on
# in the UI.

"""
# What files for everybody hold where `nightreel deploy` is given names.
_SHOWN = (
    WorkPool("process"),
    WorkPool(
        "docker",
        image="nightreel:latest",
        credentials="/etc/nightreel/aws-credentials",
        secrets=("RAY_AUTH_TOKEN=/etc/nightreel/secrets/ray_token",),
    ),
    WorkPool(
        "kubernetes",
        image="nightreel:latest",
        credentials="nightreel-storage",
        models="nightreel-models",
        namespace="nightreel",
        service_account="nightreel",
        secrets=("RAY_AUTH_TOKEN=nightreel-ray/auth_token",),
    ),
)


def template_files() -> dict[str, str]:
    """The job templates: their files' names and texts."""
    return {f"{pool.kind}.json": json.dumps(job_template(pool), indent=1) + "\n" for pool in _SHOWN}


def write(infra: Path) -> None:
    """Write all of it below the folder `infra`."""
    (infra / "prefect.yaml").write_text(deployment_file(), encoding="utf-8")
    (infra / "work_pools").mkdir(exist_ok=True)
    for name, text in template_files().items():
        (infra / "work_pools" / name).write_text(text, encoding="utf-8")


def deployment_file() -> str:
    """The file's text."""
    pool = {"name": POOL}
    content = {
        "name": "nightreel",
        "definitions": {"work_pool": pool},
        "build": [],
        "push": [],
        "pull": [],
        "deployments": [_entry(deployment, pool) for deployment in DEPLOYMENTS],
    }
    return HEADER + yaml.dump(content, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)


def _entry(deployment: Deployment, pool: dict[str, str]) -> dict[str, Any]:
    schedules: list[dict[str, Any]] = []
    if schedule := deployment.schedule:
        schedules.append(
            {"cron": schedule.cron, "timezone": schedule.time_zone, "slug": deployment.name, "active": False}
        )
    return {
        "name": deployment.name,
        "entrypoint": deployment.entrypoint,
        "description": deployment.description,
        "tags": list(deployment.tags),
        "enforce_parameter_schema": True,
        "parameters": dict(deployment.parameters),
        "schedules": schedules,
        "work_pool": pool,
    }


class _Dumper(yaml.SafeDumper):
    """Writes what occurs again, the work pool, as a reference to its first occurrence."""

    def generate_anchor(self, node: yaml.Node) -> str:
        return "work_pool"


if __name__ == "__main__":
    write(Path(sys.argv[1]))
