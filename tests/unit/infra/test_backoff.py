"""The one formula of waits, as numbers and as tenacity uses it."""

import itertools

import pytest
from tenacity import Retrying, stop_after_attempt

from infra.backoff import Backoff


def test_waits_double_up_to_the_longest() -> None:
    backoff = Backoff(first=0.5, longest=10)
    assert [backoff.seconds(failed) for failed in range(1, 8)] == [0.5, 1, 2, 4, 8, 10, 10]
    assert backoff.seconds(100_000) == 10


def test_half_of_a_wait_is_chance() -> None:
    backoff = Backoff(first=1, longest=100)
    assert [backoff.seconds(3, chance) for chance in (0, 0.5, 1)] == [2, 3, 4]


def test_tenacity_waits_by_it() -> None:
    waits: list[float] = []
    counter = itertools.count(1)

    def fail() -> None:
        next(counter)
        raise OSError

    again = Retrying(stop=stop_after_attempt(4), wait=Backoff(first=1, longest=3), sleep=waits.append, reraise=True)
    with pytest.raises(OSError):
        again(fail)
    assert next(counter) == 5
    for wait, whole in zip(waits, (1, 2, 3), strict=True):
        assert whole / 2 <= wait <= whole
