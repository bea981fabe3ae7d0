"""Several hosts on this machine: network namespaces with addresses of their own, on one switch, with no way out.

Each has its own processes, host name, /tmp/ray and /dev/shm; files they share.

Without a PID namespace of its own, Ray would take a node of another host for one of this one.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.helpers.root import ROOT

__all__ = ["Host", "hosts"]

PORT = 6379
INSIDE = """
hostname {name}; mkdir -p /tmp/ray
mount --bind {folder}/ray /tmp/ray; mount -t tmpfs -o size=512m tmpfs /dev/shm
printf '127.0.0.1 localhost\\n{address} {name}\\n' > {folder}/hosts; mount --bind {folder}/hosts /etc/hosts
exec sleep infinity
"""


class Host:
    """One of them, at `address`."""

    def __init__(self, space: str, number: int, folder: Path, switch: str) -> None:
        self.address, self.name = f"198.51.100.{10 + number}", f"host{number}"
        self._link = ("-n", switch, "link", "set", f"p{number}")
        self.folder = folder / str(number)
        (self.folder / "ray").mkdir(parents=True)
        inside = INSIDE.format(name=self.name, folder=self.folder, address=self.address)
        self._first = subprocess.Popen(
            ["ip", "netns", "exec", space, "unshare", "-m", "-u", "-p", "-f", "--mount-proc", "--kill-child",
             "bash", "-c", inside],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
        children = Path(f"/proc/{self._first.pid}/task/{self._first.pid}/children")
        until = time.monotonic() + 20
        while not (self.folder / "hosts").exists() or not children.read_text():
            assert time.monotonic() < until, "the host does not come up"
            time.sleep(0.05)
        self._inside = children.read_text().split()[0]

    def start(self, *command: str, environment: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
        """Begin a command there; `nsenter`, which is what is returned, ends as it does."""
        with log.open("ab") as file:
            return subprocess.Popen(
                ["nsenter", "-t", self._inside, "-n", "-m", "-u", "-p", "-w" + str(ROOT), "--", *command],
                env=clean() | dict(environment), stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT,
            )  # fmt: skip

    def run(self, *command: str, environment: Mapping[str, str], seconds: float = 100) -> tuple[int, str]:
        """Run a command there to its end: its exit code, and what it wrote."""
        log = self.folder / f"{secrets.token_hex(4)}.log"
        process = self.start(*command, environment=environment, log=log)
        try:
            code = process.wait(seconds)
        finally:
            process.kill()
        return code, log.read_text()

    def processes(self) -> list[str]:
        """The command lines of all that runs there, but for what keeps the host."""
        _, listed = self.run("ps", "-eo", "stat,args", environment={})
        lines = [line.split(maxsplit=1) for line in listed.splitlines()[1:]]
        # nobody there collects what has ended
        return [args for stat, args in lines if stat[0] != "Z" and not args.startswith(("sleep infinity", "ps -eo"))]

    def cut_off(self) -> None:
        """Pull its cable out: whatever is sent to it or by it is lost, without an error."""
        _ip(*self._link, "down")

    def connect(self) -> None:
        """Plug it in again."""
        _ip(*self._link, "up")

    def kill_all(self) -> None:
        """End the host, with all of its processes at once."""
        self._first.kill()  # --kill-child: the first of its processes ends with it, and all others with that one
        self._first.wait()


def clean() -> dict[str, str]:
    """This process's environment without what it was told of Ray, Prefect and our settings."""
    return {name: it for name, it in os.environ.items() if not name.startswith(("RAY_", "NIGHTREEL_", "PREFECT_"))}


@contextmanager
def hosts(number: int) -> Iterator[list[Host]]:
    """So many hosts, until the block ends; the test is skipped where they can't be made."""
    name = f"nr{secrets.token_hex(2)}"
    switch, spaces = f"{name}sw", [f"{name}h{each}" for each in range(number)]
    folder = Path(tempfile.mkdtemp(prefix="nrhosts", dir="/tmp"))
    made: list[Host] = []
    try:
        _need(switch)
        for command in ("link set lo up", "link add br0 type bridge", "link set br0 up"):
            _ip("-n", switch, *command.split())
        for each, space in enumerate(spaces):
            _ip("netns", "add", space)
            _ip("-n", space, "link", "set", "lo", "up")
            _ip("-n", switch, *f"link add p{each} type veth peer name eth0 netns {space}".split())
            _ip("-n", switch, *f"link set p{each} master br0 up".split())
            _ip("-n", space, *f"addr add 198.51.100.{10 + each}/24 dev eth0".split())
            _ip("-n", space, "link", "set", "eth0", "up")
            made.append(Host(space, each, folder, switch))
        yield made
    finally:
        for host in made:
            host.kill_all()
        for space in (*spaces, switch):
            if shutil.which("ip"):
                subprocess.run(["ip", "netns", "del", space], capture_output=True, check=False)
        shutil.rmtree(folder, ignore_errors=True)


def _need(switch: str) -> None:
    if sys.platform != "linux" or os.getuid() != 0 or not all(map(shutil.which, ("ip", "nsenter", "unshare"))):
        pytest.skip("hosts are made by root, of Linux' network namespaces, with iproute2 and util-linux")
    made = subprocess.run(["ip", "netns", "add", switch], capture_output=True, text=True, check=False)
    if made.returncode == 0:
        made = subprocess.run(
            ["ip", "netns", "exec", switch, "unshare", "-m", "-u", "-p", "-f", "--mount-proc", "true"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    if made.returncode:
        pytest.skip(f"this machine makes no network namespaces: {made.stderr.strip()}")


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
