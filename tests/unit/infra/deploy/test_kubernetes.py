"""What infra/deploy/kubernetes makes, by kustomize, and what Kubernetes, KubeRay and Prefect's worker say of it."""

from __future__ import annotations

import gzip
import json
import os
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

import jsonschema
import kubernetes_validate
import pytest
import yaml

from tests.helpers.deploy_files import KUBERNETES, documents, job_template_of, kustomized
from tests.helpers.root import ROOT

OVERLAYS = ("overlays/cpu", "overlays/gpu", "overlays/spot", "overlays/kueue")
ALL = (*OVERLAYS, "rayjob")
# of other projects, whose schemas are not at hand; KubeRay's are looked at below
FOREIGN = ("ray.io/", "kueue.x-k8s.io/", "monitoring.coreos.com/")
#: What people make before they apply an overlay: infra/docs/cluster.md.
SECRETS = {
    "nightreel-ray",
    "nightreel-prefect",
    "nightreel-database",
    "nightreel-redis",
    "nightreel-storage",
    "nightreel-notify",
}


@cache
def made(folder: str) -> tuple[dict[str, Any], ...]:
    return tuple(kustomized(folder))


@cache
def template(folder: str) -> dict[str, Any]:
    """The work pool's job template that the deploy job of an overlay makes, by its own command and environment."""
    (container,) = deploy_job(folder)["spec"]["template"]["spec"]["containers"]
    given = {it["name"]: it["value"] for it in container["env"] if "value" in it}
    (shared,) = [it for it in made(folder) if it["kind"] == "ConfigMap"]
    words = [re.sub(r"\$\((\w+)\)", lambda match: given[match[1]], word) for word in container["args"]]
    return job_template_of(words, {**shared["data"], "RAY_AUTH_MODE": "token", **given})  # the image's mode


def deploy_job(folder: str) -> dict[str, Any]:
    (found,) = [
        it for it in made(folder) if it["kind"] == "Job" and it["metadata"]["name"].startswith("nightreel-deploy")
    ]
    return found


def one(folder: str, kind: str) -> dict[str, Any]:
    (found,) = [document for document in made(folder) if document["kind"] == kind]
    return found


def pods(value: object) -> Iterator[dict[str, Any]]:
    """Every pod's specification in a document, a custom resource's included."""
    if isinstance(value, dict):
        if isinstance(value.get("containers"), list):
            yield value
        for item in value.values():
            yield from pods(item)
    elif isinstance(value, list):
        for item in value:
            yield from pods(item)


@pytest.mark.parametrize("folder", ALL)
def test_kubernetes_takes_it(folder: str) -> None:
    for document in made(folder):
        if not document["apiVersion"].startswith(FOREIGN):
            kubernetes_validate.validate(document, "1.37", strict=True)


@cache
def _kuberay() -> dict[str, dict[str, Any]]:
    """KubeRay's own schemas of RayCluster and RayJob, made strict: an unknown field is an error."""
    folder = Path(os.environ.get("KUBERAY_CRDS") or ROOT.parent / "shared" / "cluster")
    found = sorted(folder.glob("ray.io_*.yaml*"))
    if not found:
        pytest.skip(
            f"KubeRay's CRDs are not in {folder}: name a folder with its ray.io_rayclusters.yaml by KUBERAY_CRDS"
        )
    schemas = {}
    for path in found:
        with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
            crd = yaml.load(file, yaml.CSafeLoader)  # a fraction of the time of PyYAML's own
        (version,) = [it for it in crd["spec"]["versions"] if it["name"] == "v1"]
        schema = _strict(version["schema"]["openAPIV3Schema"])
        schema["properties"]["metadata"] = {"type": "object"}
        schemas[crd["spec"]["names"]["kind"]] = schema
    return schemas


def _strict(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    schema = {key: _strict(value) for key, value in schema.items()}
    if schema.get("x-kubernetes-int-or-string"):
        schema.pop("type", None)
        schema["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    if (
        schema.get("type") == "object"
        and "properties" in schema
        and not schema.get("x-kubernetes-preserve-unknown-fields")
    ):
        schema.setdefault("additionalProperties", False)
    return schema


@pytest.mark.parametrize("folder", ALL)
def test_kuberay_takes_it(folder: str) -> None:
    ours = [document for document in made(folder) if document["apiVersion"] == "ray.io/v1"]

    assert len(ours) == 1
    for document in ours:
        jsonschema.Draft202012Validator(_kuberay()[document["kind"]]).validate(document)


def test_a_field_that_kuberay_does_not_know_is_found() -> None:
    cluster = json.loads(json.dumps(one("overlays/cpu", "RayCluster")))
    cluster["spec"]["autoscalerOptions"]["versoin"] = "v2"

    with pytest.raises(jsonschema.ValidationError, match="versoin"):
        jsonschema.Draft202012Validator(_kuberay()["RayCluster"]).validate(cluster)


@pytest.mark.parametrize("folder", OVERLAYS)
def test_the_cluster_is_as_it_should_be(folder: str) -> None:
    spec = one(folder, "RayCluster")["spec"]

    assert spec["autoscalerOptions"]["version"] == "v2"
    assert spec["enableInTreeAutoscaling"] is True
    assert spec["authOptions"] == {"mode": "token", "secretName": "nightreel-ray"}
    assert spec["gcsFaultToleranceOptions"]["backend"] == "rocksdb"
    assert spec["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    assert spec["upgradeStrategy"] == {"type": "Recreate"}
    assert spec["workerGroupSpecs"]
    groups = [spec["headGroupSpec"], *spec["workerGroupSpecs"]]
    for pod in (group["template"]["spec"] for group in groups):
        # autoscaler v2 restarts no pod in place
        assert pod.get("restartPolicy", "Never") == "Never"
        assert {"/dev/shm", "/tmp/ray", "/models"} <= {it["mountPath"] for it in pod["containers"][0]["volumeMounts"]}
    for group in spec["workerGroupSpecs"]:
        (container,) = group["template"]["spec"]["containers"]
        (shared,) = [it for it in group["template"]["spec"]["volumes"] if it["name"] == "shm"]
        # Ray spills to disk, slowly, what the shared memory does not hold
        assert (
            int(group["rayStartParams"]["object-store-memory"])
            < int(shared["emptyDir"]["sizeLimit"].removesuffix("Mi")) << 20
        )
        assert container["resources"]["limits"] == container["resources"]["requests"]


def test_the_overlays_differ_as_they_say() -> None:
    groups = {
        folder: {group["groupName"]: group for group in one(folder, "RayCluster")["spec"]["workerGroupSpecs"]}
        for folder in OVERLAYS
    }
    gpus = {
        folder: {name: group["template"]["spec"]["containers"][0]["resources"]["limits"].get("nvidia.com/gpu")
                 for name, group in of.items()}
        for folder, of in groups.items()
    }  # fmt: skip

    assert gpus == {"overlays/cpu": {"cpu": None}, "overlays/gpu": {"gpu": "1"},
                    "overlays/spot": {"gpu": "1", "gpu-spot": "1"}, "overlays/kueue": {"gpu": "1"}}  # fmt: skip
    spot = groups["overlays/spot"]["gpu-spot"]
    assert spot["priority"] > 0
    assert spot["template"]["spec"]["terminationGracePeriodSeconds"] < 30
    queued = one("overlays/kueue", "RayCluster")["metadata"]
    assert queued["labels"]["kueue.x-k8s.io/queue-name"] == one("overlays/kueue", "LocalQueue")["metadata"]["name"]
    assert queued["annotations"] == {"kueue.x-k8s.io/elastic-job": "true"}


def test_kueue_and_autoscaler_count_alike() -> None:
    """A quota that the greatest cluster does not fit into would leave it waiting for ever."""
    folder = "overlays/kueue"
    spec = one(folder, "RayCluster")["spec"]
    (quota,) = one(folder, "ClusterQueue")["spec"]["resourceGroups"][0]["flavors"]
    allowed = {it["name"]: it["nominalQuota"] for it in quota["resources"]}
    (group,) = spec["workerGroupSpecs"]
    per = group["template"]["spec"]["containers"][0]["resources"]["requests"]
    head = spec["headGroupSpec"]["template"]["spec"]["containers"][0]["resources"]["requests"]

    assert allowed["nvidia.com/gpu"] == group["maxReplicas"] * int(per["nvidia.com/gpu"])
    assert allowed["cpu"] >= group["maxReplicas"] * int(per["cpu"]) + int(head["cpu"]) + 1
    assert int(allowed["memory"][:-2]) >= group["maxReplicas"] * int(per["memory"][:-2]) + int(head["memory"][:-2]) + 1


def test_what_a_rayjob_has_is_the_base_s() -> None:
    job = one("rayjob", "RayJob")["spec"]["rayClusterSpec"]
    cluster = json.loads(json.dumps(one("overlays/gpu", "RayCluster")["spec"]))
    cluster.pop("upgradeStrategy")
    cluster.pop("gcsFaultToleranceOptions")
    cluster["autoscalerOptions"]["idleTimeoutSeconds"] = job["autoscalerOptions"]["idleTimeoutSeconds"]

    assert job == cluster


@pytest.mark.parametrize("folder", ALL)
def test_pods_are_those_of_an_ordinary_user(folder: str) -> None:
    """The rules of Kubernetes' `restricted` pods, which the namespace has."""
    found = [pod for document in made(folder) for pod in pods(document)]
    assert found
    for pod in found:
        _check_ordinary(pod)


def _check_ordinary(pod: dict[str, Any]) -> None:
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == 1000
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert all("hostPath" not in volume for volume in pod.get("volumes", []))
    for container in (*pod["containers"], *pod.get("initContainers", [])):
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["limits"]["memory"]
        assert ":" in container["image"], "an image without a version is whichever is the latest"


def _named(value: object, *path: str) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            if key == path[0] and isinstance(item, dict) and path[1] in item:
                yield str(item[path[1]])
            yield from _named(item, *path)
    elif isinstance(value, list):
        for item in value:
            yield from _named(item, *path)


@pytest.mark.parametrize("folder", OVERLAYS)
def test_what_is_referred_to_is_there(folder: str) -> None:
    all_of_it = [*made(folder), template(folder)]
    there = {(document["kind"], document["metadata"]["name"]) for document in made(folder)}
    accounts = {
        str(pod["serviceAccountName"])
        for document in made(folder)
        for pod in pods(document)
        if "serviceAccountName" in pod
    }

    assert {("ConfigMap", name) for name in _named(all_of_it, "configMapRef", "name")} <= there
    assert {("ConfigMap", name) for name in _named(all_of_it, "configMap", "name")} <= there
    assert {
        ("PersistentVolumeClaim", name) for name in _named(all_of_it, "persistentVolumeClaim", "claimName")
    } <= there
    assert {("ServiceAccount", name) for name in accounts} <= there
    assert {*_named(all_of_it, "secretRef", "name"), *_named(all_of_it, "secretKeyRef", "name")} <= SECRETS
    page = (ROOT / "infra" / "docs" / "cluster.md").read_text(encoding="utf-8")
    assert {name for name in SECRETS if name not in page} == set()


@pytest.mark.parametrize("folder", OVERLAYS)
def test_policies_meet_pods(folder: str) -> None:
    """Each policy's and budget's labels are on pods that something here makes, or a chart does."""
    labels = [
        document["spec"]["template"]["metadata"]["labels"] for document in made(folder) if document["kind"] == "Job"
    ]
    for group in (one(folder, "RayCluster")["spec"][key] for key in ("headGroupSpec", "workerGroupSpecs")):
        labels += [it["template"]["metadata"]["labels"] for it in (group if isinstance(group, list) else [group])]
    flow = _job(folder)["spec"]["template"]["metadata"]["labels"]
    # KubeRay's own labels, and those of the chart prefect-server
    by_others = [
        {"ray.io/cluster": "nightreel", "ray.io/node-type": "head"},
        {"app.kubernetes.io/name": "prefect-server"},
    ]
    known = [*labels, flow, *by_others]

    for document in made(folder):
        selector = document.get("spec", {}).get("podSelector") or document.get("spec", {}).get("selector")
        if document["kind"] not in ("NetworkPolicy", "PodDisruptionBudget", "PodMonitor") or not selector:
            continue
        wanted = selector.get("matchLabels", {})
        keys = [it["key"] for it in selector.get("matchExpressions", [])]
        assert any(wanted.items() <= label.items() and all(key in label for key in keys) for label in known), document[
            "metadata"
        ]
    # every Ray node has the label by which nodes reach each other
    assert all("nightreel/ray" in label for label in (*labels[2:], flow))


def _job(folder: str) -> dict[str, Any]:
    """The Job that Prefect's own worker makes of the template for a run. It asks a server for blocks, of which the
    template has none."""
    from prefect.client.schemas.objects import FlowRun
    from prefect.utilities.templating import apply_values
    from prefect_kubernetes.worker import KubernetesWorkerJobConfiguration

    ours = template(folder)
    defaults = {name: it["default"] for name, it in ours["variables"]["properties"].items() if "default" in it}
    configuration = KubernetesWorkerJobConfiguration(**apply_values(ours["job_configuration"], defaults))
    configuration.prepare_for_flow_run(FlowRun(id=uuid4(), flow_id=uuid4(), name="a-night"))
    return dict(configuration.job_manifest)


@pytest.mark.parametrize("folder", OVERLAYS)
def test_prefect_makes_a_job_of_what_the_deploy_job_gives_it(folder: str) -> None:
    job = _job(folder)
    kubernetes_validate.validate(job, "1.37", strict=True)
    pod = job["spec"]["template"]["spec"]
    (flow,) = pod["containers"]
    values = {it["name"]: it.get("value") for it in flow["env"]}
    secrets = {it["name"]: it["valueFrom"]["secretKeyRef"] for it in flow["env"] if "valueFrom" in it}
    (head,) = [it for it in made(folder) if it["kind"] == "RayCluster"]

    # flows run in the image of their overlay, wherever that comes from
    assert flow["image"] == deploy_job(folder)["spec"]["template"]["spec"]["containers"][0]["image"]
    assert job["metadata"]["namespace"] == head["metadata"]["namespace"] == "nightreel"
    assert pod["serviceAccountName"] == "nightreel"
    assert job["spec"]["backoffLimit"] == 0
    assert values["PREFECT_FLOW_RUN_EXECUTE_SIGTERM_BEHAVIOR"] == "reschedule"
    # a run joins the cluster by a node of its own, for which it needs the address and the token
    assert values["NIGHTREEL_RAY_ADDRESS"] == f"{head['metadata']['name']}-head-svc:6379"
    assert values["RAY_AUTH_MODE"] == "token"
    assert secrets == {"RAY_AUTH_TOKEN": {"name": "nightreel-ray", "key": "auth_token"}}
    assert flow["envFrom"] == [{"secretRef": {"name": "nightreel-storage"}}]
    assert {"/dev/shm", "/models"} == {it["mountPath"] for it in flow["volumeMounts"]}
    # where monitors look for its numbers
    assert {it["name"]: str(it["containerPort"]) for it in flow["ports"]} == {
        "metrics": values["NIGHTREEL_METRICS_PORT"]
    }
    assert flow["args"]
    assert template(folder)["variables"]["properties"]["pod_watch_timeout_seconds"]["default"] >= 600
    _check_ordinary(pod)


def _keys(given: dict[str, Any], known: dict[str, Any], path: str = "") -> Iterator[str]:
    for key, value in given.items():
        if key not in known:
            yield path + key
        elif isinstance(value, dict) and isinstance(known[key], dict) and known[key]:
            yield from _keys(value, known[key], f"{path}{key}.")


@pytest.mark.parametrize("name", ["prefect-server", "prefect-worker", "kuberay-operator"])
def test_values_are_those_of_the_charts(name: str) -> None:
    """Against the charts' own values, where they are at hand: a folder with a folder for each chart, in HELM_CHARTS."""
    folder = os.environ.get("HELM_CHARTS")
    if not folder:
        pytest.skip("the charts are not at hand: name a folder with a folder for each by HELM_CHARTS")
    (ours,) = documents(KUBERNETES / "values" / f"{name}.yaml")
    theirs = yaml.safe_load((Path(folder) / name / "values.yaml").read_text(encoding="utf-8"))
    # free maps, and what the chart's own values only comment on
    free = ("ecurityContext.", "watchNamespace", "resources.requests")

    assert [key for key in _keys(ours, theirs) if not any(part in key for part in free)] == []
    schema = Path(folder) / name / "values.schema.json"
    if schema.exists():
        jsonschema.Draft7Validator(json.loads(schema.read_text(encoding="utf-8"))).validate(ours)


def test_values_ask_for_keys_and_hold_none() -> None:
    (server,) = documents(KUBERNETES / "values" / "prefect-server.yaml")
    (worker,) = documents(KUBERNETES / "values" / "prefect-worker.yaml")
    (operator,) = documents(KUBERNETES / "values" / "kuberay-operator.yaml")
    gates = {it["name"]: it["enabled"] for it in operator["featureGates"]}

    assert server["server"]["basicAuth"] == {"enabled": True, "existingSecret": "nightreel-prefect"}
    assert worker["worker"]["selfHostedServerApiConfig"]["basicAuth"] == server["server"]["basicAuth"]
    assert server["ingress"]["enabled"] is False
    assert server["ingress"]["tls"] is True
    # the deploy job's template is the only one
    assert "baseJobTemplate" not in worker["worker"]["config"]
    # off by default in KubeRay, and without it a cluster with RocksDB is refused
    assert gates["GCSFaultToleranceEmbeddedStorage"] is True
