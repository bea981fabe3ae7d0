"""The numbers for Prometheus: their names, what labels may say, and that they cost nothing where nobody listens."""

from __future__ import annotations

import re
from typing import get_args

import pytest

from infra import metrics
from infra.metrics import METRICS, Counter, Gauge, Histogram, Metric
from infra.storage.errors import ObjectMissing, StorageError
from infra.workers.pool import Standing
from manifests.errors import ErrorKind
from tests.helpers.numbers import recording

UNITS = ("_seconds", "_bytes")


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_names_are_those_that_prometheus_advises(metric: Metric) -> None:
    """https://prometheus.io/docs/practices/naming/: a prefix, base units, `_total` for what only grows."""
    assert re.fullmatch(r"nightreel(_[a-z]+)+", metric.name)
    assert metric.name.endswith("_total") == isinstance(metric, Counter)
    if isinstance(metric, Histogram):
        assert metric.name.endswith(UNITS)
        assert list(metric.buckets) == sorted(set(metric.buckets))
    assert type(metric) in (Counter, Gauge, Histogram)
    assert metric.help[0].islower()
    assert not metric.help.endswith(".")


def test_each_is_listed_once() -> None:
    made = [it for it in vars(metrics).values() if isinstance(it, Metric)]
    assert sorted(it.name for it in made) == sorted(it.name for it in METRICS)
    assert len({it.name for it in METRICS}) == len(METRICS)


def test_labels_say_what_is_listed_and_nothing_else() -> None:
    with recording() as numbers:
        metrics.count(metrics.RETRIES, kind=ErrorKind.STORAGE)
        metrics.count(metrics.RETRIES, kind="s3://key:secret@bucket/reef")
    assert numbers.at(metrics.RETRIES, kind="storage") == 1
    assert numbers.at(metrics.RETRIES, kind="other") == 1
    with recording(), pytest.raises(KeyError):
        metrics.count(metrics.RETRIES)


def test_lists_are_those_of_what_is_counted() -> None:
    def below(kind: type[StorageError]) -> set[str]:
        return {kind.__name__}.union(*map(below, kind.__subclasses__()))

    ours = {it for it in below(StorageError) if hasattr(__import__("infra.storage.errors", fromlist=[""]), it)}
    assert metrics.STORAGE_ERRORS.labels["error"] == ours - {ObjectMissing.__name__}
    assert metrics.WORKERS.labels["state"] == {*get_args(Standing), "quarantined"}
    for metric in (metrics.RETRIES, metrics.FRAMES_FAILED):
        assert metric.labels["kind"] == {kind.value for kind in ErrorKind}


def test_where_nobody_listens_nothing_is_done() -> None:
    assert not metrics.recorded()
    metrics.count(metrics.RETRIES)  # not even its label is missed
    metrics.observe(metrics.STEP_SECONDS, 1)
    metrics.report(metrics.VIDEOS_LEFT, 1)


def test_a_counter_takes_no_nothing() -> None:
    with recording() as numbers:
        metrics.count(metrics.GPU_BUSY, 0.0)
    assert numbers.all == []
