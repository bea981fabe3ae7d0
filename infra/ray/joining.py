"""Joining the Ray cluster that a person names: a driver works through a Ray node of its own machine, which is either
there already or is started for this process alone (infra/ray/guest.py), and leaves with it.

Ray itself looks for a node for a minute and then fails; and of several it takes any, such as another driver's own.
"""

from __future__ import annotations

import os
import secrets
import socket
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from infra.child_process import ChildProcess
from infra.environment import child_environment, ray_environment
from manifests.errors import ErrorKind, NightreelError

ray_environment()  # before the import: Ray reads them while it is imported

import ray.exceptions  # noqa: E402
from ray._private import services  # noqa: E402
from ray._raylet import GcsClient  # type: ignore[attr-defined]  # noqa: E402
from ray.core.generated.gcs_pb2 import GcsNodeInfo  # type: ignore[attr-defined]  # noqa: E402

from infra.ray.guest import LABEL, LEAVE, LEAVE_SECONDS  # noqa: E402

__all__ = ["JOIN_REMEDY", "Guest", "RayUnavailable", "head_address", "knock", "knock_for_a_while", "node_here"]

KNOCK_SECONDS = 5.0
# `nightreel up` ends the runs of a cluster that has died, and begins them again; until then they must not fail by it.
PATIENCE_SECONDS = 20.0
ANSWER_SECONDS = 30.0
# A node registers within seconds, or it never does: its own patience is infra.ray.node_process's.
GUEST_SECONDS = 180.0
JOIN_REMEDY = (
    "Is the cluster up and NIGHTREEL_RAY_ADDRESS right (each `nightreel up` has another one)? Unset it to use this "
    "machine alone"
)


class RayUnavailable(NightreelError):
    """No Ray cluster can be used; the message says why and what to do."""

    kind = ErrorKind.ENVIRONMENT


def head_address(address: str) -> str:
    """Return the host:port of the head that a setting names, `auto` included. Raises RayUnavailable."""
    if address != "auto":
        return address
    try:
        return str(services.canonicalize_bootstrap_address_or_die(address))
    except (ConnectionError, OSError, ValueError) as error:
        raise RayUnavailable(
            f"no Ray cluster at '{address}': {str(error).splitlines()[0]} Set NIGHTREEL_RAY_ADDRESS to the head of a "
            "cluster, host:port, or unset it to use this machine alone"
        ) from error


def knock(address: str) -> None:
    """Raise RayUnavailable if nothing listens at `host:port`: Ray itself tries for up to eight minutes."""
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdecimal():
        return  # "auto": Ray knows by itself where to look
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=KNOCK_SECONDS).close()
    except OSError as error:
        raise RayUnavailable(f"no Ray cluster at '{address}': {error.strerror or error}") from error


def knock_for_a_while(address: str) -> None:
    """`knock`, with patience for a cluster that is being started again, and with what a person can do."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            return knock(address)
        except RayUnavailable as error:
            if time.monotonic() > deadline:
                raise RayUnavailable(f"{error}. {JOIN_REMEDY}") from error
        time.sleep(0.5)


def node_here(address: str) -> str | None:
    """Return the folder of a node of the cluster at `address` that is on this machine, and open to any driver of this
    user; None where there is none.

    Raises:
        RayUnavailable: what listens there is no head of a Ray cluster, or lets nobody in without another token.
    """
    here = services.find_node_ids()
    nodes = [node for node in _nodes(address) if node.node_id.hex() in here and LABEL not in node.labels]
    # one of another container, or of another user, is seen here too
    open_ones = [node for node in nodes if os.access(node.raylet_socket_name, os.R_OK | os.W_OK)]
    open_ones.sort(key=lambda node: not node.is_head_node)
    return str(open_ones[0].temp_dir) if open_ones else None


def _nodes(address: str) -> list[Any]:
    """List the nodes of a cluster that live."""
    try:
        client = GcsClient(address=address)
        return list(client.get_all_node_info(timeout=ANSWER_SECONDS, state_filter=GcsNodeInfo.ALIVE).values())
    except ray.exceptions.AuthenticationError as error:
        raise RayUnavailable(
            f"the Ray cluster at '{address}' lets nobody in without its token, and the one of this process is another "
            "or none: set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH to the file that holds the cluster's token"
        ) from error
    except (ray.exceptions.RayError, RuntimeError, ConnectionError) as error:
        first = str(error).splitlines()[0]
        raise RayUnavailable(
            f"what listens at '{address}' does not answer as the head of a Ray cluster does ({first}): write the port "
            "that the head was started with (6379 unless it was given another), neither that of its dashboard (8265) "
            "nor that of Ray Client (10001); if the cluster uses TLS, set RAY_USE_TLS=1 and its certificates here too"
        ) from error


class Guest:
    """This process's own node on the cluster at `address`, which ends with this process, however that one ends."""

    def __init__(self, address: str) -> None:
        """Start it; `wait` waits for it."""
        self._address = address
        self.own = _seen_from(address)
        self._name = f"nightreel-{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"
        log, path = tempfile.mkstemp(prefix="nightreel-node-", suffix=".log")
        os.close(log)
        self._log = Path(path)
        arguments = [address, self.own, self._name]
        self._child = ChildProcess("infra.ray.guest", arguments, environment=child_environment({}), log=self._log)

    def wait(self) -> str:
        """Wait until it has joined; gives its folder, by which Ray tells it from other nodes of this machine.

        Raises:
            RayUnavailable: it can't join.
        """
        deadline = time.monotonic() + GUEST_SECONDS
        while not self._child.said("ready"):
            if self._child.ended() is not None or time.monotonic() > deadline:
                why = self.why if self._child.ended() is not None else f"it was not there within {GUEST_SECONDS:.0f} s"
                self.leave()
                raise RayUnavailable(
                    f"this machine has no node of the Ray cluster at '{self._address}', and one of this command's own "
                    f"(0 CPUs, 0 GPUs), at {self.own}, could not join it: {why}. {self.remedy}"
                )
            time.sleep(0.1)
        for node in _nodes(self._address):
            if node.node_name == self._name:
                return str(node.temp_dir)
        self.leave()
        raise RayUnavailable(
            f"this command's own node, at {self.own}, left the Ray cluster at '{self._address}' at once. {self.remedy}"
        )

    @property
    def remedy(self) -> str:
        """What a person can do where it can't join, or doesn't stay."""
        return (
            "Head and workers must reach this machine at that address, on any port, and have its versions of Python "
            "and Ray. Or run the command on a machine of the cluster, where it needs no node of its own"
        )

    @property
    def ended(self) -> bool:
        """Whether it is gone."""
        return self._child.ended() is not None

    @property
    def why(self) -> str:
        """What it said last."""
        with suppress(OSError):
            lines = [line.strip() for line in self._log.read_text(errors="replace").splitlines()]
            # Ray's own lines begin with a date in brackets, or with one
            own = [line for line in lines if line and not line.startswith("[") and not line[0].isdigit()]
            if own:
                return own[-1]
        return "it ended without a word"

    def leave(self) -> None:
        """Have it take leave of the cluster, and end it."""
        self._child.tell(LEAVE)
        self._child.kill(LEAVE_SECONDS)
        self._log.unlink(missing_ok=True)


def _seen_from(address: str) -> str:
    """The address of this machine on the way to `address`."""
    host, _, port = address.rpartition(":")
    try:
        for family, kind, protocol, _, there in socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_DGRAM):
            with socket.socket(family, kind, protocol) as line, suppress(OSError):
                line.connect(there)  # nothing is sent
                return str(line.getsockname()[0])
    except OSError as error:
        raise RayUnavailable(f"no Ray cluster at '{address}': {error.strerror or error}. {JOIN_REMEDY}") from error
    raise RayUnavailable(f"no way leads to the Ray cluster at '{address}'. {JOIN_REMEDY}")
