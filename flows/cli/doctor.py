"""`nightreel doctor`: what is wrong here, in storage, on the server and on the cluster, and what to do about it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number
from rich.text import Text

from flows.cli.output import fit, out, print_json
from flows.doctor.cluster import check_cluster
from flows.doctor.findings import Finding, examine, exit_code, repair_all
from flows.doctor.installation import check_installation
from flows.doctor.privacy import check_privacy
from flows.doctor.storage import check_storage
from infra.environment import prefect_api_url, prefect_home, prepare_prefect, up_folder, use_prefect_server
from infra.own_prefect import whereabouts
from infra.settings import InfraSettings, SettingsInvalid, load_settings
from manifests.schema.texts import plural

__all__ = ["doctor"]

_TITLES = {"installation": "This installation", "storage": "Storage", "server": "Prefect", "cluster": "Ray"}
_COLOURS = {"ok": "green", "warning": "yellow", "problem": "red"}


def doctor(
    *,
    output: Annotated[
        str | None, Parameter(name=["--output", "-o"], help="an output root to look at too; a path or a URI")
    ] = None,
    deep: Annotated[bool, Parameter(negative="", help="read every frame of that output and check it")] = False,
    repair: Annotated[
        bool,
        Parameter(name=["--repair", "--mend"], negative="", help="repair what can be repaired, and say what was done"),
    ] = False,
    stale_minutes: Annotated[
        float,
        Parameter(
            validator=Number(gt=0, lte=525_600), help="minutes without a sign of life after which a run counts as dead"
        ),
    ] = 10.0,
    json: Annotated[bool, Parameter(negative="", help="the findings as JSON on stdout")] = False,
) -> int:
    """Check this installation, and the storage, server and cluster that it uses. Example: nightreel doctor --repair

    The server is the one that PREFECT_API_URL names, or that of a `nightreel up` of yours on this machine, whose log is
    looked at too; the cluster is the one of NIGHTREEL_RAY_ADDRESS. Each of its nodes is asked for versions, models,
    clock and room, and, with --output, whether it can use that. What is not there is not looked at. Without --repair
    nothing is changed. (--mend is its earlier name.)

    Exit codes: 0 all is well, 1 there were problems, and all of them are repaired, or can be by --repair, 3 something
    can't be used until you have done what is said beside it.
    """
    settings = load_settings()
    findings: list[Finding] = []
    for finding in _findings(settings, output, deep, timedelta(minutes=stale_minutes)):
        findings += repair_all([finding]) if repair else [finding]
    if json:
        print_json({"findings": [finding.to_dict() for finding in findings], "exit_code": exit_code(findings)})
    else:
        _show(findings, repair)
    return exit_code(findings)


def _findings(settings: InfraSettings, output: str | None, deep: bool, stale_after: timedelta) -> Iterator[Finding]:
    yield from examine("installation", partial(check_installation, settings))
    yield from examine("installation", partial(check_privacy, prefect_home()))
    if output is not None:
        yield from examine("storage", partial(check_storage, output, deep=deep))
    up = whereabouts(up_folder())
    try:
        url = prefect_api_url() or (up.api if up else None)
    except SettingsInvalid as error:
        url = None
        yield Finding("server", "problem", str(error), "correct it, or unset it")
        named = True
    else:
        named = url is not None
    if url:
        use_prefect_server(url)
        log = Path(up.log) if up and up.api == url else None

        def check() -> Iterator[Finding]:
            prepare_prefect(quiet=True)
            from flows.doctor.server import check_server  # Prefect takes seconds to import

            return check_server(url, settings, stale_after=stale_after, log=log)

        yield from examine("server", check)
    elif not named:
        yield Finding(
            "server",
            "ok",
            "PREFECT_API_URL is not set, and no `nightreel up` of yours runs: commands start a server of their own",
        )
    if settings.ray_address:
        yield from examine("cluster", partial(check_cluster, settings, output))
    else:
        yield Finding("cluster", "ok", "NIGHTREEL_RAY_ADDRESS is not set: commands start Ray on this machine")


def _show(findings: list[Finding], repaired: bool) -> None:
    for area, found in groupby(findings, key=lambda finding: finding.area):
        out.print(Text(_TITLES[area], style="bold"))
        for it in found:
            level = (f"{it.level:<8}", _COLOURS[it.level])
            out.print(Text.assemble("  ", level, f" {fit(it.what)}"), soft_wrap=True)
            if it.level == "ok":
                continue
            text = it.repaired or (f"could not be repaired: {it.repair_error}" if it.repair_error else it.remedy)
            mark = "repaired:" if it.repaired else "->"
            hint = " (--repair does it)" if it.repair and not repaired else ""
            out.print(f"           {mark} {fit(text)}{hint}", soft_wrap=True)
    bad = [finding for finding in findings if finding.level == "problem" and not finding.repaired]
    if bad:
        sys.stdout.flush()
        can = sum(finding.repair is not None and not finding.repair_error for finding in bad)
        message = plural(len(bad), "problem")
        message += f"; {can} can be repaired: nightreel doctor --repair" if can else ""
        print(f"nightreel: {message}", file=sys.stderr)
