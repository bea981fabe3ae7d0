"""A running `nightreel up` for tests: real processes, ports and database of their own, and a client of its API.

    with running_up(tmp_path) as up:
        run = up.start_run("render-manifest", manifest=..., output=...)
        assert up.wait_for_run(run)["state_type"] == "COMPLETED"

Everything is stopped at the end, and whatever process of it is left is killed.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx

from flows.orchestration.patience import PatientTransport
from infra.own_prefect import authorization
from infra.ports import free_port
from tests.helpers.commands import Commands, Running, command_line, descendants, wait_until_gone

__all__ = ["RunningUp", "running_up"]

# Of a machine that is busy elsewhere; an idle one takes 30 s.
START_SECONDS = 600.0
ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
# What each part's command line holds.
PARTS = {"server": "flows.local.own_server", "ray": "infra.ray.head", "runner": "flows.local.runner"}


class RunningUp:
    """A `nightreel up` that is up. `ready` is what it says with --json."""

    def __init__(self, running: Running, ready: dict[str, Any]) -> None:
        self.running, self.ready = running, ready
        self.client = httpx.Client(
            base_url=self.api_url, timeout=60, transport=PatientTransport(), headers=authorization(self.key)
        )

    @property
    def api_url(self) -> str:
        return str(self.ready["api"])

    @property
    def ui_url(self) -> str:
        return str(self.ready["ui"])

    @property
    def key(self) -> str:
        """What its server asks for."""
        return Path(self.ready["key_file"]).read_text(encoding="ascii")

    @property
    def sign_in(self) -> str:
        """The link by which a browser gets the key."""
        return str(self.ready["sign_in"])

    @property
    def ray_address(self) -> str:
        return str(self.ready["ray"])

    @property
    def pid(self) -> int:
        return self.running.process.pid

    def said(self) -> str:
        """What it wrote on stderr so far."""
        return self.running.err.read_text()

    def logs(self) -> str:
        """The ends of its parts' logs, for a test that fails."""
        files = sorted(Path(self.ready["logs"]).glob("*.log"))
        return self.said() + "".join(f"\n== {f.name}\n{f.read_text(errors='replace')[-4000:]}" for f in files)

    # -- the API ---------------------------------------------------------------------------------------------------

    def get(self, path: str) -> Any:
        return self.client.get(path).raise_for_status().json()

    def post(self, path: str, **body: Any) -> Any:
        answer = self.client.post(path, json=body).raise_for_status()
        return answer.json() if answer.content else None

    def deployment(self, name: str) -> dict[str, Any]:
        """The deployment of this name."""
        return dict(self.get(f"/deployments/name/{name}/{name}"))

    def start_run(self, deployment: str, **parameters: Any) -> str:
        """Start a run with these parameters, as the UI's form does; returns its id."""
        identity = self.deployment(deployment)["id"]
        return str(self.post(f"/deployments/{identity}/create_flow_run", parameters=parameters)["id"])

    def run(self, run: str) -> dict[str, Any]:
        """A flow run as the server shows it."""
        return dict(self.get(f"/flow_runs/{run}"))

    def retry(self, run: str) -> None:
        """What the UI's Retry button does."""
        self.post(f"/flow_runs/{run}/set_state", state={"type": "SCHEDULED", "name": "AwaitingRetry"})

    def cancel(self, run: str) -> None:
        """What the UI's Cancel button does."""
        self.post(f"/flow_runs/{run}/set_state", state={"type": "CANCELLING", "name": "Cancelling"})

    def wait_for_run(self, run: str, seconds: float = 300, states: tuple[str, ...] = ENDED) -> dict[str, Any]:
        """Wait until the run is in one of these states; gives the run. Bears with a server that is away."""
        shown: dict[str, Any] = {}

        def there() -> bool:
            nonlocal shown
            with contextlib.suppress(httpx.HTTPError):
                shown = self.run(run)
            return shown.get("state_type") in states

        self.wait_until(there, seconds, f"run {run} in {states}")
        return shown

    def wait_until(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        """Wait for a condition; AssertionError with all logs if it does not come true."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert self.running.process.poll() is None, f"`up` has ended\n{self.logs()}"
            assert time.monotonic() < deadline, f"not within {seconds:.0f} s: {what}\n{self.logs()}"
            time.sleep(0.3)

    # -- the processes -----------------------------------------------------------------------------------------------

    def processes(self) -> dict[int, int]:
        """Everything below it: start times by process id."""
        return descendants(self.pid)

    def process_of(self, part: str) -> int:
        """The process id of "server", "ray" or "runner"."""
        return self._only(self.pid, PARTS[part], depth=1)

    def flow_process(self) -> int:
        """The process id of the flow run that runs now."""
        return self._only(self.process_of("runner"), "prefect.engine")

    def ray_process(self, name: str) -> int:
        """The process id of a server of Ray's, such as "gcs_server" or "raylet"."""
        return self._only(self.process_of("ray"), f"/{name} ")

    def actors(self) -> list[int]:
        """The process ids of the actors that render."""
        return [pid for pid in descendants(self.process_of("ray")) if "ray::_Actor" in command_line(pid)]

    @staticmethod
    def _only(above: int, words: str, depth: int = 0) -> int:
        found = sorted((pid for pid in descendants(above) if words in command_line(pid)), key=_start)
        assert found, f"no process '{words}' below {above}"
        return found[0]

    def stop(self, seconds: float = 60) -> int:
        """Ctrl-C; returns the exit code."""
        os.kill(self.pid, signal.SIGINT)
        return self.running.wait(seconds).code


@contextlib.contextmanager
def running_up(folder: Path, environment: Mapping[str, str] | None = None, *arguments: object) -> Iterator[RunningUp]:
    """`nightreel up` with its database in `folder`, on a port of its own, with these further arguments; it is there
    when the block begins. One more call with the same folder finds the same database."""
    port = free_port()
    (folder / f"up-{port}").mkdir()
    commands = Commands(folder / f"up-{port}", {"PREFECT_HOME": str(folder / "prefect"), **(environment or {})})
    running = commands.start("up", "--port", port, "--json", *arguments)
    below: dict[int, int] = {}
    up: RunningUp | None = None
    try:
        deadline = time.monotonic() + START_SECONDS
        while not running.out.read_text().endswith("\n"):
            below |= descendants(running.process.pid)
            assert running.process.poll() is None, f"`up` ended: {running.err.read_text()}"
            assert time.monotonic() < deadline, running.err.read_text()
            time.sleep(0.3)
        up = RunningUp(running, json.loads(running.out.read_text()))
        yield up
    finally:
        if running.process.poll() is None:
            below |= descendants(running.process.pid)
            os.kill(running.process.pid, signal.SIGINT)
            with contextlib.suppress(Exception):
                running.wait(30)
        running.kill()
        wait_until_gone(below, 10)  # and kills what is left
        if up is not None:
            up.client.close()


def _start(pid: int) -> int:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()[19])
    return 0
