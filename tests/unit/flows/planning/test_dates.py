"""Which night, and its manifest and output."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from flows.planning.dates import filled, night_of
from renderers.errors import BadInput

LATE = datetime(2026, 11, 22, 23, 30, tzinfo=UTC)
NIGHT = date(2026, 3, 9)


@pytest.mark.parametrize(
    ("chosen", "scheduled", "zone", "night"),
    [
        (None, LATE, "UTC", date(2026, 11, 22)),
        ("", LATE, "UTC", date(2026, 11, 22)),  # the form's empty field
        (None, LATE, "Europe/Berlin", date(2026, 11, 23)),
        (None, LATE, "America/New_York", date(2026, 11, 22)),
        (None, datetime(2026, 11, 23, 3, tzinfo=UTC), "America/New_York", date(2026, 11, 22)),
        (None, datetime(2026, 7, 1, 22, 0, tzinfo=UTC), "Europe/Berlin", date(2026, 7, 2)),  # summer time
        (None, datetime(2026, 12, 1, 22, 59, tzinfo=UTC), "Europe/Berlin", date(2026, 12, 1)),  # winter time
        ("2026-01-05", LATE, "Asia/Tokyo", date(2026, 1, 5)),
    ],
)
def test_the_night_is_the_scheduled_day_where_the_user_is(chosen, scheduled, zone, night):
    assert night_of(chosen, scheduled, zone) == night


@pytest.mark.parametrize(
    ("chosen", "zone", "message"),
    [
        ("2026-02-30", "UTC", "date '2026-02-30' is no day: write it as 2026-11-23"),
        ("tomorrow", "UTC", "date 'tomorrow' is no day"),
        (None, "Europe/Berlinn", "did you mean 'Europe/Berlin'"),
        ("2026-01-05", "Mars/Olympus", "time zone 'Mars/Olympus' is not known"),
        (None, "Europe", "time zone 'Europe' is not known"),
        (None, "../../etc/passwd", "is not known"),
        (None, "", "time zone '' is not known"),
    ],
)
def test_a_wrong_night_is_refused_with_a_sentence(chosen, zone, message):
    with pytest.raises(BadInput, match=message):
        night_of(chosen, LATE, zone)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("s3://b/{date}.parquet", "s3://b/2026-03-09.parquet"),
        ("s3://b/{date:%Y/%m/%d}/x", "s3://b/2026/03/09/x"),
        ("{date}/{date:%d}", "2026-03-09/09"),
        ("s3://b/all.parquet", "s3://b/all.parquet"),
        ("b/{{date}}-{date}", "b/{date}-2026-03-09"),
    ],
)
def test_patterns(pattern, text):
    assert filled(pattern, NIGHT, "manifest") == text


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("b/{dat}.parquet", r"manifest 'b/\{dat\}.parquet': unknown placeholder \{dat\}; allowed is \{date\}"),
        ("b/{}", r"unknown placeholder \{\}"),
        ("b/{0}", r"unknown placeholder \{0\}"),
        ("b/{date.__class__}", r"unknown placeholder \{date.__class__\}"),
        ("b/{date[0]}", "unknown placeholder"),
        ("b/{date!r}", r"unknown placeholder \{date!r\}"),
        ("b/{date:{x}}", "unknown placeholder"),
        ("b/{date:yyyy}", "'yyyy' names no part of a date"),
        ("b/{date", "a brace itself is written twice"),
        ("b/date}", "a brace itself is written twice"),
    ],
)
def test_a_wrong_pattern_is_refused_with_what_is_allowed(pattern, message):
    with pytest.raises(BadInput, match=message):
        filled(pattern, NIGHT, "manifest")


@pytest.mark.parametrize(
    "pattern",
    ["{date:%Q}", "{date:%n}", "{date:x%}", "{date:%Y%%}", "{date:" + "%Y" * 3000 + "}", "x" * 5000, "a\nb",
     "\udcff{date}", "", " "],
    ids=lambda it: ascii(it[:20]),
)  # fmt: skip
def test_what_comes_to_no_address_is_refused(pattern: str) -> None:
    with pytest.raises(BadInput, match=r"names no part of a date|is no address"):
        filled(pattern, date(2026, 11, 23), "manifest")
