"""A whole Prefect server of a test's own: with its services, which automations need, and its pages."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from infra.ports import free_port

START_SECONDS = 180.0


@dataclass(frozen=True)
class PrefectServer:
    """`url` is the UI's address; `log` what the server has to say."""

    url: str
    home: Path
    log: Path

    @property
    def api(self) -> str:
        return f"{self.url}/api"

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to know in order to use it."""
        return {"PREFECT_API_URL": self.api, "PREFECT_HOME": str(self.home)}


@contextmanager
def running_prefect_server(folder: Path, **variables: str) -> Iterator[PrefectServer]:
    """A server with its database in `folder`, on a free port of loopback; `variables` go to its environment."""
    port = free_port()
    server = PrefectServer(f"http://127.0.0.1:{port}", folder / "prefect", folder / "server.log")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")} | {
        "PREFECT_HOME": str(server.home),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_UI_URL": server.url,
        # automations that wait for something that does not come are looked at every second, not every five
        "PREFECT_SERVER_EVENTS_PROACTIVE_GRANULARITY": "PT1S",
        **variables,
    }
    with server.log.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)],
            env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
    try:
        _wait(server, process)
        yield server
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait(server: PrefectServer, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        with suppress(OSError), urllib.request.urlopen(f"{server.api}/health", timeout=5):
            return
        time.sleep(0.2)
    raise AssertionError(f"the Prefect server did not come up:\n{server.log.read_text()}")
