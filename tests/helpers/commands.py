"""`nightreel` as a process of its own, as people run it; and ways to look at the processes that it starts."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from infra.ports import free_port
from tests.helpers.command_line import Said

NIGHTREEL = Path(sys.executable).with_name("nightreel")  # not resolve(): a virtual environment's python is a link


class Running(NamedTuple):
    """A process that leads a process group of its own, and the files that it writes to."""

    process: subprocess.Popen[bytes]
    out: Path
    err: Path

    def wait(self, seconds: float) -> Said:
        """Its end; past `seconds` the whole group is killed and subprocess.TimeoutExpired raised."""
        try:
            code = self.process.wait(seconds)
        except subprocess.TimeoutExpired as error:
            self.kill()
            error.add_note(f"stderr so far:\n{self.err.read_text()[-3000:]}")
            raise
        return Said(code, self.out.read_text(), self.err.read_text())

    def kill(self) -> None:
        """SIGKILL to the whole group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)


class Commands:
    """Runs `nightreel` in `folder`, with an environment of which only `environment` is this machine's user's."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        clean = {
            name: value for name, value in os.environ.items()
            if not name.startswith(("NIGHTREEL_", "PREFECT_", "RAY_", "AWS_"))
        }  # fmt: skip
        self.environment = {**clean, "PREFECT_HOME": str(folder / "prefect"), **environment}
        self._count = 0

    def start(self, *arguments: object, **environment: str) -> Running:
        """Start a command; its caller waits for it or kills it. `environment` goes on top of all others'."""
        self._count += 1
        out, err = (self.folder / f"{self._count}.{name}" for name in ("stdout", "stderr"))
        with out.open("wb") as to_out, err.open("wb") as to_err:
            process = subprocess.Popen(
                [str(NIGHTREEL), *map(str, arguments)], cwd=self.folder, env=self.environment | environment,
                stdin=subprocess.DEVNULL, stdout=to_out, stderr=to_err, start_new_session=True,
            )  # fmt: skip
        return Running(process, out, err)

    def __call__(self, *arguments: object, seconds: float = 240, **environment: str) -> Said:
        return self.start(*arguments, **environment).wait(seconds)


@contextlib.contextmanager
def running_prefect_server(folder: Path) -> Iterator[str]:
    """A Prefect server of the tests' own, with its database in `folder`; its API's address."""
    port = free_port()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    environment |= {"PREFECT_HOME": str(folder), "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1"}
    command = [str(NIGHTREEL.with_name("prefect")), "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    try:
        deadline = time.monotonic() + 180
        while not _answers(f"http://127.0.0.1:{port}/api/health"):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"Prefect's server does not start:\n{(folder / 'server.log').read_text()[-3000:]}")
            time.sleep(0.3)
        yield f"http://127.0.0.1:{port}/api"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


def _answers(url: str) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2) as answer:
        return bool(answer.status == 200)
    return False


def descendants(pid: int) -> dict[int, int]:
    """The processes below `pid`: their start time by their id, which tells them from later ones of the same id."""
    parents: dict[int, tuple[int, int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                parents[int(entry.name)] = _parent_and_start(int(entry.name))
    found: dict[int, int] = {}
    level = {pid}
    while level:
        level = {child for child, (parent, _) in parents.items() if parent in level}
        found |= {child: parents[child][1] for child in level}
    return found


def command_line(pid: int) -> str:
    """What a process was started as; nothing if it is gone."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    return ""


def alive(processes: Mapping[int, int]) -> Iterator[int]:
    """Those of `descendants` that still run."""
    for pid, start in processes.items():
        with contextlib.suppress(OSError):
            if _parent_and_start(pid)[1] == start and not _is_zombie(pid):
                yield pid


def wait_until_gone(processes: Mapping[int, int], seconds: float) -> list[str]:
    """Wait for the end of all; the command lines of those that still run after `seconds`, which are killed then."""
    deadline = time.monotonic() + seconds
    while (left := list(alive(processes))) and time.monotonic() < deadline:
        time.sleep(0.2)
    lines = []
    for pid in left:
        with contextlib.suppress(OSError):
            lines.append(command_line(pid)[:200])
            os.kill(pid, signal.SIGKILL)
    return lines


def _parent_and_start(pid: int) -> tuple[int, int]:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return int(fields[1]), int(fields[19])


def _is_zombie(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].startswith("Z")
