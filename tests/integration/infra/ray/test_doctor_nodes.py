"""`nightreel doctor` on a cluster of real hosts, of which one is as it should be and two are not."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.hosts import PORT, Host, hosts
from tests.helpers.root import ROOT

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]

TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0123456789abcdef0123456789abcdef"}
BIN = Path(sys.executable).parent
# What `ray start` does, but for its 30 s for a node, which on a busy machine are few.
NODE = """
import json, os, sys, time
from infra.ray.node_process import start_node

wanted, told = map(json.loads, sys.argv[1:])
os.environ.update(told)  # for the node's workers
node = start_node(object_store_memory=90_000_000, **wanted)
print("ready", flush=True)
time.sleep(1_000_000)
"""
MODELS = {"NIGHTREEL_MODELS_FOLDER": "/tmp/ray/models"}  # each host has its own there


STARTED: list[subprocess.Popen[bytes]] = []


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[list[Host], dict[str, str]]]:
    """A head without CPUs and a sound worker; one of another version of nightreel, without credentials and models; one
    without nightreel. An S3 server is on the head's host. And the environment of whoever may use all that."""
    folder = tmp_path_factory.mktemp("farm")
    try:
        with hosts(4) as made:
            head, sound, mixed, bare = made
            told = TOKEN | MODELS | storage_on(head, folder) | {"PREFECT_HOME": str(folder / "prefect")}
            poor = TOKEN | {"AWS_ENDPOINT_URL": told["AWS_ENDPOINT_URL"], "AWS_EC2_METADATA_DISABLED": "true"}
            for host in (head, sound):
                run(host, "nightreel", "models", "add", "mine", "--from", "embedded", environment=told)
            begin(head, told, head=True, gcs_server_port=PORT, include_dashboard=False, num_cpus=0)
            join = {"head": False, "gcs_address": f"{head.address}:{PORT}", "num_cpus": 1}
            begin(sound, told, **join)
            begin(mixed, poor | {"HOME": str(folder)}, path=another_version(folder), **join)
            begin(bare, told, path=no_package(folder), **join)
            yield made, told | {"NIGHTREEL_RAY_ADDRESS": f"{head.address}:{PORT}"}
    finally:
        for process in STARTED:
            process.wait(30)  # their hosts are gone


def another_version(folder: Path) -> Path:
    """A folder that on a PYTHONPATH makes of the installed nightreel one of version 9.9."""
    metadata = folder / "other" / "nightreel-9.9.dist-info" / "METADATA"
    metadata.parent.mkdir(parents=True)
    metadata.write_text("Metadata-Version: 2.4\nName: nightreel\nVersion: 9.9\n")
    return folder / "other"


def no_package(folder: Path) -> Path:
    """A folder that on a PYTHONPATH hides the installed nightreel."""
    (folder / "none" / "infra").mkdir(parents=True)
    (folder / "none" / "infra" / "__init__.py").write_text("")
    return folder / "none"


def storage_on(host: Host, folder: Path) -> dict[str, str]:
    log = folder / "s3.log"
    command = (sys.executable, "-m", "tests.helpers.s3_server", host.address, "bucket")
    STARTED.append(host.start(*command, environment={}, log=log))
    until = time.monotonic() + 100
    while not (log.exists() and log.read_text().endswith("}\n")):
        assert time.monotonic() < until, "the S3 server does not start"
        time.sleep(0.2)
    told: dict[str, str] = json.loads(log.read_text().splitlines()[-1])
    return told


def run(host: Host, command: str, *arguments: str, environment: dict[str, str]) -> tuple[int, str]:
    # elsewhere than in the checkout: Ray has workers look for packages where the driver was started
    words = ("bash", "-c", 'cd / && exec "$@"', "run", str(BIN / command), *arguments)
    return host.run(*words, environment=environment, seconds=400)


def begin(host: Host, environment: dict[str, str], path: Path | None = None, **wanted: object) -> None:
    """Start a node there; `path` is the PYTHONPATH of its workers."""
    log, told = host.folder / "node.log", {"PYTHONPATH": str(path)} if path else {}
    arguments = (json.dumps({"node_ip_address": host.address, **wanted}), json.dumps(told))
    STARTED.append(host.start(sys.executable, "-c", NODE, *arguments, environment=environment, log=log))
    until = time.monotonic() + 240
    while "ready" not in log.read_text().split():
        assert time.monotonic() < until, log.read_text()
        assert STARTED[-1].poll() is None, log.read_text()
        time.sleep(0.5)


def examined(host: Host, environment: dict[str, str], *arguments: str) -> tuple[int, list[dict[str, Any]]]:
    code, said = run(host, "nightreel", "doctor", "--json", *arguments, environment=environment)
    document = json.loads(said[said.index("{") :])
    return code, [it for it in document["findings"] if it["area"] == "cluster"]


def test_what_is_wrong_with_each_node_is_named(farm: tuple[list[Host], dict[str, str]]) -> None:
    (head, sound, mixed, bare), told = farm
    code, found = examined(head, told, "--output", "s3://bucket/night")
    problems = [it["what"] for it in found if it["level"] == "problem"]
    two, three = f"host2 ({mixed.address})", f"host3 ({bare.address})"
    assert code == 3
    assert f"node {three} could not be looked at: No module named 'infra.ray'" in problems
    assert any(
        what.startswith("versions of nightreel are mixed: ") and f"9.9 on node {two}" in what for what in problems
    )
    assert f"model 'mine' is not on node {two}: it is not known there" in problems
    (refused,) = (what for what in problems if "can't use the output" in what)
    assert refused.startswith(f"node {two} can't use the output: no credentials for 's3://bucket/night/doctor-")
    assert len(problems) == 4
    assert not [it for it in found if f"({sound.address})" in it["what"] and it["level"] != "ok"]
    fine = [it["what"] for it in found if it["level"] == "ok"]
    assert "the clocks of all nodes agree with this machine's" in fine
    assert not [it for it in found if "asks nobody for a token" in it["what"]]
    for secret in (TOKEN["RAY_AUTH_TOKEN"], told["AWS_SECRET_ACCESS_KEY"]):
        assert secret not in json.dumps(found)


def test_an_output_that_nodes_do_not_share_is_found(farm: tuple[list[Host], dict[str, str]]) -> None:
    """A folder that only this host has; the other hosts' are folders of the same name."""
    (head, sound, *_), told = farm
    for host in (head, sound):
        run_shell(host, "mkdir -p /dev/shm/out")
    _, found = examined(head, told, "--output", "/dev/shm/out")
    problems = [it["what"] for it in found if it["level"] == "problem"]
    assert any(f"node host1 ({sound.address}) can't use the output: nothing at" in what for what in problems)
    assert not [what for what in problems if f"node host0 ({head.address}) can't use" in what]


def test_it_leaves_nothing(farm: tuple[list[Host], dict[str, str]]) -> None:
    (head, *_), told = farm
    script = "from infra.storage.storage import Storage; print([it.key for it in Storage('s3://bucket/night').list()])"
    code, said = host_python(head, script, told)
    assert (code, said.splitlines()[-1]) == (0, "[]")


def run_shell(host: Host, command: str) -> None:
    code, said = host.run("bash", "-c", command, environment={})
    assert code == 0, said


def host_python(host: Host, script: str, environment: dict[str, str]) -> tuple[int, str]:
    return host.run("bash", "-c", f'cd {ROOT} && {sys.executable} -c "{script}"', environment=environment)
