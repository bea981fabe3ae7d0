"""`nightreel up`: server, UI, Ray and the deployments on this machine."""

from __future__ import annotations

import json as json_text
import signal
import sys
from dataclasses import asdict
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from flows.cli.errors import DONE
from flows.cli.night import night_of_options
from flows.cli.options import NightCron, NightManifest, NightOutput, NightZone
from flows.cli.output import fit
from flows.local.options import UpOptions
from flows.local.supervisor import Ready, Up
from infra.environment import prefect_api_url, prepare_prefect
from infra.settings import load_settings

__all__ = ["up"]


def up(
    *,
    port: Annotated[int, Parameter(validator=Number(gte=1, lte=65_535), help="port of the server and its UI")] = 4200,
    nightly: NightManifest = None,
    output: NightOutput = None,
    cron: NightCron = None,
    time_zone: NightZone = None,
    limit: Annotated[
        int | None, Parameter(validator=Number(gte=1), help="flow runs at once; unset: any number")
    ] = None,
    json: Annotated[bool, Parameter(negative="", help="one line of JSON on stdout once everything is up")] = False,
) -> int:
    """Start Prefect's server with its UI, Ray and the deployments on this machine, and stay until Ctrl-C.

    Example: nightreel up --nightly 's3://bucket/manifests/{date}.parquet' --output 's3://bucket/nights/{date}'

    All of it listens on loopback only and asks who comes: open the UI by the link that is printed. What dies is
    started again; runs that were under way go on. Runs that Ctrl-C interrupts go on when `nightreel up` is started the
    next time.
    """
    options = UpOptions(port, limit, night_of_options(nightly, output, cron, time_zone))
    settings = load_settings()
    other = prefect_api_url()
    if other and other.rstrip("/") != f"http://127.0.0.1:{port}/api":
        _tell(f"PREFECT_API_URL={other} is not used: `up` has a server of its own")
    prepare_prefect(quiet=False)  # the children inherit what it sets
    everything = Up(options, settings, _tell)
    try:
        _tell("starting Prefect's server" + (" and Ray" if settings.ray_address is None else ""))
        ready = everything.wait()
        _show(ready, json)
        everything.watch()
    except KeyboardInterrupt:
        return DONE
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):  # a second Ctrl-C must not leave half of it behind
            signal.signal(number, signal.SIG_IGN)
        _tell("stopping")
        interrupted = everything.stop()
        for run in interrupted:
            _tell(f"run '{run}' was interrupted; it goes on when `nightreel up` is started again")


def _tell(line: str) -> None:
    print(f"nightreel up: {fit(line)}", file=sys.stderr, flush=True)


def _show(ready: Ready, json: bool) -> None:
    if json:
        print(json_text.dumps(asdict(ready)), flush=True)
        return
    places = {"UI": ready.sign_in, "live page": ready.live, **ready.forms, "Ray": ready.ray, "logs": ready.logs}
    if ready.key_file is not None:
        places["key"] = ready.key_file
    width = max(map(len, places)) + 2
    lines = [f"{name:<{width}}{place}" for name, place in places.items()]
    signs_in = (
        [] if ready.key_file is None else ["The link of the UI signs your browser in; the key is what it asks for"]
    )
    print("\n".join([*lines, *signs_in, "Ctrl-C stops everything"]), flush=True)
