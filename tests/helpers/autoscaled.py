"""Hosts that Ray's own autoscaler starts and ends, by a provider of nodes that is a folder.

The autoscaler's process, on the head, asks there for nodes and for their end; `Cloud`, outside, has hosts of
`tests.helpers.hosts` join and leave.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray.autoscaler.node_provider import NodeProvider
from ray.autoscaler.tags import NODE_KIND_HEAD, TAG_RAY_NODE_KIND, TAG_RAY_NODE_STATUS, TAG_RAY_USER_NODE_TYPE

from tests.helpers.hosts import PORT, Host

__all__ = ["Cloud", "FolderProvider", "Joined", "autoscaled"]

HEAD, HEAD_TYPE = "head", "head"
# With --block its servers end with it, and on SIGTERM it has the node drained first.
MODULE = "tests.helpers.patient_start"
START = (sys.executable, "-m", MODULE)
# A node ends itself whose agents do not answer for longer: 30 s by default.
PATIENT = {"RAY_agent_register_timeout_ms": "240000"}


class FolderProvider(NodeProvider):  # type: ignore[misc]  # Ray's classes have no types
    """What the autoscaler is given: a file for each node that is wanted, in `folder` of its configuration."""

    def __init__(self, provider_config: dict[str, Any], cluster_name: str) -> None:
        super().__init__(provider_config, cluster_name)
        self._folder = Path(provider_config["folder"])

    def non_terminated_nodes(self, tag_filters: Mapping[str, str]) -> list[str]:
        """List the nodes that are wanted or there."""
        nodes = [HEAD, *(file.stem for file in self._folder.glob("*.wanted"))]
        return [node for node in nodes if tag_filters.items() <= self.node_tags(node).items()]

    def is_running(self, node_id: str) -> bool:
        """Say whether a node was started."""
        return node_id == HEAD or (self._folder / f"{node_id}.begun").exists()

    def is_terminated(self, node_id: str) -> bool:
        """Say whether a node is gone."""
        return node_id not in self.non_terminated_nodes({})

    def node_tags(self, node_id: str) -> dict[str, str]:
        """Return what the autoscaler noted with the node."""
        if node_id == HEAD:
            return {
                TAG_RAY_NODE_KIND: NODE_KIND_HEAD,
                TAG_RAY_USER_NODE_TYPE: HEAD_TYPE,
                TAG_RAY_NODE_STATUS: "up-to-date",
            }
        try:
            tags: dict[str, str] = json.loads((self._folder / f"{node_id}.wanted").read_text())["tags"]
        except FileNotFoundError:  # it has just ended
            return {}
        return tags

    def internal_ip(self, node_id: str) -> str:
        """Nothing: nodes are known by their names."""
        return node_id

    external_ip = internal_ip

    def create_node_with_resources_and_labels(
        self, node_config: Any, tags: dict[str, str], count: int, resources: dict[str, float], labels: dict[str, str]
    ) -> None:
        """Ask for nodes."""
        if (self._folder / "refuse").exists():
            raise RuntimeError("InsufficientInstanceCapacity: none of this kind is to be had")
        for _ in range(count):
            name = f"node-{secrets.token_hex(4)}"
            new = self._folder / f"{name}.new"
            new.write_text(json.dumps({"tags": tags, "resources": resources, "at": time.time()}))
            new.rename(new.with_suffix(".wanted"))

    def terminate_node(self, node_id: str) -> None:
        """Ask for a node's end."""
        (self._folder / f"{node_id}.wanted").unlink(missing_ok=True)

    @staticmethod
    def bootstrap_config(cluster_config: dict[str, Any]) -> dict[str, Any]:
        """Nothing to add."""
        return cluster_config


@dataclass
class Joined:
    """A node that the autoscaler asked for at `asked`, on a host, by `ray start --block`."""

    name: str
    host: Host
    process: subprocess.Popen[bytes]
    asked: float
    resources: Mapping[str, float]
    ended_at: float | None = None


class Cloud:
    """Serves what is asked for in `folder` with `spare` hosts, until `close`."""

    def __init__(self, folder: Path, head: Host, spare: Sequence[Host], environment: Mapping[str, str]) -> None:
        self.folder, self._head, self._spare, self._environment = folder, head, list(spare), dict(environment)
        self.nodes: dict[str, Joined] = {}
        self.most = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="cloud", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Serve no more. The hosts are their owner's to end."""
        self._over.set()
        self._thread.join(20)

    @property
    def up(self) -> list[Joined]:
        """The nodes that are there or on their way."""
        return [node for node in self.nodes.values() if node.ended_at is None]

    def refuse(self, yes: bool = True) -> None:
        """Have no further node to give."""
        if yes:
            (self.folder / "refuse").touch()
        else:
            (self.folder / "refuse").unlink(missing_ok=True)

    def preempt(self, node: Joined) -> None:
        """Send what a cloud sends to a machine that it takes back: SIGTERM, to `ray start --block`."""
        node.host.run("pkill", "-TERM", "-o", "-f", MODULE, environment={})

    def _serve(self) -> None:
        while not self._over.wait(0.2):
            wanted = {file.stem: file for file in self.folder.glob("*.wanted")}
            for name, file in wanted.items():
                if name not in self.nodes and self._spare:
                    self._begin(name, json.loads(file.read_text()))
            for name, node in self.nodes.items():
                if node.ended_at is not None:
                    continue
                if node.process.poll() is not None:
                    node.ended_at = time.time()
                    self._spare.append(node.host)
                    (self.folder / f"{name}.wanted").unlink(missing_ok=True)
                elif name not in wanted:
                    self.preempt(node)
            self.most = max(self.most, len(self.up))

    def _begin(self, name: str, wanted: Mapping[str, Any]) -> None:
        host, resources = self._spare.pop(0), dict(wanted["resources"])
        told = {"RAY_CLOUD_INSTANCE_ID": name, "RAY_NODE_TYPE_NAME": wanted["tags"][TAG_RAY_USER_NODE_TYPE]}
        process = host.start(
            *START, "--block", f"--address={self._head.address}:{PORT}", f"--node-ip-address={host.address}",
            f"--num-cpus={resources.get('CPU', 0):g}", f"--num-gpus={resources.get('GPU', 0):g}",
            environment=self._environment | told, log=host.folder / "node.log",
        )  # fmt: skip
        self.nodes[name] = Joined(name, host, process, wanted["at"], resources)
        (self.folder / f"{name}.begun").touch()


@contextmanager
def autoscaled(
    hosts: Sequence[Host], folder: Path, environment: Mapping[str, str], *,
    types: Mapping[str, tuple[Mapping[str, float], int]], idle_seconds: float = 15, most: int | None = None,
) -> Iterator[Cloud]:  # fmt: skip
    """A head without CPUs and its autoscaler (version 2) on the first of `hosts`; the others are nodes that may come.
    `types` are the kinds of nodes: what each has, and how many of it may be. The hosts are their owner's to end."""
    head, *spare = hosts
    folder.mkdir()
    most = sum(number for _, number in types.values()) if most is None else most
    kinds: dict[str, Any] = {
        name: {"resources": dict(has), "node_config": {}, "min_workers": 0, "max_workers": number}
        for name, (has, number) in types.items()
    }
    kinds[HEAD_TYPE] = {"resources": {"CPU": 0}, "node_config": {}, "max_workers": 0}
    configuration = folder / "autoscaler.json"
    configuration.write_text(
        json.dumps(
            {
                "cluster_name": "fromzero",
                "provider": {
                    "type": "external", "module": f"{__name__}.FolderProvider", "folder": str(folder),
                    "disable_node_updaters": True,
                },
                "auth": {}, "max_workers": most, "idle_timeout_minutes": idle_seconds / 60,
                "available_node_types": kinds, "head_node_type": HEAD_TYPE, "upscaling_speed": 10,
                "file_mounts": {}, "cluster_synced_files": [], "initialization_commands": [], "setup_commands": [],
                "head_setup_commands": [], "worker_setup_commands": [], "head_start_ray_commands": [],
                "worker_start_ray_commands": [],
            }
        )
    )  # fmt: skip
    told = {"RAY_enable_autoscaler_v2": "1", "RAY_CLOUD_INSTANCE_ID": HEAD, "RAY_NODE_TYPE_NAME": HEAD_TYPE}
    environment = dict(environment) | PATIENT
    code, said = head.run(
        *START, "--head", f"--port={PORT}", "--include-dashboard=false", "--num-cpus=0", "--num-gpus=0",
        f"--node-ip-address={head.address}", f"--autoscaling-config={configuration}",
        environment=environment | told, seconds=400,
    )  # fmt: skip
    assert code == 0, said
    cloud = Cloud(folder, head, spare, environment)
    try:
        yield cloud
    finally:
        cloud.close()
        for node in cloud.up:
            node.process.kill()
            node.process.wait()
