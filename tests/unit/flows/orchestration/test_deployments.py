"""The one list of deployments, and the file for a cluster that is made from it."""

from __future__ import annotations

import yaml

from flows.orchestration.deployment_file import deployment_file, template_files
from flows.orchestration.deployments import DEPLOYMENTS, NAMES, NIGHTLY
from tests.helpers.root import ROOT


def test_every_flow_file_is_in_the_list_once() -> None:
    files = sorted(path.stem for path in (ROOT / "flows").glob("*.py") if path.stem != "__init__")
    modules = sorted(deployment.entrypoint.split(".")[1] for deployment in DEPLOYMENTS)
    assert modules == files
    assert len(set(NAMES)) == len(NAMES)


def test_the_file_for_a_cluster_is_made_from_the_list() -> None:
    text = (ROOT / "infra" / "prefect.yaml").read_text(encoding="utf-8")
    assert text == deployment_file(), "run `make deployments`"


def test_the_files_of_templates_are_made_from_the_code() -> None:
    folder = ROOT / "infra" / "work_pools"
    found = {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}
    assert found == template_files(), "run `make deployments`"


def test_the_file_names_the_work_pool_once_and_switches_no_schedule_on() -> None:
    text = deployment_file()
    assert text.count("&work_pool") == 1
    assert text.count("*work_pool") == len(DEPLOYMENTS)
    found = {entry["name"]: entry for entry in yaml.safe_load(text)["deployments"]}
    assert tuple(found) == NAMES
    assert {entry["work_pool"]["name"] for entry in found.values()} == {"nightreel"}
    assert [entry["schedules"] for name, entry in found.items() if name != NIGHTLY] == [[]] * (len(NAMES) - 1)
    assert found[NIGHTLY]["schedules"] == [
        {"cron": "0 1 * * *", "timezone": "UTC", "slug": NIGHTLY, "active": False}
    ]  # fmt: skip
    assert found[NIGHTLY]["parameters"]["time_zone"] == "UTC"
