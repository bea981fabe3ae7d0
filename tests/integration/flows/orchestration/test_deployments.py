"""The deployments: what `nightreel up` registers and what infra/prefect.yaml holds, on a real server."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import yaml

from flows.orchestration.patience import PatientTransport
from tests.helpers.prefect_server import PrefectServer, running_prefect_server
from tests.helpers.root import ROOT

FILE = ROOT / "infra" / "prefect.yaml"
SAID = ("description", "tags", "parameters", "enforce_parameter_schema", "entrypoint", "parameter_openapi_schema")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    with running_prefect_server(tmp_path_factory.mktemp("server")) as server:
        yield server


def python(server: PrefectServer, *command: str) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "NIGHTREEL_"))}
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env=clean | server.environment,
        text=True,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# What the runner of `up` does, without serving; a second registration is that of the next start.
REGISTER = """
import asyncio, json, sys
from flows.orchestration.deployments import DEPLOYMENTS, NIGHTLY, NightlyOptions
from flows.orchestration.registration import served
night = NightlyOptions(**json.loads(sys.argv[1])) if len(sys.argv) > 1 else None
async def register():
    for deployment in DEPLOYMENTS:
        await (await served(deployment, night if deployment.name == NIGHTLY else None)).aapply()
asyncio.run(register())
"""


@pytest.mark.timeout(900)
def test_the_file_for_a_cluster_says_what_up_registers(server: PrefectServer) -> None:
    names = [it["name"] for it in yaml.safe_load(FILE.read_text())["deployments"]]
    with httpx.Client(base_url=server.api, timeout=60, transport=PatientTransport()) as client:

        def shown(name: str) -> dict[str, Any]:
            return dict(client.get(f"/deployments/name/{name}/{name}").raise_for_status().json())

        python(server, "-c", REGISTER)
        served = {name: shown(name) for name in names}
        (schedule,) = served["nightly"]["schedules"]
        assert (schedule["active"], schedule["schedule"]["timezone"]) == (False, "UTC")

        # what a run is given lies in the server's tables: an address with a secret never gets there
        for manifest, status in (
            ("https://me:Pl4nted@host/m.parquet", 409), ("https://host/m.parquet?sig=Pl4nted", 409),
            ("s3://bucket/m.parquet?X-Amz-Signature=Pl4nted", 409), ("s3://bucket/part-?/model=a/*.parquet", 201),
        ):  # fmt: skip
            given = {"parameters": {"manifest": manifest, "output": "out"}, "state": {"type": "PENDING"}}
            answer = client.post(f"/deployments/{served['render-manifest']['id']}/create_flow_run", json=given)
            assert answer.status_code == status, (manifest, answer.text)
        unknown = {"manifest": "m.parquet", "output": "out", "note": "https://me:Pl4nted@host"}
        given = {"parameters": unknown, "state": {"type": "PENDING"}}
        answer = client.post(f"/deployments/{served['render-manifest']['id']}/create_flow_run", json=given)
        assert answer.status_code == 409, answer.text
        assert "note" in answer.text
        assert not [path for path in server.home.rglob("*") if path.is_file() and b"Pl4nted" in path.read_bytes()]

        # a person edits the night in the UI; the next start of `up` leaves that alone
        night = served["nightly"]["id"]
        edited = {"manifest": "mine-{date}.parquet", "output": "mine", "time_zone": "Asia/Tokyo"}
        # as an earlier version left it: with a parameter that the flow no longer has
        former = {"parameters": edited | {"gone": 1}, "enforce_parameter_schema": False}
        client.patch(f"/deployments/{night}", json=former).raise_for_status()
        client.patch(f"/deployments/{night}/schedules/{schedule['id']}", json={"active": True}).raise_for_status()
        python(server, "-c", REGISTER)
        kept = shown("nightly")
        assert kept["parameters"] == edited
        assert [it["active"] for it in kept["schedules"]] == [True]

        # options of the command line are newer than that
        python(server, "-c", REGISTER, '{"manifest": "m-{date}.parquet", "output": "o", "cron": "30 2 * * *"}')
        deployment = shown("nightly")
        assert deployment["parameters"] == {"manifest": "m-{date}.parquet", "output": "o", "time_zone": "UTC"}
        assert [(it["active"], it["schedule"]["cron"]) for it in deployment["schedules"]] == [(True, "30 2 * * *")]

        for name in names:
            client.delete(f"/deployments/{shown(name)['id']}").raise_for_status()
        python(server, "-m", "prefect", "work-pool", "create", "nightreel", "--type", "process")
        python(server, "-m", "prefect", "--no-prompt", "deploy", "--all", "--prefect-file", str(FILE))
        for name in names:
            deployed = shown(name)
            # Prefect's own command can't say that there are no other parameters
            assert served[name]["parameter_openapi_schema"].pop("additionalProperties") is False
            assert {field: deployed[field] for field in SAID} == {field: served[name][field] for field in SAID}
            assert deployed["work_pool_name"] == "nightreel"
            assert not deployed["pull_steps"]
        (schedule,) = shown("nightly")["schedules"]
        assert schedule["active"] is False
        assert schedule["schedule"]["cron"] == served["nightly"]["schedules"][0]["schedule"]["cron"]
