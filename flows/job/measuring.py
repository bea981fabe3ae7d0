"""What Prometheus is told of a job as a whole: what waits, for how long, and where its workers stand.

What happens one by one (a commit, a failure, a retry) is counted where it happens; see infra/metrics.py.
"""

from __future__ import annotations

import time
from collections import Counter

from flows.job.job import RenderJob
from infra import metrics
from infra.workers.pool import Pool

__all__ = ["JobMeasures"]

# Ray forgets what a process has not said for 20 s.
LOOK_SECONDS = 5.0
# A look at the 10^5 videos of a job takes a while: never more than this share of the time.
LARGEST_SHARE = 0.01
_STATES = ("starting", "there", "leaving", "drained", "quarantined")


class JobMeasures:
    """The gauges of one job, said again every few seconds; for one thread."""

    def __init__(self, job: RenderJob, pool: Pool | None) -> None:
        self._job, self._pool = job, pool
        self._next = 0.0

    def look_now_and_then(self) -> None:
        """Say where the job stands, if that was some seconds ago and if anybody hears it."""
        began = time.monotonic()
        if not metrics.recorded() or began < self._next:
            return
        self._look()
        now = time.monotonic()
        self._next = now + max(LOOK_SECONDS, (now - began) / LARGEST_SHARE)

    def _look(self) -> None:
        waiting = left = failed = 0
        oldest = 0.0
        now = time.time()
        for run in list(self._job.runs.values()):
            if run.done:
                continue
            given_up = self._job.given_up(run)
            missing = run.missing - sum(frame is not None for frame in given_up)
            if run.reason or given_up:
                failed += 1
            else:
                left += 1
            if missing > 0:
                waiting += missing
                latest = run.latest
                oldest = max(oldest, now - (self._job.began if latest is None else latest[0]))
        metrics.report(metrics.FRAMES_WAITING, waiting)
        metrics.report(metrics.OLDEST_WAITING, oldest)
        metrics.report(metrics.VIDEOS_LEFT, left)
        metrics.report(metrics.VIDEOS_FAILED, failed + len(self._job.refused))
        self._report_workers()

    def _report_workers(self) -> None:
        attempts = self._job.attempts
        quarantined = attempts.quarantined() if attempts is not None else frozenset()
        standings = self._pool.standings() if self._pool is not None else {}
        states = Counter("quarantined" if name in quarantined else it for name, it in standings.items())
        for state in _STATES:
            metrics.report(metrics.WORKERS, states[state], state=state)

    def close(self) -> None:
        """Say that nothing waits any more: the process may live on."""
        for gauge in (metrics.FRAMES_WAITING, metrics.OLDEST_WAITING, metrics.VIDEOS_LEFT):
            metrics.report(gauge, 0)
        for state in _STATES:
            metrics.report(metrics.WORKERS, 0, state=state)
