"""`nightreel deploy`: work pool, deployments and automations on a Prefect server, and a look at that server."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from flows.cli.errors import DONE, ENVIRONMENT
from flows.cli.night import night_of_options
from flows.cli.options import NightCron, NightManifest, NightOutput, NightZone
from flows.cli.output import fit, print_json, print_table, say
from flows.doctor.findings import Finding
from flows.orchestration.job_templates import POOL, PoolType, WorkPool, job_template
from infra.environment import given_for_runs, prefect_api_url, prepare_prefect
from infra.settings import SettingsInvalid, load_settings
from manifests.schema.texts import plural

if TYPE_CHECKING:  # Prefect takes seconds to import
    from flows.orchestration.deploying import Change

__all__ = ["deploy"]


def deploy(
    *,
    type: Annotated[
        PoolType, Parameter(help="what starts the runs: processes of a machine, containers, pods")
    ] = "process",
    pool: Annotated[str, Parameter(help="name of the work pool")] = POOL,
    image: Annotated[str | None, Parameter(help="of containers and pods; has nightreel installed")] = None,
    credentials: Annotated[
        str | None,
        Parameter(
            help="of storage: for docker a file in the form of ~/.aws/credentials on the machines of the workers, for "
            "kubernetes a Secret whose keys are variables (AWS_ACCESS_KEY_ID, ...); for process: the worker's own"
        ),
    ] = None,
    models: Annotated[
        str | None,
        Parameter(help="the models folder: for docker on the machines of the workers, for kubernetes a volume claim"),
    ] = None,
    namespace: Annotated[str | None, Parameter(help="of the pods, for kubernetes")] = None,
    service_account: Annotated[str | None, Parameter(help="of the pods, for kubernetes")] = None,
    secret: Annotated[
        tuple[str, ...],
        Parameter(
            negative="",
            help="a secret, by its name and by where it lies: for kubernetes a key of a Secret, such as "
            "RAY_AUTH_TOKEN=nightreel-ray/auth_token, for docker a file on the machines of the workers, such as "
            "RAY_AUTH_TOKEN=/etc/nightreel/secrets/ray_token; may be given again",
        ),
    ] = (),
    limit: Annotated[
        int | None, Parameter(validator=Number(gte=1), help="flow runs at once; unset: left as it is")
    ] = None,
    nightly: NightManifest = None,
    output: NightOutput = None,
    cron: NightCron = None,
    time_zone: NightZone = None,
    dry_run: Annotated[bool, Parameter(negative="", help="say what would be done, and do nothing")] = False,
    template: Annotated[
        bool, Parameter(negative="", help="print the pool's job template as JSON, and ask no server")
    ] = False,
    json: Annotated[bool, Parameter(negative="", help="what was done and found as JSON on stdout")] = False,
) -> int:
    """Put work pool, deployments and automations on the server of PREFECT_API_URL, and check that server.

    Example: nightreel deploy --type kubernetes --image registry.example/nightreel:0.3 --credentials nightreel-storage

    A second run changes nothing and says so. What people set in the UI stays: a form's values, schedules, limits,
    whether something is paused. The NIGHTREEL_ variables that are set here, and AWS_ENDPOINT_URL, AWS_REGION and
    RAY_AUTH_MODE, go to the runs; secrets never do. Afterwards: prefect worker start --pool nightreel.

    Exit codes: 0 done, 2 bad input, 3 the server can't be used as it is.
    """
    settings = load_settings()
    wanted = WorkPool(
        type, pool, image, credentials, models, namespace, service_account, secret, settings.heartbeat_seconds,
        given_for_runs(),
    )  # fmt: skip
    if template:
        print_json(job_template(wanted))
        return DONE
    night = night_of_options(nightly, output, cron, time_zone)
    url = prefect_api_url()
    if url is None:
        raise SettingsInvalid(
            "PREFECT_API_URL is not set: name the server, such as http://prefect.example:4200/api; on one machine "
            "`nightreel up` has a server and serves the deployments itself"
        )
    prepare_prefect(quiet=True)
    from flows.doctor.readiness import check_answers, check_services  # Prefect takes seconds to import
    from flows.orchestration.deploying import deploy as deploying
    from flows.orchestration.inspection import inspecting

    with inspecting() as server:
        findings = list(check_answers(server, url))
        changes: list[Change] = []
        if not _unusable(findings):
            changes = list(deploying(wanted, settings, night, limit=limit, dry_run=dry_run))
            there = changes[0].action != "created" or not dry_run
            findings += check_services(server, pool if there else None, write=not dry_run)
    if json:
        done = [{"what": it.what, "name": it.name, "action": it.action, "fields": list(it.fields)} for it in changes]
        print_json({"changes": done, "dry_run": dry_run, "findings": [finding.to_dict() for finding in findings]})
    else:
        _show(changes, findings, dry_run)
    return ENVIRONMENT if _unusable(findings) else DONE


def _unusable(findings: Sequence[Finding]) -> bool:
    return any(finding.level == "problem" for finding in findings)


def _show(changes: Sequence[Change], findings: Sequence[Finding], dry_run: bool) -> None:
    if changes:
        print_table(("", "name", "", ""), [(it.what, it.name, it.action, ", ".join(it.fields)) for it in changes])
        say(_summary(changes, dry_run))
    sys.stdout.flush()
    for line in _lines(findings):
        print(f"nightreel: {fit(line)}", file=sys.stderr)


def _summary(changes: Sequence[Change], dry_run: bool) -> str:
    counts = Counter(change.action for change in changes if change.action != "unchanged")
    if not counts:
        return "nothing to change: all of it is there as it should be"
    did = ", ".join(f"{number} {action}" for action, number in counts.items())
    return f"{plural(counts.total(), 'change')}: {did}" + (" (dry run: nothing was done)" if dry_run else "")


def _lines(findings: Sequence[Finding]) -> Iterator[str]:
    for finding in findings:
        if finding.level == "ok":
            yield finding.what
        else:
            yield f"{finding.level}: {finding.what}: {finding.remedy}"
