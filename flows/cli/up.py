"""`nightreel up`: server, UI, Ray and the deployments on this machine."""

from __future__ import annotations

import json as json_text
import signal
import sys
from dataclasses import asdict
from typing import Annotated
from zoneinfo import available_timezones

from cyclopts import Parameter
from cyclopts.validators import Number

from flows.cli.errors import DONE
from flows.cli.output import fit
from flows.local.options import UpOptions
from flows.local.supervisor import Ready, Up
from flows.orchestration.deployments import NightlyOptions
from flows.orchestration.forms.addresses import refuse_secrets
from infra.environment import prefect_api_url, prepare_prefect
from infra.settings import load_settings
from renderers.errors import BadInput

__all__ = ["up"]

_NIGHT = NightlyOptions()


def up(
    *,
    port: Annotated[int, Parameter(validator=Number(gte=1, lte=65_535), help="port of the server and its UI")] = 4200,
    nightly: Annotated[
        str | None,
        Parameter(help="manifest of the night, such as s3://bucket/manifests/{date}.parquet: switches `nightly` on"),
    ] = None,
    output: Annotated[
        str | None, Parameter(name=["--output", "-o"], help="where the night goes, such as s3://bucket/nights/{date}")
    ] = None,
    cron: Annotated[str | None, Parameter(help=f"when the night begins (default: {_NIGHT.cron})")] = None,
    time_zone: Annotated[str | None, Parameter(help=f"of that time (default: {_NIGHT.time_zone})")] = None,
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
    options = UpOptions(port, limit, _night(nightly, output, cron, time_zone))
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


def _night(manifest: str | None, output: str | None, cron: str | None, time_zone: str | None) -> NightlyOptions | None:
    """What the options say of the night. Raises BadInput."""
    if manifest is None:
        for name, value in (("--output", output), ("--cron", cron), ("--time-zone", time_zone)):
            if value is not None:
                raise BadInput(f"{name} '{value}' says something of `nightly`: give its manifest too, with --nightly")
        return None
    if output is None:
        raise BadInput(f"--nightly '{manifest}' needs --output, such as --output 's3://bucket/nights/{{date}}'")
    refuse_secrets(nightly=manifest, output=output)
    if cron is not None:
        _check_cron(cron)
    if time_zone is not None and time_zone not in available_timezones():
        raise BadInput(f"--time-zone '{time_zone}': no time zone has that name; write one such as Europe/Berlin")
    return NightlyOptions(manifest, output, cron or _NIGHT.cron, time_zone or _NIGHT.time_zone)


def _check_cron(cron: str) -> None:
    remedy = f"write minute, hour, day, month and weekday, such as '{_NIGHT.cron}'"
    if len(cron.split()) != 5:
        raise BadInput(f"--cron '{cron}': {remedy}")
    prepare_prefect(quiet=False)
    from flows.orchestration.schedules import is_cron  # Prefect, seconds: only for who gives a time of his own

    if not is_cron(cron):
        raise BadInput(f"--cron '{cron}' names no times: {remedy}")


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
