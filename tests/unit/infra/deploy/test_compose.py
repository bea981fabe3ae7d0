"""Compose's file: what Compose itself says, and that nothing in it is open."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from flows.orchestration.job_templates import POOL
from tests.helpers.deploy_files import COMPOSE, DEPLOY, compose, job_template_of

SERVICES: dict[str, dict[str, Any]] = compose()["services"]
OURS = {name: it for name, it in SERVICES.items() if it["image"].startswith("nightreel")}


def test_compose_takes_it() -> None:
    program = Path(sys.executable).parent / "docker-compose"
    if not program.exists():
        pytest.skip("Compose has no package for this kind of machine")

    for profiles in ([], ["--profile", "gpu"], ["--profile", "cli"]):
        said = subprocess.run(
            [program, "-f", COMPOSE, *profiles, "config", "-q"], capture_output=True, text=True, check=False
        )
        assert (said.returncode, said.stdout, said.stderr) == (0, "", "")


def test_secrets_are_those_that_are_made(tmp_path: Path) -> None:
    made = subprocess.run([DEPLOY / "secrets.sh", tmp_path / "secrets"], capture_output=True, text=True, check=True)
    again = subprocess.run([DEPLOY / "secrets.sh", tmp_path / "secrets"], capture_output=True, text=True, check=True)
    declared = {name: Path(it["file"]) for name, it in compose()["secrets"].items()}

    assert "ray_token" in made.stdout
    # a second run makes nothing, so no service loses its database's password
    assert again.stdout == ""
    for name, path in declared.items():
        assert path.parts[0] == "secrets", name
        assert (tmp_path / path).read_text(), name
    assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "secrets/tls/ca.key").stat().st_mode & 0o777 == 0o600
    # the folder is in no commit
    assert (COMPOSE.parent / ".gitignore").read_text().split() == ["secrets/"]


def test_secrets_that_are_used_are_declared_and_the_other_way_round() -> None:
    used = {secret for service in SERVICES.values() for secret in service.get("secrets", [])}

    assert used == compose()["secrets"].keys()
    for name, service in SERVICES.items():
        files = {value.removeprefix("/run/secrets/") for value in _values(service) if value.startswith("/run/secrets/")}
        assert files <= set(service.get("secrets", [])), name


def _values(service: dict[str, Any]) -> Iterator[str]:
    yield from (str(value) for value in service.get("environment", {}).values())
    command = service.get("command", [])
    for word in command if isinstance(command, list) else [command]:
        yield from str(word).split("=")


def test_nothing_is_published_but_on_loopback() -> None:
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]

    assert len(ports) == 5
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_everything_asks_for_a_key() -> None:
    for name in ("api", "services"):
        assert SERVICES[name]["environment"]["PREFECT_SERVER_API_AUTH_STRING_FILE"] == "/run/secrets/prefect_auth"
    for name in ("ray-head", "ray-worker", "ray-worker-gpu", "prefect-worker", "cli"):
        given = SERVICES[name]["environment"]
        assert given["RAY_AUTH_MODE"] == "token", name
        assert given["RAY_USE_TLS"] == "1", name
        assert given["PREFECT_API_URL"].startswith("https://"), name
        assert given["AWS_ENDPOINT_URL"].startswith("https://"), name
    assert SERVICES["redis"]["command"] == ["redis-server", "/run/secrets/redis.conf"]
    # only what serves from there is on the database's network, from which nothing goes out
    assert compose()["networks"]["database"] == {"internal": True}
    assert {name for name, it in SERVICES.items() if "database" in it["networks"]} == {
        "postgres", "redis", "migrate", "api", "services",
    }  # fmt: skip


def test_our_containers_have_an_ordinary_user_s_rights() -> None:
    assert len(OURS) >= 9
    for name, service in OURS.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "privileged" not in service, name
        assert "user" not in service, name  # the image's


def test_the_head_s_address_is_in_the_certificate_s_network() -> None:
    (network,) = compose()["networks"]["cluster"]["ipam"]["config"]
    address = SERVICES["ray-head"]["networks"]["cluster"]["ipv4_address"]

    assert network["subnet"] == address.rsplit(".", 1)[0] + ".0/24"
    assert network["subnet"] in (DEPLOY / "secrets.sh").read_text(encoding="utf-8")


def test_servers_wait_for_the_migration() -> None:
    for name in ("api", "services"):
        assert SERVICES[name]["depends_on"]["migrate"] == {"condition": "service_completed_successfully"}
        assert SERVICES[name]["environment"]["PREFECT_SERVER_DATABASE_MIGRATE_ON_START"] == "false"
        # two servers that begin at once, on a new database, both put the types of blocks: one died of it
        assert SERVICES[name]["environment"]["PREFECT_SERVER_REGISTER_BLOCKS_ON_START"] == "false"
    assert SERVICES["api"]["deploy"]["replicas"] == 2


def test_runs_are_told_what_nodes_are_told() -> None:
    """The deploy service's own command makes the pool's template: settings go to runs, no secret, no path to one."""
    service = SERVICES["deploy"]
    made = job_template_of(service["command"], service["environment"])
    given = made["variables"]["properties"]["env"]["default"]

    assert given["NIGHTREEL_RAY_ADDRESS"] == "ray-head:6379"
    assert given["AWS_ENDPOINT_URL"] == "https://s3:8333"
    assert given["RAY_AUTH_MODE"] == "token"
    assert int(given["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"]) >= 30
    assert not [value for value in given.values() if "/run/secrets" in value]
    # the worker's pool is the one that is made
    worker = SERVICES["prefect-worker"]["command"]
    assert worker[worker.index("--pool") + 1] == POOL
    assert SERVICES["prefect-worker"]["depends_on"]["deploy"] == {"condition": "service_completed_successfully"}


def test_alerts_and_the_dashboard_are_those_of_the_monitoring_folder() -> None:
    files = compose()["configs"]
    for service, name, target in (
        ("prometheus", "alerts.yaml", "/etc/prometheus/alerts.yaml"),
        ("grafana", "dashboard.json", "/etc/grafana/dashboards/nightreel.json"),
    ):
        (source,) = [it["source"] for it in SERVICES[service]["configs"] if it["target"] == target]
        assert (COMPOSE.parent / files[source]["file"]).resolve() == DEPLOY / "monitoring" / name
    read = yaml.safe_load((COMPOSE.parent / "prometheus.yml").read_text())
    assert read["rule_files"] == ["alerts.yaml"], "relative to prometheus.yml, which lies beside it there"
