"""A server whose scheduler fails as it did with SQLAlchemy 2.1: `nightreel up` and the doctor say so."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.helpers.commands import Commands
from tests.helpers.up import running_up

# In the server's process only. The statement is the one that SQLAlchemy 2.1.9 refuses, by this error.
SITE = """
import sys

if "flows.local.own_server" in sys.orig_argv:
    import prefect.server.models.deployments as deployments
    from sqlalchemy.exc import InvalidRequestError

    async def refuse(*_, **__):
        raise InvalidRequestError("Can't evaluate bulk DML statement; please supply a bulk DML parameter collection")

    deployments._insert_scheduled_flow_runs = refuse
"""
NIGHT = ("--nightly", "m/{date}.parquet", "--output", "o/{date}")
WITHIN = 120.0


@pytest.mark.minutes
@pytest.mark.timeout(1200)
def test_a_broken_scheduler_is_reported_by_up_and_by_the_doctor(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(SITE)
    # a cluster that nobody asks: without its start the test takes half the time
    broken = {"PYTHONPATH": str(tmp_path), "NIGHTREEL_RAY_ADDRESS": "127.0.0.1:9"}
    with running_up(tmp_path, broken, *NIGHT) as up:
        began = time.monotonic()
        by_log = "ERROR: the scheduler of Prefect's server fails, so no night begins by its schedule"
        by_result = "ERROR: the schedule of 'nightly' is on, but Prefect's server has no run of it to come"
        up.wait_until(lambda: by_log in up.said() and by_result in up.said(), WITHIN, "both reports")
        print(f"reported after {time.monotonic() - began:.0f} s")
        said = up.said()
        assert said.count("ERROR:") == 2
        assert "Can't evaluate bulk DML statement" in said
        assert "own_server.log" in said
        assert "install those, then start `nightreel up` again" in said

        # no PREFECT_API_URL: it finds the `up` of this database by itself
        doctor = Commands(tmp_path, {"PREFECT_HOME": str(tmp_path / "prefect")})("doctor", "--json")
        assert doctor.code == 3
        problems = [it["what"] for it in json.loads(doctor.out)["findings"] if it["level"] == "problem"]
        assert any(what.startswith("the scheduler of Prefect's server fails") for what in problems), problems
        assert any(what.startswith("the schedule of 'nightly' is on") for what in problems), problems
    doctor = Commands(tmp_path, {"PREFECT_HOME": str(tmp_path / "prefect")})("doctor", "--json")
    assert "no `nightreel up` of yours runs" in doctor.out
