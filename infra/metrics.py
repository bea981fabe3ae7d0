"""The numbers that a farm is watched by: all of them, by name, and where the code says them.

Actors and drivers say what happens (`count`, `observe`, `report`); where it goes is decided once for a process, by
`record_with`. On a Ray cluster it goes to Ray's own metrics, which each node exports for Prometheus
(infra/ray/metrics.py). Anywhere else, and until then, it goes nowhere and costs a look at one variable.

Ray puts `ray_` before the names, and its own labels beside ours (node, session, worker, job); counters end in `_total`.
What a label may say is a closed list: no video, no address and no message ever comes into a label.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from manifests.errors import ErrorKind

__all__ = [
    "METRICS",
    "OTHER",
    "Counter",
    "Gauge",
    "Histogram",
    "Metric",
    "Recorder",
    "count",
    "observe",
    "record_with",
    "recorded",
    "report",
]

#: What a label says where its list has no word for it.
OTHER = "other"
_KINDS = frozenset(kind.value for kind in ErrorKind)
_STORAGE_ERRORS = frozenset(
    {"StorageError", "ObjectConflict", "SourceRefused", "StorageUnavailable", "PlaceForbidden", "StorageBusy",
     "AnswerCutOff", "AnswerLate"}
)  # fmt: skip
#: As flows/job/measuring.py counts them: those of `Standing`, and those that are quarantined.
_STATES = frozenset({"starting", "there", "leaving", "drained", "quarantined"})
_MOMENTS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
_MINUTES = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0, 120.0, 300.0, 900.0)


@dataclass(frozen=True)
class Metric:
    """One number. `labels` maps each label to all that it may say."""

    name: str
    help: str
    labels: Mapping[str, frozenset[str]] = field(default_factory=dict, hash=False)

    @property
    def exported(self) -> str:
        """The name under which Prometheus finds it (of a histogram, with `_bucket`, `_count` and `_sum` after it)."""
        return f"ray_{self.name}"

    def bounded(self, labels: Mapping[str, str]) -> dict[str, str]:
        """Return `labels` with nothing in them that is not listed. Raises KeyError for a label that there isn't."""
        return {name: labels[name] if labels[name] in allowed else OTHER for name, allowed in self.labels.items()}


class Counter(Metric):
    """What only grows, while its process lives."""


class Gauge(Metric):
    """What goes up and down."""


@dataclass(frozen=True)
class Histogram(Metric):
    """Durations, by how many took how long; `buckets` are their bounds."""

    buckets: tuple[float, ...] = _MOMENTS


_KIND = {"kind": _KINDS}

# -- said by drivers: each run has one

FRAMES_COMMITTED = Counter("nightreel_frames_committed_total", "frames that a run has rendered and put into storage")
FRAMES_FAILED = Counter("nightreel_frames_failed_total", "frames that failed and are not tried again by the run", _KIND)
FRAMES_WAITING = Gauge("nightreel_frames_waiting", "frames that a run has still to render, those in progress included")
OLDEST_WAITING = Gauge(
    "nightreel_oldest_waiting_frame_seconds",
    "how long the frame waits that has waited longest: since its video's last commit, or since the run began",
)
RETRIES = Counter("nightreel_retries_total", "attempts that failed and are made again", _KIND)
VIDEOS_LEFT = Gauge("nightreel_videos_left", "videos of a run that are neither published nor failed")
VIDEOS_FAILED = Gauge("nightreel_videos_failed", "videos of a run of which something failed for good")
WORKERS = Gauge("nightreel_workers", "actors of a run, by where they stand", {"state": _STATES})
WORKERS_LOST = Counter("nightreel_workers_lost_total", "actors whose process or node was lost, or that hung")
ACTORS_WANTED = Gauge("nightreel_actors_wanted", "actors that a run could keep busy")
ACTORS_GIVEN = Gauge("nightreel_actors_given", "actors that fair sharing gives to a run")
ACTORS_HELD = Gauge("nightreel_actors_held", "actors that a run has, those that start included")
GPUS_HELD = Gauge("nightreel_gpus_held", "how many GPUs, or shares of them, the actors of a run hold")

# -- said by actors

STEP_SECONDS = Histogram("nightreel_step_seconds", "a step of the optimiser, as the mean of each frame")
PUT_SECONDS = Histogram("nightreel_frame_put_seconds", "putting one frame into storage")
ENCODE_SECONDS = Histogram(
    "nightreel_segment_encode_seconds", "encoding a range of frames and putting it", buckets=_MINUTES
)
WORKER_BUSY = Counter("nightreel_worker_busy_seconds_total", "seconds that actors spent on rendering")
GPU_BUSY = Counter(
    "nightreel_gpu_busy_seconds_total", "seconds that GPUs spent in the hands of rendering actors, by the share held"
)

# -- said by both

STORAGE_ERRORS = Counter(
    "nightreel_storage_errors_total", "errors that storage answered, after its retries; none for what is not there",
    {"error": _STORAGE_ERRORS},
)  # fmt: skip
STORAGE_RETRIES = Counter("nightreel_storage_retries_total", "requests to an S3 server that were sent again")

#: All there are.
METRICS: tuple[Metric, ...] = (
    FRAMES_COMMITTED, FRAMES_FAILED, FRAMES_WAITING, OLDEST_WAITING, RETRIES, VIDEOS_LEFT, VIDEOS_FAILED, WORKERS,
    WORKERS_LOST, ACTORS_WANTED, ACTORS_GIVEN, ACTORS_HELD, GPUS_HELD, STEP_SECONDS, PUT_SECONDS, ENCODE_SECONDS,
    WORKER_BUSY, GPU_BUSY, STORAGE_ERRORS, STORAGE_RETRIES,
)  # fmt: skip


class Recorder(Protocol):
    """Where numbers go. It must be quick, safe to call from any thread, and raise nothing."""

    def record(self, metric: Metric, value: float, labels: Mapping[str, str]) -> None:
        """Add `value` to a counter, set a gauge to it, or enter it into a histogram."""


_recorder: Recorder | None = None


def record_with(recorder: Recorder | None) -> None:
    """Have this process's numbers go to `recorder` from now on; None: nowhere."""
    global _recorder
    _recorder = recorder


def recorded() -> bool:
    """Whether they go anywhere, so that it is worth while to find them out."""
    return _recorder is not None


def count(metric: Counter, amount: float = 1.0, **labels: str) -> None:
    """Add to a counter; nothing is added where there is nothing."""
    if _recorder is not None and amount > 0:
        _recorder.record(metric, amount, metric.bounded(labels))


def observe(metric: Histogram, seconds: float) -> None:
    """Enter a duration into a histogram."""
    if _recorder is not None:
        _recorder.record(metric, seconds, {})


def report(metric: Gauge, value: float, **labels: str) -> None:
    """Say what a gauge stands at."""
    if _recorder is not None:
        _recorder.record(metric, value, metric.bounded(labels))
