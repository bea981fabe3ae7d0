"""Numbers, times and foreign text as people read them; used by the page and by the Markdown summary alike."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from manifests.problems import LISTED

_SURROGATE = re.compile("[\ud800-\udfff]")
# Line feed and tab stay; other control characters are made visible, and the characters that reorder text (Unicode
# UAX 9) are, too: a prompt that contains one must not rearrange the sentence it is quoted in.
REORDERING = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_UNSEEN = re.compile(f"[\x00-\x08\x0b-\x1f\x7f-\x9f{REORDERING}]")

# Not strftime("%b"): month names must not depend on the machine's locale.
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def clean(text: object, limit: int = 20_000) -> str:
    """`text` without characters that can't be shown or encoded, and cut to `limit` characters."""
    return shorten(visible(str(text)), limit)


def is_web(address: str) -> bool:
    """Return whether a page may lead to an address: a document may hold anything, and only those of the web do nothing
    but open."""
    return address.startswith(("http://", "https://"))


def visible(text: str) -> str:
    """`text` with a sign in the place of each character that can't be shown or encoded, that commands a terminal, or
    that changes the order of others."""
    shown = _SURROGATE.sub("\ufffd", text).replace("\r\n", "\n")
    return _UNSEEN.sub(_visible, shown)


def _visible(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code < 0x20:
        return chr(0x2400 + code)  # Unicode's control pictures: NUL is shown as ␀
    return "␡" if code == 0x7F else "\ufffd"


def shorten(text: str, limit: int) -> str:
    """`text` cut to `limit` characters, the last one an ellipsis if anything was cut."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def one_line(text: object, limit: int = 500) -> str:
    """`text` cleaned, with every run of white space made one space."""
    return shorten(" ".join(clean(text).split()), limit)


def first_of(lines: Iterable[str], most: int = LISTED) -> Iterator[str]:
    """The first `most` of `lines`, and a line that says how many more there were."""
    more = 0
    for number, line in enumerate(lines):
        if number < most:
            yield line
        else:
            more += 1
    if more:
        yield f"and {more:,} more like these"


#: How a run has ended that goes on once it is resumed.
SUSPENDED = "suspended"

#: How a run ended, by the name of its state: people never see the names.
_ENDINGS = {
    "Completed": "completed",
    "Incomplete": "frames missing",
    "FramesMissing": "frames missing",
    "VideosMissing": "videos missing",
    "RowsInvalid": "bad rows left out",
    "TooManyFailures": "gave up",
    "ClusterLost": "cluster lost",
    "Suspended": SUSPENDED,
    "Pause": SUSPENDED,  # of 0.2
    "Cancelled": "cancelled",
    "Stopped": "stopped",
    "TerminationSignal": "stopped",  # of 0.2
    "KeyboardInterrupt": "stopped",  # of 0.2
    "GivenAway": "gone on elsewhere",
}


def ending_text(result: str) -> str:
    """How a run ended, from the name of its last state: `frames missing` from FramesMissing; an error's as it is."""
    return _ENDINGS.get(result) or one_line(result, 60)


def seconds_text(seconds: float) -> str:
    """`0.42 s`, `12 s`, `3 min 20 s`, `2 h 05 min`, `1 d 4 h`; a dash for NaN and negative times."""
    if not math.isfinite(seconds) or seconds < 0:
        return "–"
    if seconds < 9.95:
        return f"{seconds:.2g} s" if seconds else "0 s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    minutes = round(seconds / 60)
    if minutes < 48 * 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    hours = round(seconds / 3600)
    return f"{hours // 24} d {hours % 24} h"


def hours_text(hours: float) -> str:
    """`0.04`, `1.9`, `312`: two significant digits below a hundred."""
    return f"{hours:,.0f}" if hours >= 100 else f"{hours:.2g}"


def percent_text(share: float) -> str:
    """`4.2 %` from 0.042."""
    return f"{share * 100:.0f} %" if share >= 0.0995 else f"{share * 100:.1f} %"


def moment_text(moment: str | datetime) -> str:
    """`22 Nov 2026, 14:03:09 UTC` from a datetime or an ISO 8601 string; any other string as it is."""
    if isinstance(moment, str):
        try:
            moment = datetime.fromisoformat(moment)
        except ValueError:
            return one_line(moment, 80)
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC)
    zone = " UTC" if moment.tzinfo is not None else ""
    return f"{moment.day} {_MONTHS[moment.month - 1]} {moment.year}, {moment:%H:%M:%S}{zone}"


def iso_text(moment: str | datetime) -> str:
    """A moment for programs: ISO 8601, in UTC."""
    if isinstance(moment, str):
        return one_line(moment, 80)
    return (moment.astimezone(UTC) if moment.tzinfo is not None else moment).isoformat(timespec="seconds")


def value_text(value: object, limit: int = 400) -> str:
    """A setting's value: numbers short, nothing as a dash, lists and maps as JSON."""
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}".replace("inf", "∞")
    if isinstance(value, Mapping | list | tuple):
        return one_line(json.dumps(value, ensure_ascii=False, default=str), limit)
    return one_line(value, limit)


def setting_groups(settings: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Settings as tables: [(caption, [(name, value), ...]), ...], plain ones first, then one table per nested group."""
    plain = [(label(name), value_text(value)) for name, value in settings.items() if not isinstance(value, Mapping)]
    groups = [("general", plain)] if plain else []
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            groups.append((label(name), [(label(key), value_text(inner)) for key, inner in value.items()]))
    return groups


def label(name: str) -> str:
    """`steps_first` as `steps first`."""
    return one_line(str(name).replace("_", " "), 80)
