"""Publishing the videos of a job: its plan beside the frames, and the stitch, tried again where that may help."""

from __future__ import annotations

import time

from flows.job.control import JobControl
from flows.job.events import FailureLog
from flows.job.state import VideoRun
from flows.job.stitching import Published, encode_damaged, stitch
from flows.job.storage_state import save_plan
from flows.retry_and_quarantine.policy import Attempt, decide
from infra import metrics
from infra.settings import InfraSettings
from infra.storage.storage import ReadingPolicy, SourceReader, Storage
from infra.video.errors import VideoDefect
from manifests.errors import ErrorKind, kind_of
from renderers.registry import Registry

__all__ = ["Publisher"]


class Publisher:
    """Puts plans and videos into `output`; `force` lets a video replace another one, `reading` says what rows may name
    as their sound."""

    def __init__(
        self, output: Storage, settings: InfraSettings, control: JobControl, failures: FailureLog, *, force: bool,
        reading: ReadingPolicy | None = None,
    ) -> None:  # fmt: skip
        self._output, self._settings, self._force = output, settings, force
        self._control, self._failures = control, failures
        self._sources = SourceReader(reading)

    def save_plan(self, run: VideoRun) -> bool:
        """Put the plan of a video, once a job. Also where nothing is rendered: the latest plan is what `status` goes
        by. Return True."""
        if not run.plan_saved:
            save_plan(self._output, run.work)
            run.saved_plan()
        return True

    def stitch(self, run: VideoRun) -> Published | None:
        """Stitch and publish one video. A failure is recorded and gives the reason, and None is returned."""
        failures: list[Attempt] = []
        damaged = False
        while True:
            began = time.perf_counter()
            try:
                self.save_plan(run)
                if damaged:
                    encode_damaged(self._output, run.work, Registry(self._settings.models_folder), self._sources)
                published = stitch(self._output, run.work, force=self._force, sources=self._sources)
            except Exception as error:
                failures.append(Attempt(kind_of(error), "stitch"))
                self._failures.record(run, None, error, len(failures), "stitch", time.perf_counter() - began)
                stopped = self._control.stopped
                if isinstance(error, VideoDefect) and not damaged and not stopped.is_set():
                    damaged = True
                    continue
                decision = decide(failures, self._settings, workers=1, cutouts=1)
                # a join that failed once fails again, unless it was the storage's fault
                again = failures[-1].kind in (ErrorKind.INFRASTRUCTURE, ErrorKind.STORAGE) and decision.again
                if not again or stopped.is_set():
                    run.give_up_stitching(str(error))
                    return None
                metrics.count(metrics.RETRIES, kind=failures[-1].kind)
                stopped.wait(decision.wait)
            else:
                run.publish(published)
                return published
