"""What a flow run of ours needs of the infrastructure that starts it, by the type of the work pool: its base job
template. `nightreel deploy` gives it to the pool, `make deployments` writes it below infra/work_pools.

Made from the template that Prefect itself has for that type, which this installation carries: all of its variables
stay, so a pool of ours is edited in the UI like any other. Only what a run needs is set on top. No secret is in a
template: whoever has the server's key reads it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import Any, Literal, cast, get_args

from manifests.masking import has_secret
from renderers.errors import BadInput

__all__ = ["ENTRY_POINT", "POOL", "TYPES", "PoolType", "WorkPool", "job_template"]

PoolType = Literal["process", "docker", "kubernetes"]
TYPES: tuple[PoolType, ...] = get_args(PoolType)
#: The pool's name, where nobody gives another: here, in infra/prefect.yaml and in the docs.
POOL = "nightreel"
#: Where containers find models and credentials.
MODELS, SECRETS = "/models", "/run/secrets"
CREDENTIALS = f"{SECRETS}/aws-credentials"
#: Secrets that the image's entry point (infra/deploy/image/entrypoint.sh) reads from the file that NAME_FILE names.
ENTRY_POINT = (
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "NIGHTREEL_NOTIFY_URL",
    "PREFECT_API_AUTH_STRING",
)  # fmt: skip
# Secrets that are files to who reads them, and the variables by which they are named.
_FILES = {name: name for name in ("GOOGLE_APPLICATION_CREDENTIALS", "RAY_AUTH_TOKEN_PATH", "RAY_TLS_CA_CERT",
                                  "RAY_TLS_SERVER_CERT", "RAY_TLS_SERVER_KEY")}  # fmt: skip
_FILES["RAY_AUTH_TOKEN"] = "RAY_AUTH_TOKEN_PATH"  # a variable is seen by all who may look at the process, a file not
# A cluster that grows has a node after minutes; Prefect's own patience is one.
POD_SECONDS = 900
FINISHED_SECONDS = 3600
# Ray's objects are in shared memory, of which a container has 64 MB otherwise: those of the driver's own node.
SHARED_MEMORY = "512Mi"
# Of a pod: the flow and the node by which it joins the Ray cluster, in one container.
RESOURCES = {"cpu_request": "750m", "cpu_limit": "4", "memory_request": "3Gi", "memory_limit": "6Gi"}
#: Where a pod's own node serves the run's numbers to Prometheus: the port that nodes of infra/deploy have.
METRICS_PORT = 8080
#: By which the policies of infra/deploy tell the pods that may reach Ray's nodes, and its monitors those with numbers.
LABELS = {"nightreel/ray": "flow"}
# As `nightreel up` has it: a server that comes back within two minutes breaks no run.
RETRIES = "7"
# Of the image (infra/deploy), which runs as nobody's root.
USER = 1000


@dataclass(frozen=True)
class WorkPool:
    """A work pool as `nightreel deploy` is asked for it.

    `environment` is what runs find in theirs, nothing secret. `image` has nightreel installed. `credentials` are those
    of storage: for docker a file of AWS's form on the workers' machines, for kubernetes the name of a Secret whose keys
    become variables. `models` is the models folder, for docker on the workers' machines, for kubernetes a claim.
    `secrets` are of the form VARIABLE=SECRET/KEY for kubernetes, and for docker of the form VARIABLE=/FILE, a file on
    the workers' machines that the image's user can read.
    """

    kind: PoolType = "process"
    name: str = POOL
    image: str | None = None
    credentials: str | None = None
    models: str | None = None
    namespace: str | None = None
    service_account: str | None = None
    secrets: tuple[str, ...] = ()
    heartbeat_seconds: int = 60
    environment: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        given = {"--image": self.image, "--credentials": self.credentials, "--models": self.models,
                 "--namespace": self.namespace, "--service-account": self.service_account,
                 "--secret": self.secrets[0] if self.secrets else None}  # fmt: skip
        unused = [name for name, value in given.items() if value is not None and name not in _TAKEN[self.kind]]
        if unused:
            shown = "" if unused[0] == "--secret" else f" '{given[unused[0]]}'"  # which may hold one by mistake
            raise BadInput(f"{unused[0]}{shown} is not for a pool of type {self.kind}: {_WHY[self.kind]}")
        if self.kind != "process" and not self.image:
            raise BadInput(f"a pool of type {self.kind} needs --image, one that has nightreel installed")
        places = set[str]()  # in a container, where two would have docker refuse every run, or one would win
        for secret in self.secrets:
            place = _file(secret)[2] if self.kind == "docker" else _variable(secret)["name"]
            if place in places:
                raise _not_so(secret, "it is given twice, give it once")
            places.add(place)
        for name, value in self.environment.items():
            if has_secret(value):
                raise BadInput(
                    f"{name} holds an address with a secret, which whoever has the server's key could read in the "
                    "pool's template: set it where the workers run instead"
                )


_TAKEN: Mapping[PoolType, set[str]] = {
    "process": set(),
    "docker": {"--image", "--credentials", "--models", "--secret"},
    "kubernetes": {"--image", "--credentials", "--models", "--namespace", "--service-account", "--secret"},
}
_WHY: Mapping[PoolType, str] = {
    "process": "its runs have the installation, the files and the environment of the worker that starts them",
    "docker": "it takes --image, --credentials, --models and --secret",
    "kubernetes": "it takes --image, --credentials, --models, --namespace, --service-account and --secret",
}
_SECRET = re.compile(r"(?P<variable>[A-Za-z_]\w*)=(?P<name>[a-z0-9][a-z0-9.-]*)/(?P<key>[\w.-]+)", re.A)


# A colon would end the path of a volume.
_SECRET_FILE = re.compile(r"(?P<variable>[A-Za-z_]\w*)=(?P<path>/[^:\x00-\x1f\x7f]+)", re.A)


def _not_so(secret: str, remedy: str) -> BadInput:
    # what is behind the equals sign may be a secret itself, which somebody took for what is wanted
    variable, equals, _ = secret.partition("=")
    return BadInput(f"--secret{f' for {variable}' if equals else ''}: {remedy}")


def _file(secret: str) -> tuple[str, str, str]:
    """What `--secret` stands for in a container of docker: the file there, where it lies in the container, and the
    variable by which it is found."""
    read = _SECRET_FILE.fullmatch(secret)
    if read is None:
        raise _not_so(secret, "write VARIABLE=/FILE, by the path of a file on the machines of the workers")
    name = read["variable"]
    if name not in (*ENTRY_POINT, *_FILES):
        known = ", ".join(sorted((*ENTRY_POINT, *_FILES)))
        raise _not_so(secret, f"nothing in the image reads it from a file; of these something does: {known}")
    return read["path"], f"{SECRETS}/{name}", _FILES.get(name, f"{name}_FILE")


def _variable(secret: str) -> dict[str, Any]:
    """The entry of a container's environment that `--secret` stands for."""
    read = _SECRET.fullmatch(secret)
    if read is None:
        raise _not_so(secret, "write VARIABLE=SECRET/KEY, by the names of a Secret and of one of its keys")
    return {"name": read["variable"], "valueFrom": {"secretKeyRef": {"name": read["name"], "key": read["key"]}}}


def job_template(pool: WorkPool) -> dict[str, Any]:
    """Return the base job template of `pool`."""
    template = cast("dict[str, Any]", _without_examples(_of_prefect()[pool.kind]))
    {"process": _process, "docker": _docker, "kubernetes": _kubernetes}[pool.kind](template, pool)
    return template


def _without_examples(value: Any) -> Any:
    """A copy without Prefect's examples, which name registries and images that are none of ours."""
    if isinstance(value, dict):
        return {key: _without_examples(item) for key, item in value.items() if key != "example"}
    return [_without_examples(item) for item in value] if isinstance(value, list) else deepcopy(value)


@cache
def _of_prefect() -> dict[str, dict[str, Any]]:
    """Prefect's own templates by type, from its package: the same without a network, and for one version always."""
    path = files("prefect").joinpath("server", "api", "collections_data", "views", "aggregate-worker-metadata.json")
    collections = json.loads(path.read_text(encoding="utf-8"))
    return {
        kind: worker["default_base_job_configuration"]
        for workers in collections.values()
        for kind, worker in workers.items()
        if kind in TYPES
    }


def _environment(pool: WorkPool) -> dict[str, str]:
    ours = {
        # the automations judge by this very interval; without it no run has a heartbeat, and a dead one is never seen
        "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(pool.heartbeat_seconds),
        "PREFECT_CLIENT_MAX_RETRIES": RETRIES,
        "DO_NOT_TRACK": "1",
    }
    return dict(sorted({**ours, **pool.environment}.items()))


def _set(template: dict[str, Any], **defaults: Any) -> None:
    properties = template["variables"]["properties"]
    for name, value in defaults.items():
        properties[name]["default"] = value


def _process(template: dict[str, Any], pool: WorkPool) -> None:
    # neither command nor folder: the worker's own Python, whose environment has credentials and models
    _set(template, env=_environment(pool))


def _docker(template: dict[str, Any], pool: WorkPool) -> None:
    environment = _environment(pool)
    volumes = ["/dev/shm:/dev/shm"]  # Ray's objects; the template has no field for its size
    if pool.models is not None:
        volumes.append(f"{pool.models}:{MODELS}")
        environment["NIGHTREEL_MODELS_FOLDER"] = MODELS
    if pool.credentials is not None:
        volumes.append(f"{pool.credentials}:{CREDENTIALS}:ro")
        environment["AWS_SHARED_CREDENTIALS_FILE"] = CREDENTIALS
    for path, place, variable in map(_file, pool.secrets):
        volumes.append(f"{path}:{place}:ro")
        environment[variable] = place
    _set(
        template,
        env=environment,
        image=pool.image,
        image_pull_policy="IfNotPresent",
        # a run joins the Ray cluster by a node of its own, which the cluster must reach at any port
        network_mode="host",
        auto_remove=True,
        volumes=volumes,
    )


def _kubernetes(template: dict[str, Any], pool: WorkPool) -> None:
    environment = _environment(pool) | {"NIGHTREEL_METRICS_PORT": str(METRICS_PORT)}
    made = template["job_configuration"]["job_manifest"]["spec"]["template"]
    made["metadata"] = {
        "labels": dict(LABELS),
        # a cluster of machines that shrinks moves no run: what it renders at this moment would be lost
        "annotations": {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"},
    }
    pod = made["spec"]
    job = template["job_configuration"]["job_manifest"]["spec"]
    for name in ("parallelism", "completions"):  # of a Job, which Prefect's template gives to the pod
        job[name] = pod.pop(name)
    (container,) = pod["containers"]
    mounts = [{"name": "shm", "mountPath": "/dev/shm"}]
    volumes: list[dict[str, Any]] = [{"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": SHARED_MEMORY}}]
    if pool.models is not None:
        mounts.append({"name": "models", "mountPath": MODELS})
        volumes.append({"name": "models", "persistentVolumeClaim": {"claimName": pool.models}})
        environment["NIGHTREEL_MODELS_FOLDER"] = MODELS
    if pool.credentials is not None:
        # not optional: a pod that lacks it is said to lack it by Kubernetes, before anything is rendered
        container["envFrom"] = [{"secretRef": {"name": pool.credentials}}]
    if pool.secrets:
        # Prefect's worker puts the variable `env` in front of a list that is here
        container["env"] = [_variable(secret) for secret in pool.secrets]
    container["ports"] = [{"name": "metrics", "containerPort": METRICS_PORT}]
    container["volumeMounts"] = mounts
    container["securityContext"] = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    pod["volumes"] = volumes
    # what namespaces with Kubernetes' `restricted` rules ask of a pod
    pod["securityContext"] = {
        "runAsNonRoot": True, "runAsUser": USER, "runAsGroup": USER, "fsGroup": USER,
        "seccompProfile": {"type": "RuntimeDefault"},
    }  # fmt: skip
    pod["automountServiceAccountToken"] = False  # a run does not talk to Kubernetes
    # a run that is told to end leaves its report and gives its actors back
    pod["terminationGracePeriodSeconds"] = 60
    _set(
        template,
        env=environment,
        image=pool.image,
        finished_job_ttl=FINISHED_SECONDS,
        pod_watch_timeout_seconds=POD_SECONDS,
        **RESOURCES,
    )
    given = {"namespace": pool.namespace, "service_account_name": pool.service_account}
    _set(template, **{name: value for name, value in given.items() if value is not None})
