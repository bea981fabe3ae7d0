"""The list of deployments as the file that `prefect deploy` reads: `make deployments` writes infra/prefect.yaml."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml

from flows.orchestration.deployments import DEPLOYMENTS, Deployment

__all__ = ["deployment_file"]

HEADER = """\
# Made by `make deployments` from flows/orchestration/deployments.py: change that list, not this file.
#
# nightreel's deployments for a work pool on a cluster; `nightreel up` serves the same ones on one machine.
#
#   prefect work-pool create nightreel --type kubernetes     (or docker, process, ...)
#   prefect deploy --all --prefect-file infra/prefect.yaml
#
# The work pool is named in one place, below `definitions`. The workers' image, or machine, has nightreel installed, and
# NIGHTREEL_RAY_ADDRESS in its environment; the code is not pulled. Run `prefect deploy` where nightreel is installed
# too: the forms are made from the flows' signatures. A schedule is off until its parameters name a real place; switch
# it on in the UI.

"""
WORK_POOL = "nightreel"


def deployment_file() -> str:
    """The file's text."""
    pool = {"name": WORK_POOL}
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
    Path(sys.argv[1]).write_text(deployment_file(), encoding="utf-8")
