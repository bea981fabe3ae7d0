"""Which night a run is for, and what it reads and writes: patterns such as `s3://bucket/manifests/{date}.parquet`."""

from __future__ import annotations

import difflib
import string
from datetime import date, datetime
from zoneinfo import ZoneInfo, available_timezones

from renderers.errors import BadInput

__all__ = ["filled", "night_of"]

_LONGEST = 4096  # characters of an address, as paths have at most
_ALLOWED = "{date} (2026-11-23), or parts of it as strftime names them: {date:%Y/%m/%d}"


def night_of(chosen: str | None, scheduled: datetime, time_zone: str) -> date:
    """The date `chosen` (ISO), or else the day that it was in `time_zone` at the `scheduled` moment (with a zone of its
    own): a run that starts late, or is retried a day later, is still for the night that it was planned for.

    Raises:
        BadInput: no such date, no such zone.
    """
    zone = _zone(time_zone)
    if not chosen:
        return scheduled.astimezone(zone).date()
    try:
        return date.fromisoformat(chosen)
    except ValueError as error:
        raise BadInput(f"date '{chosen}' is no day: write it as 2026-11-23, or leave it empty for today") from error


def filled(pattern: str, night: date, what: str) -> str:
    """`pattern` with the night's date in place of `{date}`; `what` names it in errors.

    Raises:
        BadInput: another placeholder, or a brace that belongs to none.
    """
    try:
        parts = list(string.Formatter().parse(pattern))
    except ValueError as error:
        raise BadInput(
            f"{what} '{pattern}': {error}; allowed is {_ALLOWED}; a brace itself is written twice"
        ) from error
    text = ""
    for literal, name, how, conversion in parts:
        text += literal
        if name is None:
            continue
        if name != "date" or conversion or "{" in (how or ""):
            shown = f"{{{name}{'!' + conversion if conversion else ''}{':' + how if how else ''}}}"
            raise BadInput(f"{what} '{pattern}': unknown placeholder {shown}; allowed is {_ALLOWED}")
        if how and "%" not in how:  # strftime would put the text itself in the date's place
            raise BadInput(f"{what} '{pattern}': '{how}' names no part of a date; allowed is {_ALLOWED}")
        named = format(night, how or "")
        if "%" in named or not named.isprintable():  # `%Q`, which is nothing, `%n`, which is a line's end
            raise BadInput(f"{what} '{pattern}': '{how}' names no part of a date; allowed is {_ALLOWED}")
        text += named
    if not text.strip() or len(text) > _LONGEST or not text.isprintable():
        raise BadInput(f"{what} '{pattern}' is no address: give up to {_LONGEST:,} characters without control signs")
    return text


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:  # OSError: a folder of the database, such as 'Europe'
        near = difflib.get_close_matches(name, available_timezones(), n=1, cutoff=0.6)
        guess = f"; did you mean '{near[0]}'?" if near else ""
        raise BadInput(f"time zone '{name}' is not known: write it as UTC or Europe/Berlin{guess}") from error
