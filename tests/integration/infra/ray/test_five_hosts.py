"""One job on five hosts (a head without CPUs, two workers, one that comes late, a driver that is no node), with token,
TLS and an S3 server on a sixth, through all that happens to a farm; its frames are those of one machine."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.autoscaled import MODULE, PATIENT, START
from tests.helpers.hosts import PORT, Host, hosts
from tests.helpers.render_jobs import frame_objects, quick_row, render, write_manifest
from tests.helpers.root import ROOT

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(3600)]

NIGHTREEL = str(Path(sys.executable).with_name("nightreel"))
BUCKET = "bucket"
OUTPUT = f"s3://{BUCKET}/night"
PATIENCE = 900.0  # seconds, on a busy machine
FRAMES = 200
# How many frames are there, once a second, and a copy of all of them: the S3 server is reached from the hosts only.
COUNT = f"""
import time
from infra.storage.storage import Storage
output = Storage({OUTPUT!r})
while True:
    print(sum("/frames/" in it.key for it in output.list()), flush=True)
    time.sleep(1)
"""
COPY = f"""
import sys
from infra.storage.storage import Storage
there, here = Storage({OUTPUT!r}), Storage(sys.argv[1])
for it in there.list():
    here.put(it.key, there.read(it.key))
"""


def rows() -> list[Any]:
    """Six videos of 200 frames; one is a chain, one is moved by keyframes."""
    slow = {"steps": 40, "steps_first": 40}
    keyed = {"zoom": "0: (1), 20: (1.05), 39: (0.98)", "handoff": "keyframes", "keyframe_every": 8}
    return [
        quick_row("chain", frames=40, handoff="chain", **slow),
        quick_row("keys", frames=40, **{**slow, **keyed}),
        *(quick_row(f"v{number}", f"a red apple, {number}", frames=30, **slow) for number in range(4)),
    ]


class Farm:
    """The hosts, and what was started on them."""

    def __init__(self, made: list[Host], folder: Path) -> None:
        self.head, *self.workers, self.driver, self.store = made
        self.folder = folder
        self.storage: dict[str, str] = {}
        self._started: list[subprocess.Popen[bytes]] = []
        certificates = [str(ROOT / "infra/deploy/certificates.sh"), str(folder / "tls"), "198.51.100.0/24"]
        subprocess.run(certificates, check=True, capture_output=True)
        self.cluster = PATIENT | {
            "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0123456789abcdef0123456789abcdef", "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1", "RAY_USE_TLS": "1", "RAY_TLS_CA_CERT": str(folder / "tls/ca.crt"),
            "RAY_TLS_SERVER_CERT": str(folder / "tls/node.crt"), "RAY_TLS_SERVER_KEY": str(folder / "tls/node.key"),
            "RAY_gcs_rpc_server_reconnect_timeout_s": "600", "AWS_EC2_METADATA_DISABLED": "true",
        }  # fmt: skip

    def start_storage(self) -> None:
        """Start the S3 server, which makes the bucket."""
        log = self.folder / "s3.log"
        self._begin(self.store, sys.executable, "-m", "tests.helpers.s3_server", self.store.address, BUCKET, log=log)
        eventually(lambda: log.read_text().endswith("}\n"), "the S3 server is up")
        self.storage = json.loads(log.read_text().splitlines()[-1])

    def start_head(self) -> None:
        """Start the head, for the first time or again: it keeps what it knows in a folder."""
        kept = {"RAY_gcs_storage": "rocksdb", "RAY_gcs_storage_path": str(self.folder / "gcs")}
        code, said = self.head.run(
            *START, "--head", f"--port={PORT}", "--include-dashboard=false", "--num-cpus=0", "--num-gpus=0",
            f"--node-ip-address={self.head.address}", environment=self.cluster | kept, seconds=400,
        )  # fmt: skip
        assert code == 0, said

    def start_node(self, host: Host, **environment: str) -> subprocess.Popen[bytes]:
        """Start a worker's node; the process ends as its servers do."""
        return self._begin(
            host, *START, "--block", f"--address={self.head.address}:{PORT}", f"--node-ip-address={host.address}",
            "--num-cpus=1", "--num-gpus=0", log=self.folder / f"{host.name}.log", **environment,
        )  # fmt: skip

    def begin_render(self, manifest: str) -> subprocess.Popen[bytes]:
        """Begin the job on the driver's host."""
        told = {"NIGHTREEL_RAY_ADDRESS": f"{self.head.address}:{PORT}", "PREFECT_HOME": str(self.folder / "prefect")}
        command = (NIGHTREEL, "render", manifest, "-o", OUTPUT)
        return self._begin(self.driver, *command, log=self.log, **told, **self.storage)

    def begin_counting(self) -> None:
        """Have a host count the frames that are there."""
        self._begin(self.store, sys.executable, "-c", COUNT, log=self.folder / "frames.log", **self.storage)

    @property
    def log(self) -> Path:
        """What the job says."""
        return self.folder / "render.log"

    def frames(self) -> int:
        """The number of frames in storage."""
        with suppress(FileNotFoundError, IndexError, ValueError):
            return int((self.folder / "frames.log").read_text().splitlines()[-1])
        return 0

    def copy(self, target: Path) -> None:
        """Copy the output to a folder."""
        code, said = self.driver.run(
            sys.executable, "-c", COPY, str(target), environment=self.cluster | self.storage, seconds=300
        )
        assert code == 0, said

    def close(self) -> None:
        """Collect what was started; the hosts are gone."""
        for process in self._started:
            process.wait(30)

    def _begin(self, host: Host, *command: str, log: Path, **environment: str) -> subprocess.Popen[bytes]:
        process = host.start(*command, environment=self.cluster | environment, log=log)
        self._started.append(process)
        return process


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[Farm]:
    with hosts(6) as made:
        farm = Farm(made, tmp_path)
        farm.start_storage()
        farm.start_head()
        yield farm
    farm.close()


def eventually(condition: Callable[[], Any], what: str, seconds: float = PATIENCE) -> float:
    """Wait for it; returns the seconds that it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.3)
    return time.monotonic() - began


def take_away(host: Host, node: subprocess.Popen[bytes]) -> None:
    """Send a node what a cloud sends to a machine that it takes back, until it has left: `ray start` loses a SIGTERM
    that comes while it starts."""
    for _ in range(20):
        host.run("pkill", "-TERM", "-o", "-f", MODULE, environment={})
        with suppress(subprocess.TimeoutExpired):
            node.wait(45)  # it is drained for 30 s at most
            return
    raise AssertionError(f"the node of {host.name} does not leave")


def test_a_job_survives_all_that_happens_to_a_farm(farm: Farm, tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path / "night.parquet", rows())
    first, second, late = farm.workers

    def until(frames: int) -> None:
        eventually(
            lambda: farm.frames() >= frames or job.poll() is not None,
            f"{frames} frames are there",
        )
        assert job.poll() is None, f"it ended at {farm.frames()} frames:\n{farm.log.read_text()}"

    nodes = {host: farm.start_node(host, **farm.storage) for host in (first, second)}
    farm.begin_counting()
    job = farm.begin_render(manifest)
    until(10)

    # a host comes late, and without credentials for the storage: it is named, and does no harm
    nodes[late] = farm.start_node(late)
    eventually(lambda: f"host '{late.name}' (worker" in farm.log.read_text(), "the host without credentials is named")
    take_away(late, nodes[late])
    nodes[late] = farm.start_node(late, **farm.storage)

    # a host is cut off: its frames are rendered by others; when it is back, its node is started again
    until(farm.frames() + 20)
    second.cut_off()
    until(farm.frames() + 40)
    second.connect()
    took = eventually(lambda: nodes[second].poll() is not None, "its node ends")
    print(f"the node that was cut off ended {took:.0f} s after it was back")
    nodes[second] = farm.start_node(second, **farm.storage)

    # the head dies, with all of its processes, and comes back
    until(farm.frames() + 10)
    farm.head.run("pkill", "-KILL", "-f", "ray", environment={})
    time.sleep(5)
    farm.start_head()

    # a cloud takes a host back
    until(farm.frames() + 10)
    take_away(first, nodes[first])
    assert job.wait(PATIENCE) == 0, farm.log.read_text()
    assert farm.driver.processes() == []

    farm.copy(tmp_path / "copy")
    assert render(manifest, str(tmp_path / "alone")).complete
    drawn = frame_objects(str(tmp_path / "copy"))
    assert len(drawn) == FRAMES
    assert drawn == frame_objects(str(tmp_path / "alone"))
    for row in rows():
        for name in ("video.mp4", "provenance.json"):
            assert (tmp_path / "copy" / row.video_id / name).stat().st_size > 0
