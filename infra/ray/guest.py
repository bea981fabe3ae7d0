"""A Ray node of 0 CPUs and 0 GPUs on a cluster of other machines, in a process of its own: a driver works through the
node of its machine, and this is one for a machine that has none.

A driver starts it as `python -m infra.ray.guest ADDRESS OWN NAME`: the cluster's head, this machine's address as the
cluster is to reach it, and the node's name (infra/ray/joining.py). It leaves when it is told "leave", and when its
driver has ended, however that one did: in either case it takes leave of the cluster first, which otherwise would look
for it for a minute. It is the driver's alone, so no other driver may use it.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import sys
import time
from pathlib import Path

from infra.child_process import GONE, Parent
from infra.environment import guest_folders, ray_environment
from infra.ray.node_process import start_node  # before Ray: sets its environment
from infra.settings import load_settings

ray_environment()  # before the import: Ray reads them while it is imported

from ray._private.authentication.authentication_token_setup import ensure_token_if_auth_enabled  # noqa: E402

__all__ = ["GUEST", "LABEL", "LEAVE", "LEAVE_SECONDS", "serve"]

#: By which drivers tell such nodes from those that stay.
LABEL, GUEST = "nightreel-guest", "driver"
LEAVE = "leave"
#: What taking leave may last.
LEAVE_SECONDS = 10.0
CHECK_SECONDS = 0.2
# Arguments and results of calls that are too large to travel with them: a job has a few of these.
OBJECT_STORE_BYTES = 100 * 2**20


def serve(address: str, own: str, name: str) -> None:
    """Start the node, say "ready" to the parent, and stay until it is told to leave, or one of its servers ends."""
    # of a whole group of processes that is ended, the driver decides when it no longer needs its node
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)  # no SIG_IGN, which the servers would inherit
    parent = Parent(linger=LEAVE_SECONDS)
    folder, lock = _claimed()
    try:
        ensure_token_if_auth_enabled(create_token_if_missing=False)
        node = start_node(
            head=False,
            gcs_address=address,
            node_ip_address=own,
            node_name=name,
            labels={LABEL: GUEST},
            num_cpus=0,
            num_gpus=0,
            object_store_memory=OBJECT_STORE_BYTES,
            metrics_port=load_settings().metrics_port,
            temp_dir=str(folder),
        )
        parent.tell("ready")
        while not (dead := node.dead_processes()) and not (parent.heard(LEAVE) or parent.heard(GONE)):
            time.sleep(CHECK_SECONDS)
        if dead:
            ended = ", ".join(f"{kind} with code {process.returncode}" for kind, process in dead)
            print(f"its servers ended: {ended}", file=sys.stderr, flush=True)
        node.kill_all_processes(check_alive=False, allow_graceful=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _claimed() -> tuple[Path, int]:
    """A folder for sockets and logs that is nobody else's, and the lock by which that is known; what a guest that was
    killed has left in it is removed."""
    for folder in guest_folders():
        folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(folder.with_suffix(".lock"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            continue
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        return folder, lock
    raise RuntimeError(f"all folders for nodes of drivers are taken, the last of them {folder}")


if __name__ == "__main__":
    try:
        serve(*sys.argv[1:])
    except Exception as error:  # the driver says it
        print(f"{type(error).__name__}: {error}".splitlines()[0], file=sys.stderr, flush=True)
        os._exit(1)
    os._exit(0)  # the servers have died before
