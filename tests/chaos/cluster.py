"""A Ray cluster of several raylets on this machine, with logical GPUs, and what a killer needs to know of it.

All of it is for one thread: Ray's servers end with the thread that started them.
"""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.helpers.commands import alive, descendants
from tests.helpers.patient_ray import NODE_SECONDS, RAYLET_SECONDS, add_node

__all__ = ["ChaosCluster", "chaos_cluster"]

NODE = {"num_cpus": 1, "num_gpus": 1, "include_dashboard": False, "object_store_memory": 80 * 2**20}
# The head has room for no actor, and is never killed: with it goes the cluster, and that is another test's.
HEAD = {**NODE, "num_cpus": 0, "num_gpus": 0}
RETURN_SECONDS = 60.0


class ChaosCluster:
    """A head and `nodes` nodes of one CPU and one GPU each. For a process of its own, in which it makes Ray patient."""

    def __init__(self, nodes: int) -> None:
        from infra.ray.node_process import patient  # before Ray: settles its environment

        import ray  # isort: skip
        from ray.cluster_utils import Cluster  # isort: skip

        ray._private.services.get_node = patient(ray._private.services.get_node, RAYLET_SECONDS)
        self._cluster = Cluster()
        self._others = descendants(os.getpid())  # they were here before, and are not ours to judge
        self._seen: dict[int, int] = {}
        self._add(**HEAD)
        self._nodes = [self._add() for _ in range(nodes)]

    @property
    def address(self) -> str:
        return str(self._cluster.address)

    def look(self) -> None:
        """Note who is there now, so that whoever survives the end is known. Call it every second or so."""
        seen = self._seen | descendants(os.getpid())
        self._seen = {pid: seen[pid] for pid in alive(seen) if self._others.get(pid) != seen[pid]}

    def actors(self, kind: str = "_Actor") -> list[int]:
        """The process ids of the actors of this class."""
        self.look()
        return [pid for pid in sorted(self._seen) if _title(pid).startswith(f"ray::{kind}")]

    def kill(self, pid: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    def replace_node(self, chance: float) -> None:
        """A node is gone from one moment to the next; then another one comes."""
        self.look()
        node = self._nodes.pop(int(chance * len(self._nodes)))
        self._cluster.remove_node(node, allow_graceful=False)
        self._nodes.append(self._add())

    def returned(self) -> list[str]:
        """What has not come back once no job is there any more: resources in use, actors alive. Waits a while."""
        import ray

        ray.init(address=self.address, log_to_driver=False, configure_logging=False, logging_level=logging.ERROR)
        try:
            return _until_empty(self._held, RETURN_SECONDS)
        finally:
            ray.shutdown()

    def shut_down(self) -> list[str]:
        """Ends the cluster; gives whoever of it, or of what worked on it, runs on."""
        self.look()
        self._cluster.shutdown()
        return _until_empty(lambda: [f"process {pid}: {_title(pid)[:200]}" for pid in alive(self._seen)], 30)

    def _held(self) -> list[str]:
        import ray
        from ray._private.state import state

        total, free = ray.cluster_resources(), ray.available_resources()
        held = [
            f"{total[kind] - free.get(kind, 0):g} {kind}" for kind in ("CPU", "GPU") if total[kind] != free.get(kind)
        ]
        living = [it for it in state.actor_table(None).values() if it["State"] != "DEAD"]
        return held + [f"actor {it['ActorID']}" for it in living if it["ActorClassName"].endswith("_Actor")]

    def _add(self, **node: Any) -> Any:
        added = add_node(self._cluster, wait=False, **{**NODE, **node})
        until = time.monotonic() + NODE_SECONDS
        while added.node_id not in self._cluster.global_state._live_node_ids():
            if time.monotonic() > until:
                raise TimeoutError(f"no node of the cluster within {NODE_SECONDS:.0f} s")
            time.sleep(0.1)
        return added


@contextlib.contextmanager
def chaos_cluster(nodes: int) -> Iterator[ChaosCluster]:
    """Starts one in a folder of its own. RAY_TMPDIR must be unset again before the next."""
    # a short path, for its sockets; of its own, since by a note there every `ray.init` of this machine would join it
    folder = tempfile.mkdtemp(prefix="chs", dir="/tmp")
    wanted = {
        "RAY_TMPDIR": folder,
        # a node that is gone is missed after seconds, not after a minute
        "RAY_health_check_initial_delay_ms": "1000", "RAY_health_check_period_ms": "1000",
        "RAY_worker_niceness": "0",  # on a machine that has other work, actors would hardly get on
    }  # fmt: skip
    before = {name: os.environ.get(name) for name in wanted}
    os.environ.update(wanted)
    cluster = None
    try:
        cluster = ChaosCluster(nodes)
        yield cluster
    finally:
        if cluster is not None:
            cluster.shut_down()
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value
        shutil.rmtree(folder, ignore_errors=True)


def _until_empty(look: Callable[[], list[str]], seconds: float) -> list[str]:
    deadline = time.monotonic() + seconds
    while (found := look()) and time.monotonic() < deadline:
        time.sleep(0.3)
    return found


def _title(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").strip()
    return ""
