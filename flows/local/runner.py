"""The runner of `nightreel up`, `python -m flows.local.runner OPTIONS`: it serves the deployments.

Every flow run is a process of its own in this process' group, so all of them end with it.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from importlib import import_module

from flows.local.options import UpOptions
from flows.orchestration.deployments import DEPLOYMENTS, NAMES, NIGHTLY
from flows.orchestration.interrupted import end_interrupted
from flows.orchestration.patience import PatientTransport
from infra.child_process import Parent
from infra.masked_logs import mask_logs
from infra.own_prefect import authorization
from infra.settings import load_settings

__all__ = ["serve"]

POLL_SECONDS = 2.0


def serve(options: UpOptions, parent: Parent) -> None:
    """Serve the deployments once the parent says "go", which is when server and cluster are up; say "serving" then."""
    import_module("prefect.runner.runner")  # seconds, while server and cluster come up
    for deployment in DEPLOYMENTS:
        import_module(deployment.entrypoint.rpartition(".")[0])
    mask_logs()
    parent.wait_for("go")
    asyncio.run(_serve(options, parent))


async def _serve(options: UpOptions, parent: Parent) -> None:
    import httpx
    from prefect.runner.runner import Runner
    from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL

    from flows.orchestration.automations import install
    from flows.orchestration.cancelled import tell_by_runner
    from flows.orchestration.registration import served

    settings = load_settings()
    await install(settings)
    # Whoever served before is dead, and its flow runs' processes with it.
    shown = authorization(PREFECT_API_AUTH_STRING.value())
    with httpx.Client(
        base_url=PREFECT_API_URL.value(), timeout=60.0, transport=PatientTransport(), trust_env=False, headers=shown
    ) as client:
        for run in end_interrupted(client, NAMES, "the runner ended", settings.crash_restarts):
            print(f"run '{run.name}' was interrupted: scheduled again", flush=True)
    tell_by_runner()
    runner = Runner("nightreel", limit=options.limit, query_seconds=POLL_SECONDS, pause_on_shutdown=False)
    for deployment in DEPLOYMENTS:
        night = options.nightly if deployment.name == NIGHTLY else None
        await runner.aadd_deployment(await served(deployment, night))
    parent.tell("serving")
    await runner.start()


if __name__ == "__main__":
    above = Parent()
    # Prefect's own handler would cancel the runs; ours end with the group and go on when a runner serves again.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    serve(UpOptions.from_dict(json.loads(sys.argv[1])), above)
    os._exit(1)  # a runner that stops serving by itself is broken
