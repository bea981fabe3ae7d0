"""The parts of `nightreel up`: Prefect's server with its pages, a Ray cluster's head, the runner of the deployments,
the live page of their outputs.

They start side by side, are watched, and are started again when they die. The server's database survives its death, and
flow runs wait for it to come back. A dead Ray head takes the runner with it, since the processes of its flow runs hold
on to a cluster that is gone; whichever runner comes next schedules their runs again
(flows/orchestration/interrupted.py), and they go on with what storage lacks. All parts end with this process, however
it ends (infra/child_process.py).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NoReturn

import httpx

from flows.local.live_page import address_of, link_of, outputs_of
from flows.local.options import UpOptions
from flows.local.own_server import SERVING
from flows.local.part import Part, UpUnavailable
from flows.local.place import Lock, check_port, port_beside
from flows.local.policy import RestartPolicy
from flows.local.server_key import KEY_FILE, server_key, sign_in_link
from flows.local.service_watch import ServiceWatch
from flows.orchestration.deployments import NAMES
from flows.orchestration.interrupted import end_interrupted
from flows.orchestration.patience import PatientTransport
from infra.child_process import ChildProcess
from infra.environment import child_environment, up_environment, up_folder
from infra.own_prefect import Whereabouts, authorization
from infra.ports import free_port
from infra.settings import InfraSettings
from manifests.errors import NightreelError

__all__ = ["Ready", "Up", "UpUnavailable"]

# Cold disks, and machines busy elsewhere. What dies is noticed at once; this is for what hangs.
START_SECONDS = 600.0
TICK_SECONDS = 0.2
STOP_SECONDS = 3.0
LOG_BYTES = 20_000_000


@dataclass(frozen=True)
class Ready:
    """Where everything is. `forms`: the page of each deployment on which a run of it is started; `sign_in` and `live`:
    the links to the UI and to the live page, with their keys; `key_file`: what others show the server, None if it asks
    for nothing."""

    ui: str
    sign_in: str
    key_file: str | None
    live: str
    api: str
    ray: str
    forms: dict[str, str]
    logs: str


class Up:
    """All parts together. `tell` hears when one of them is up, or dies."""

    def __init__(self, options: UpOptions, settings: InfraSettings, tell: Callable[[str], None]) -> None:
        """Take the lock and look at the port; nothing is started yet.

        Raises:
            UpUnavailable: another `up`, or another server, has them.
            SettingsInvalid: the key that a person chose is none.
        """
        self._options, self._tell = options, tell
        self._url = f"http://127.0.0.1:{options.port}"
        self._folder = up_folder()
        self._lock = Lock(self._folder, self._url)
        try:
            check_port(options.port)
            self._key = server_key(self._folder, settings)
        except NightreelError:
            self._lock.release()
            raise
        own_ray, port = settings.ray_address is None, str(free_port())
        self._ray_address = settings.ray_address or f"127.0.0.1:{port}"
        self._page_port = port_beside(options.port)
        live = {
            "NIGHTREEL_LIVE_PAGE": address_of(self._page_port),
            "NIGHTREEL_LIVE_OUTPUTS": str(outputs_of(self._folder)),
        }
        self._environment = child_environment(
            up_environment(self._url, self._ray_address, own_ray=own_ray, key=self._key) | live
        )
        self._client = httpx.Client(
            base_url=f"{self._url}/api",
            timeout=10.0,
            transport=PatientTransport(),
            trust_env=False,
            headers=authorization(self._key),
        )
        self._server = self._part(
            "Prefect's server", "flows.local.own_server", [str(options.port), "--pages"], self._answers
        )
        self._ray = self._part("Ray", "infra.ray.head", [port], lambda ray: ray.said("ready")) if own_ray else None
        self._runner = self._part("the runner", "flows.local.runner", [json.dumps(options.to_dict())], self._serves)
        place = [str(self._page_port), str(self._folder)]
        self._page = self._part("the live page", "flows.local.live_page", place, lambda page: page.said("ready"))
        self._page.needed = False
        self._services = ServiceWatch(self._server.log, self._client, tell)
        self._parts = [part for part in (self._server, self._ray, self._runner, self._page) if part is not None]

    def wait(self) -> Ready:
        """Start everything, and wait until it works.

        Raises:
            UpUnavailable: a part dies again and again, or never gets to work.
        """
        deadline = time.monotonic() + START_SECONDS
        while waiting := [part for part in self._parts if not (part.up or part.given_up)]:
            if time.monotonic() > deadline:
                raise UpUnavailable(
                    f"{waiting[0].name} did not come up within {START_SECONDS:.0f} s: its messages are at the end of "
                    f"'{waiting[0].log}'. Is the machine overloaded? Try again when it has calmed down"
                )
            self._tick()
            time.sleep(TICK_SECONDS)
        Whereabouts(f"{self._url}/api", str(self._server.log), self._key).write(self._folder)
        forms = {name: f"{self._url}/deployments/deployment/{self._deployment(name)['id']}/run" for name in NAMES}
        live = link_of(self._page_port, self._folder)
        return Ready(
            self._url,
            sign_in_link(self._url, self._key),
            None if self._key is None else str(self._folder / KEY_FILE),
            live,
            f"{self._url}/api",
            self._ray_address,
            forms,
            str(self._folder),
        )

    def watch(self) -> NoReturn:
        """Keep everything up until an exception, such as Ctrl-C's, ends it.

        Raises:
            UpUnavailable: a part dies again and again.
        """
        while True:
            self._tick()
            time.sleep(TICK_SECONDS)

    def stop(self) -> list[str]:
        """End everything; returns the names of the runs that were under way, which go on when `up` serves again."""
        self._runner.kill()
        interrupted: list[str] = []
        if self._server.up:
            with suppress(httpx.HTTPError):  # then the next runner does it
                interrupted = [run.name for run in end_interrupted(self._client, NAMES, "`nightreel up` was stopped")]
        if self._server.child is not None:
            self._server.child.terminate()
        self._page.kill()
        if self._ray is not None:
            self._ray.kill()
        self._server.kill(STOP_SECONDS)
        self._client.close()
        Whereabouts.remove(self._folder)
        self._lock.release()
        return interrupted

    def _part(self, name: str, module: str, arguments: list[str], healthy: Callable[[ChildProcess], bool]) -> Part:
        log = self._folder / f"{module.rpartition('.')[2]}.log"
        if log.exists() and log.stat().st_size > LOG_BYTES:
            log.unlink()

        def start() -> ChildProcess:
            return ChildProcess(module, arguments, environment=self._environment, log=log)

        return Part(name, log, start, healthy, RestartPolicy(), self._tell)

    def _tick(self) -> None:
        now = time.monotonic()
        for part in self._parts:
            if part.tick(now) and part is self._ray:
                self._tell("runs under way go on once Ray is up again")
                self._runner.kill()
        if self._server.up:
            self._services.tick(now)

    def _answers(self, server: ChildProcess) -> bool:
        if not server.said(SERVING):  # whoever else answers there is not shown the key
            return False
        with suppress(httpx.HTTPError):
            return self._client.get("/health", timeout=2.0).status_code == 200
        return False

    def _serves(self, runner: ChildProcess) -> bool:
        if not self._server.up or (self._ray is not None and not self._ray.up):
            return False
        runner.tell("go")  # again and again, as it hears it once
        with suppress(httpx.HTTPError):
            return runner.said("serving") and all(self._deployment(name)["status"] == "READY" for name in NAMES)
        return False

    def _deployment(self, name: str) -> dict[str, Any]:
        answer: dict[str, Any] = self._client.get(f"/deployments/name/{name}/{name}").raise_for_status().json()
        return answer
