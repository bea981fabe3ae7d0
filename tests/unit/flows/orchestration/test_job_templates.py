"""The job templates of work pools: what of them is ours, that Prefect's schema takes it, that no secret is in one."""

from __future__ import annotations

from typing import Any

import pytest
from prefect.utilities.schema_tools import is_valid_schema, validate
from prefect.utilities.templating import find_placeholders

from flows.orchestration.job_templates import TYPES, PoolType, WorkPool, job_template
from renderers.errors import BadInput

ALL: dict[PoolType, WorkPool] = {
    "process": WorkPool(environment={"NIGHTREEL_ACTORS": "4"}),
    "docker": WorkPool(
        "docker",
        image="i:1",
        credentials="/etc/c",
        models="/srv/models",
        heartbeat_seconds=45,
        secrets=("RAY_AUTH_TOKEN=/etc/n/ray_token", "RAY_TLS_CA_CERT=/etc/n/ca.crt", "NIGHTREEL_NOTIFY_URL=/etc/n/url"),
    ),
    "kubernetes": WorkPool(
        "kubernetes",
        image="i:1",
        credentials="storage",
        models="models",
        namespace="farm",
        heartbeat_seconds=45,
        service_account="runs",
        secrets=("RAY_AUTH_TOKEN=ray/auth_token",),
    ),
}


def defaults(template: dict[str, Any]) -> dict[str, Any]:
    properties = template["variables"]["properties"]
    return {name: it["default"] for name, it in properties.items() if "default" in it}


@pytest.mark.parametrize("kind", TYPES)
def test_prefect_takes_the_template(kind: PoolType) -> None:
    template = job_template(ALL[kind])
    is_valid_schema(template["variables"], preprocess=False)
    assert validate(defaults(template), template["variables"], raise_on_error=True, preprocess=False) == []
    # each variable is used, and all that is used is one
    used = {placeholder.name for placeholder in find_placeholders(template["job_configuration"])}
    assert used == set(template["variables"]["properties"])


def test_what_is_ours_in_each() -> None:
    made = {kind: job_template(pool) for kind, pool in ALL.items()}
    environments = {kind: defaults(template)["env"] for kind, template in made.items()}
    assert environments["process"]["NIGHTREEL_ACTORS"] == "4"
    assert {kind: it["PREFECT_FLOWS_HEARTBEAT_FREQUENCY"] for kind, it in environments.items()} == {
        "process": "60", "docker": "45", "kubernetes": "45",
    }  # fmt: skip

    docker = defaults(made["docker"])
    assert docker["network_mode"] == "host"
    assert docker["volumes"] == [
        "/dev/shm:/dev/shm", "/srv/models:/models", "/etc/c:/run/secrets/aws-credentials:ro",
        "/etc/n/ray_token:/run/secrets/RAY_AUTH_TOKEN:ro", "/etc/n/ca.crt:/run/secrets/RAY_TLS_CA_CERT:ro",
        "/etc/n/url:/run/secrets/NIGHTREEL_NOTIFY_URL:ro",
    ]  # fmt: skip
    # Ray reads token and certificates from files itself; the image's entry point makes variables of the others
    read = {name: value for name, value in docker["env"].items() if value.startswith("/run/secrets/")}
    assert read == {
        "AWS_SHARED_CREDENTIALS_FILE": "/run/secrets/aws-credentials",
        "RAY_AUTH_TOKEN_PATH": "/run/secrets/RAY_AUTH_TOKEN",
        "RAY_TLS_CA_CERT": "/run/secrets/RAY_TLS_CA_CERT",
        "NIGHTREEL_NOTIFY_URL_FILE": "/run/secrets/NIGHTREEL_NOTIFY_URL",
    }

    pods = defaults(made["kubernetes"])
    assert (pods["namespace"], pods["image"], pods["pod_watch_timeout_seconds"]) == ("farm", "i:1", 900)
    job = made["kubernetes"]["job_configuration"]["job_manifest"]["spec"]
    assert job["backoffLimit"] == 0
    (container,) = job["template"]["spec"]["containers"]
    assert container["env"] == [
        {"name": "RAY_AUTH_TOKEN", "valueFrom": {"secretKeyRef": {"name": "ray", "key": "auth_token"}}}
    ]
    assert pods["service_account_name"] == "runs"
    assert container["envFrom"] == [{"secretRef": {"name": "storage"}}]
    assert {it["name"]: it["mountPath"] for it in container["volumeMounts"]} == {"shm": "/dev/shm", "models": "/models"}
    assert pods["env"]["NIGHTREEL_MODELS_FOLDER"] == "/models"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"kind": "docker"}, "needs --image"),
        ({"kind": "process", "image": "i:1"}, "--image 'i:1' is not for a pool of type process"),
        ({"kind": "process", "credentials": "c"}, "environment of the worker"),
        ({"kind": "docker", "image": "i:1", "namespace": "n"}, "--namespace 'n' is not for a pool of type docker"),
        (
            {"kind": "docker", "image": "i:1", "secrets": ("RAY_AUTH_TOKEN=Pl4nted",)},
            "--secret for RAY_AUTH_TOKEN: write VARIABLE=/FILE",
        ),
        (
            {"kind": "docker", "image": "i:1", "secrets": ("RAY_AUTH_TOKEN=/a:rw",)},
            "--secret for RAY_AUTH_TOKEN: write VARIABLE=/FILE",
        ),
        (
            {"kind": "docker", "image": "i:1", "secrets": ("RAY_AUTH_TOKEN=/a", "RAY_AUTH_TOKEN_PATH=/b")},
            "--secret for RAY_AUTH_TOKEN_PATH: it is given twice",
        ),
        (
            {"kind": "kubernetes", "image": "i:1", "secrets": ("A=b/c", "A=d/e")},
            "--secret for A: it is given twice",
        ),
        (
            {"kind": "docker", "image": "i:1", "secrets": ("RAY_AUTH_TOKEN=/a\n",)},
            "--secret for RAY_AUTH_TOKEN: write VARIABLE=/FILE",
        ),
        (
            {"kind": "docker", "image": "i:1", "secrets": ("DATABASE=/etc/n/db",)},
            "--secret for DATABASE: nothing in the image reads it from a file; of these something does: AWS_ACCESS_KEY",
        ),
        (
            {"kind": "process", "secrets": ("RAY_AUTH_TOKEN=/etc/n/ray_token",)},
            "--secret is not for a pool of type process",
        ),
        (
            {"kind": "kubernetes", "image": "i:1", "secrets": ("A=Pl4nted",)},
            "--secret for A: write VARIABLE=SECRET/KEY",
        ),
        ({"kind": "kubernetes", "image": "i:1", "secrets": ("Pl4nted",)}, "--secret: write VARIABLE=SECRET/KEY"),
        ({"environment": {"AWS_ENDPOINT_URL": "https://me:Pl4nted@host"}}, "AWS_ENDPOINT_URL holds an address with a"),
    ],
)
def test_what_does_not_fit_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(BadInput, match=said) as error:
        WorkPool(**given)
    assert "Pl4nted" not in str(error.value)
