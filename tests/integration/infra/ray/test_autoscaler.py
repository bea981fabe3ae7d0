"""A cluster that begins at no node, on hosts of this machine, with Ray's own autoscaler: nodes come because a job waits
for them, go when it needs them no more, and are taken away in between."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from infra.models.published import publish
from infra.storage.storage import Storage
from renderers.registry import Registry
from tests.helpers.autoscaled import Cloud, autoscaled
from tests.helpers.blueprints import write_blueprints
from tests.helpers.hosts import PORT, Host, hosts
from tests.helpers.random_model import write_model
from tests.helpers.render_jobs import frame_files, frame_objects, quick_row, render, write_manifest
from tests.helpers.root import ROOT

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(3000)]

ENVIRONMENT = {
    "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0123456789abcdef0123456789abcdef", "PYTHONPATH": str(ROOT),
    "OMP_NUM_THREADS": "1",
}  # fmt: skip
NIGHTREEL = str(Path(sys.executable).with_name("nightreel"))
PATIENCE = 900.0  # seconds, on a busy machine
ONE_CPU = {"cpu": ({"CPU": 1}, 3)}


@dataclass
class Farm:
    """A cluster with `cloud`, and a `driver` host that is none of its nodes."""

    cloud: Cloud
    head: Host
    driver: Host
    folder: Path

    def begin(
        self, manifest: str, name: str, *options: str, folder: str = "prefect", **settings: str
    ) -> subprocess.Popen[bytes]:
        """Begin `nightreel render` on the driver's host, with what it says in a log."""
        told = ENVIRONMENT | {
            "NIGHTREEL_RAY_ADDRESS": f"{self.head.address}:{PORT}", "PREFECT_HOME": str(self.folder / folder),
        } | {f"NIGHTREEL_{name.upper()}": value for name, value in settings.items()}  # fmt: skip
        return self.driver.start(
            NIGHTREEL, "render", manifest, "-o", self.output(name), *options, environment=told, log=self.log(name)
        )

    def output(self, name: str) -> str:
        return str(self.folder / name)

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def tell_first_frame(self, what: str, began: float, *videos: str) -> None:
        """Print when the first frame of output `out` came."""
        first = min(file.stat().st_mtime for video in videos for file in frame_files(self.output("out"), video))
        asked = min(node.asked for node in self.cloud.nodes.values())
        after = f"{first - began:.1f} s after the command, {first - asked:.1f} s after a node was asked for"
        print(f"{what}: first frame {after}")

    def frames(self, name: str, *videos: str) -> int:
        return sum(len(frame_files(self.output(name), video)) for video in videos)


@contextmanager
def farm(folder: Path, types: Mapping[str, tuple[Mapping[str, float], int]], **options: Any) -> Iterator[Farm]:
    number = sum(most for _, most in types.values()) + 1  # one more, for a node that is taken away
    with (
        hosts(number + 2) as (head, driver, *spare),
        autoscaled([head, *spare], folder / "cloud", ENVIRONMENT, types=types, **options) as cloud,
    ):
        yield Farm(cloud, head, driver, folder)


def eventually(condition: Callable[[], Any], what: str, seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.3)


def test_nodes_come_for_a_job_and_go_after_it_and_one_taken_away_costs_no_frame(tmp_path: Path) -> None:
    rows = [quick_row(f"v{n}", frames=30, steps=12, handoff="chain") for n in range(3)]
    manifest, videos = write_manifest(tmp_path / "night.parquet", rows), [row.video_id for row in rows]
    with farm(tmp_path, ONE_CPU) as made:
        began = time.time()
        job = made.begin(manifest, "out")
        eventually(lambda: made.frames("out", *videos), "a first frame")
        made.tell_first_frame("three nodes at a time", began, *videos)
        eventually(lambda: len(made.cloud.up) == 3, "a node for each video")
        eventually(lambda: all(made.frames("out", video) for video in videos), "all are rendered side by side")
        lost = made.cloud.up[0]
        made.cloud.preempt(lost)
        assert job.wait(PATIENCE) == 0, made.log("out").read_text()
        done = time.time()
        assert lost.ended_at is not None
        assert lost.ended_at < done, "it has left, and the job went on without it"
        assert "waiting for" in made.log("out").read_text()
        eventually(lambda: not made.cloud.up, "all nodes are given back")
        print(f"all nodes gone {time.time() - done:.1f} s after the end")
        assert made.driver.processes() == []
    render(manifest, str(tmp_path / "alone"))
    assert frame_objects(made.output("out")) == frame_objects(str(tmp_path / "alone"))
    assert json.loads(Path(made.output("out"), "v0", "provenance.json").read_text())


def test_what_was_asked_for_is_not_asked_for_after_the_driver_is_dead(tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path / "m.parquet", [quick_row("reef", frames=200, steps=40)])
    with farm(tmp_path, {"cpu": ({"CPU": 1}, 1)}, idle_seconds=5) as made:
        job = made.begin(manifest, "out")
        eventually(lambda: made.cloud.nodes, "a node is asked for")
        made.driver.run("pkill", "-KILL", "-f", "nightreel", environment={})  # of this host's processes alone
        assert job.wait(30) != 0
        eventually(lambda: not made.cloud.up, "the node is given back")
        assert made.cloud.most == 1, "one chain renders on one actor"


def test_a_run_ends_in_words_when_no_node_comes_and_goes_on_when_one_does(tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path / "m.parquet", [quick_row("reef", frames=2)])
    with farm(tmp_path, {"gpu": ({"CPU": 1, "GPU": 1}, 1)}) as made:
        made.cloud.refuse()
        job = made.begin(manifest, "out", node_seconds="30")
        code, said = job.wait(PATIENCE), made.log("out").read_text()
        assert code == 3, said
        assert "the Ray cluster has had no node for this run for 30 s" in said
        assert "it waited for nodes that are on their way (1 gpu)" in said
        assert "run the same command again" in said
        assert "Traceback" not in said
        made.cloud.refuse(yes=False)
        began = time.time()
        job = made.begin(manifest, "out")
        assert job.wait(PATIENCE) == 0, made.log("out").read_text()
        made.tell_first_frame("one node", began, "reef")
        assert [dict(node.resources)["GPU"] for node in made.cloud.nodes.values()] == [1]


def test_a_training_waits_for_a_node_and_begins_from_a_published_model(tmp_path: Path) -> None:
    """As a render does: nothing of the model's weights is in the models folder, and no node is there."""
    (tmp_path / "made").mkdir()
    here, source = Registry(tmp_path / "publisher"), str(tmp_path / "source")
    published = publish(here, here.register(write_model(tmp_path / "made"), "mine"), Storage(source))
    pictures = str(write_blueprints(tmp_path / "pictures", 12, side=64))
    models = tmp_path / "models"
    given = {"NIGHTREEL_MODELS_FOLDER": str(models), "NIGHTREEL_MODELS_SOURCE": source}
    command = [NIGHTREEL, "finetune", pictures, "--from", "mine", "-o", str(tmp_path / "better"), "--steps", "4"]
    with farm(tmp_path, {"cpu": ({"CPU": 1}, 1)}) as made:
        told = ENVIRONMENT | given | {
            "NIGHTREEL_RAY_ADDRESS": f"{made.head.address}:{PORT}", "PREFECT_HOME": str(tmp_path / "prefect"),
        }  # fmt: skip
        made.cloud.refuse()
        refused = made.driver.start(*command, environment=told | {"NIGHTREEL_NODE_SECONDS": "30"}, log=made.log("no"))
        code, said = refused.wait(PATIENCE), made.log("no").read_text()
        assert code == 3, said
        assert "the Ray cluster has had no node for this run for 30 s" in said
        assert "Traceback" not in said
        weights = [file for file in published.files if file.path.endswith(".safetensors")]
        assert (models / "mine.yaml").exists()

        made.cloud.refuse(yes=False)
        training = made.driver.start(*command, environment=told, log=made.log("out"))
        assert training.wait(PATIENCE) == 0, made.log("out").read_text()
        assert made.cloud.most == 1
        assert all((models / file.path).stat().st_size == file.size for file in weights)
        report = json.loads((tmp_path / "better" / "report.json").read_text())
        assert (report["base"], report["steps"]) == ("mine", 4)
        assert Registry(models).entry("better").vqgan.sha256 == report["sha256"]
        eventually(lambda: not made.cloud.up, "the node is given back")


def test_two_runs_share_what_there_is_and_one_that_is_stopped_leaves_it_to_the_other(tmp_path: Path) -> None:
    rows = [quick_row(f"v{n}", frames=60, steps=12, handoff="chain") for n in range(2)]
    manifest, videos = write_manifest(tmp_path / "m.parquet", rows), [row.video_id for row in rows]
    with farm(tmp_path, {"cpu": ({"CPU": 1}, 2)}) as made:
        one = made.begin(manifest, "one", folder="prefect-one")
        other = made.begin(manifest, "other", folder="prefect-other")
        eventually(lambda: made.frames("one", *videos) and made.frames("other", *videos), "both have frames")
        made.driver.run("pkill", "-INT", "-f", f"nightreel render .*{made.output('other')}", environment={})
        assert other.wait(100) != 0
        assert one.wait(PATIENCE) == 0, made.log("one").read_text()
        assert made.cloud.most == 2
        eventually(lambda: not made.cloud.up, "all nodes are given back")
    render(manifest, str(tmp_path / "alone"))
    assert frame_objects(made.output("one")) == frame_objects(str(tmp_path / "alone"))
