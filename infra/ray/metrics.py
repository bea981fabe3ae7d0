"""The numbers of infra/metrics.py as Ray's own metrics, which the agent of each node exports for Prometheus.

Ray's processes send them to their node's agent every ten seconds (RAY_metrics_report_interval_ms), and the agent serves
them at `/metrics` of the node's metrics port (`ray start --metrics-export-port`), on loopback only where the node's own
address is one of it. A Ray that nightreel starts itself, for a command or for `nightreel up`, has no such port, since
it would ask nobody for a token: whoever wants numbers has a cluster.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from infra.environment import ray_environment
from infra.metrics import METRICS, Counter, Histogram, Metric

ray_environment()  # before the import: Ray reads them while it is imported

from ray.util import metrics as ray_metrics  # noqa: E402

__all__ = ["RayRecorder"]

logger = logging.getLogger(__name__)


class RayRecorder:
    """Hands numbers to Ray; the process must be one of a cluster's."""

    def __init__(self) -> None:
        self._made = {metric.name: _made(metric) for metric in METRICS}
        self._failed = False

    def record(self, metric: Metric, value: float, labels: Mapping[str, str]) -> None:
        """See `Recorder.record`."""
        try:
            self._made[metric.name]._record(value, dict(labels))
        except Exception:  # a number that is lost must not cost a frame
            if not self._failed:
                logger.warning("numbers for Prometheus can't be handed to Ray", exc_info=True)
            self._failed = True


def _made(metric: Metric) -> Any:
    labels = tuple(metric.labels)
    if isinstance(metric, Histogram):
        return ray_metrics.Histogram(metric.name, metric.help, list(metric.buckets), labels)
    if isinstance(metric, Counter):
        return ray_metrics.Counter(metric.name.removesuffix("_total"), metric.help, labels)  # exported with it
    return ray_metrics.Gauge(metric.name, metric.help, labels)
