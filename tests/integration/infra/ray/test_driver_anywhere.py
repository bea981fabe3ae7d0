"""A driver on a machine without a Ray node, on real hosts of a real cluster: it joins by itself, and leaves again."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.hosts import PORT, Host, hosts
from tests.helpers.render_jobs import frame_files, planned, quick_row, write_manifest

pytestmark = pytest.mark.timeout(500)

TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0123456789abcdef0123456789abcdef"}
# `ray start` writes where it is to the terminal, and ends; its servers stay.
START = (str(Path(sys.executable).with_name("ray")), "start", "--disable-usage-stats", "--object-store-memory=90000000")

DRIVE = """
import json, sys, threading, time
from infra.ray.cluster import RayUnavailable, connect, disconnect
from infra.settings import load_settings

try:
    connect(load_settings())
except RayUnavailable as error:
    sys.exit(f"refused: {error}")

import ray

where = ray.get_runtime_context().get_node_id()
answer = ray.get(ray.remote(lambda: ray.util.get_node_ip_address()).options(num_cpus=1).remote())
nodes = {node["NodeID"]: node for node in ray.nodes() if node["Alive"]}
print(json.dumps({"answer": answer, "mine": nodes[where]["Resources"], "nodes": len(nodes),
                  "threads": [thread.name for thread in threading.enumerate()]}), flush=True)
if "stay" in sys.argv:
    time.sleep(1000)
disconnect()
"""

NODES = """
import json, sys
from ray._raylet import GcsClient

nodes = GcsClient(address=sys.argv[1]).get_all_node_info(timeout=20).values()
print(json.dumps(sorted(node.node_manager_address for node in nodes if node.state == 0)))
"""


@contextmanager
def cluster(**told: str) -> Iterator[list[Host]]:
    """A head without CPUs, a worker with one, and a host that is no part of the cluster."""
    with hosts(3) as (head, worker, driver):
        begin(head, "--head", f"--port={PORT}", "--include-dashboard=false", "--num-cpus=0", **told)
        begin(worker, f"--address={head.address}:{PORT}", "--num-cpus=1", **told)
        yield [head, worker, driver]


def begin(host: Host, *options: str, **told: str) -> None:
    code, said = host.run(*START, f"--node-ip-address={host.address}", *options, environment=TOKEN | told, seconds=200)
    assert code == 0, said


@pytest.fixture(scope="module")
def farm() -> Iterator[list[Host]]:
    with cluster() as made:
        yield made


def drive(host: Host, address: str, *arguments: str, **environment: str) -> tuple[int, str]:
    return host.run(
        sys.executable, "-c", DRIVE, *arguments, seconds=200,
        environment=TOKEN | {"NIGHTREEL_RAY_ADDRESS": address} | environment,
    )  # fmt: skip


def alive(head: Host) -> Any:
    code, said = head.run(sys.executable, "-c", NODES, f"{head.address}:{PORT}", environment=TOKEN)
    assert code == 0, said
    return json.loads(said.splitlines()[-1])


def eventually(condition: Callable[[], bool], what: str, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.5)


def test_it_joins_as_a_node_without_cpus_and_leaves_nothing_behind(farm: list[Host]) -> None:
    head, worker, driver = farm
    code, said = drive(driver, f"{head.address}:{PORT}")
    assert code == 0, said
    told = json.loads(said.splitlines()[-1])
    assert (told["answer"], told["nodes"]) == (worker.address, 3)
    assert not {"CPU", "GPU"} & told["mine"].keys()
    # while a head is away it asks for messages without a pause, and the driver crawls
    assert "ray_listen_error_messages" not in told["threads"]
    assert alive(head) == [head.address, worker.address], "it has taken its leave, and is not missed first"
    assert driver.processes() == []


def test_a_machine_that_has_a_node_needs_none_more(farm: list[Host]) -> None:
    head, worker, _ = farm
    code, said = drive(worker, f"{head.address}:{PORT}")
    assert code == 0, said
    assert json.loads(said.splitlines()[-1])["nodes"] == 2


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_its_node_leaves_however_it_ends_and_no_other_driver_uses_it(
    farm: list[Host], tmp_path: Path, number: signal.Signals
) -> None:
    head, worker, driver = farm
    address = f"{head.address}:{PORT}"
    log = tmp_path / "log"
    first = driver.start(
        sys.executable, "-c", DRIVE, "stay", environment=TOKEN | {"NIGHTREEL_RAY_ADDRESS": address}, log=log
    )
    eventually(lambda: "answer" in log.read_text(), "the first driver works", 200)
    code, said = drive(driver, address)
    assert code == 0, said
    assert json.loads(said.splitlines()[-1])["nodes"] == 4, "one of its own, beside the first driver's"

    driver.run("pkill", f"-{number.value}", "-f", "time.sleep", environment={})  # of this host's processes alone
    assert first.wait(30) != 0
    eventually(lambda: driver.processes() == [], "nothing is left of it")
    assert alive(head) == [head.address, worker.address]


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"RAY_AUTH_TOKEN": "f" * 32}, "lets nobody in without its token"),
        ({"RAY_AUTH_MODE": "disabled"}, "lets nobody in without its token"),
    ],
)
def test_a_cluster_that_does_not_let_it_in_is_refused_in_our_words(
    farm: list[Host], told: dict[str, str], message: str
) -> None:
    head, _, driver = farm
    code, said = drive(driver, f"{head.address}:{PORT}", **told)
    assert code == 1
    assert message in said
    assert "Traceback" not in said
    assert driver.processes() == []


@pytest.mark.minutes
def test_a_port_that_is_no_head_s_is_refused_in_our_words(farm: list[Host], tmp_path: Path) -> None:
    head, _, driver = farm
    server = head.start(
        sys.executable, "-m", "http.server", "8265", "--bind", head.address, environment={}, log=tmp_path / "log"
    )
    try:
        time.sleep(1)
        code, said = drive(driver, f"{head.address}:8265")
    finally:
        head.run("pkill", "-f", "http.server", environment={})
        server.wait(10)
    assert code == 1
    assert "does not answer as the head of a Ray cluster does" in said
    assert "Traceback" not in said


@pytest.mark.minutes
def test_a_head_that_is_lost_ends_the_job_in_our_words_and_what_was_rendered_stays(tmp_path: Path) -> None:
    rows = [quick_row("reef", frames=400, steps=20), quick_row("apple", frames=2)]
    manifest, output, log = write_manifest(tmp_path / "night.parquet", rows), tmp_path / "out", tmp_path / "log"
    with cluster() as (head, worker, driver):
        told = TOKEN | {
            "NIGHTREEL_RAY_ADDRESS": f"{head.address}:{PORT}", "NIGHTREEL_HEAD_SECONDS": "10",
            "NIGHTREEL_DEVICE": "cpu", "PREFECT_HOME": str(tmp_path / "prefect"),
        }  # fmt: skip
        nightreel = str(Path(sys.executable).with_name("nightreel"))
        job = driver.start(nightreel, "render", manifest, "-o", str(output), environment=told, log=log)
        eventually(lambda: len(frame_files(str(output), "reef")) > 3, "frames are rendered", 300)
        head.kill_all()
        code, said = job.wait(120), log.read_text()
        assert code == 3, said
        assert f"the head of the Ray cluster at {head.address}:{PORT} has not answered for 1" in said
        assert "run the same command again" in said
        assert "frames rendered, 0 were there already" in said
        assert "Traceback" not in said
        assert (output / "report" / "index.html").exists()
        assert driver.processes() == []
        assert worker.processes(), "the worker has its own patience"
    frames = len(frame_files(str(output), "reef"))
    assert 3 < frames < 400
    missing = planned(manifest, str(output)).frames_missing[0]
    assert missing <= 400 + 2 - frames
