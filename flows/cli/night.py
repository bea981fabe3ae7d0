"""What the options of `up` and `deploy` say of the night."""

from __future__ import annotations

from datetime import date
from zoneinfo import available_timezones

from flows.orchestration.deployments import NightlyOptions
from flows.orchestration.forms.addresses import refuse_secrets
from flows.planning.dates import filled
from infra.environment import prepare_prefect
from renderers.errors import BadInput

__all__ = ["night_of_options"]

_NIGHT = NightlyOptions()
#: Characters: of many ranges Prefect's reader makes all times first, for minutes.
LONGEST_CRON = 200


def night_of_options(
    manifest: str | None, output: str | None, cron: str | None, time_zone: str | None
) -> NightlyOptions | None:
    """Return what the options say of the night, None if nothing.

    Raises:
        BadInput: they say half of it, or something that can't be.
    """
    if manifest is None:
        for name, value in (("--output", output), ("--cron", cron), ("--time-zone", time_zone)):
            if value is not None:
                raise BadInput(f"{name} '{value}' says something of `nightly`: give its manifest too, with --nightly")
        return None
    if output is None:
        raise BadInput(f"--nightly '{manifest}' needs --output, such as --output 's3://bucket/nights/{{date}}'")
    refuse_secrets(nightly=manifest, output=output)
    for what, pattern in (("--nightly", manifest), ("--output", output)):
        filled(pattern, date.today(), what)  # a mistake shows now, and not in the night
    if cron is not None:
        _check_cron(cron)
    if time_zone is not None and time_zone not in available_timezones():
        raise BadInput(f"--time-zone '{time_zone}': no time zone has that name; write one such as Europe/Berlin")
    return NightlyOptions(manifest, output, cron or _NIGHT.cron, time_zone or _NIGHT.time_zone)


def _check_cron(cron: str) -> None:
    remedy = f"write minute, hour, day, month and weekday, such as '{_NIGHT.cron}'"
    if len(cron.split()) != 5 or len(cron) > LONGEST_CRON:
        raise BadInput(f"--cron '{cron}': {remedy}")
    prepare_prefect(quiet=False)
    from flows.orchestration.schedules import is_cron  # Prefect, seconds: only for who gives a time of his own

    if not is_cron(cron):
        raise BadInput(f"--cron '{cron}' names no times: {remedy}")
