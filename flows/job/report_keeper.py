"""Keeping the report in storage up to date while a job runs: it is there from the first minute, and after a crash."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from flows.job.job import RenderJob
from flows.job.outcome import outcome_of_error
from flows.job.report_data import OutputReport, publish_report
from flows.job.run_documents import RunDocuments
from flows.report.model import JobReport
from infra.storage.storage import StorageError

__all__ = ["Concluded", "ReportKeeper", "reporting"]

logger = logging.getLogger(__name__)

FIRST_SECONDS = 20.0
SECONDS = 60.0
#: Gathering an output of thousands of videos takes its time: at most a twentieth of the job's goes there.
SHARE = 20
#: A job that breaks, or is stopped by Ctrl-C, does not keep whoever waits for longer.
LAST_WORD_SECONDS = 15.0


@dataclass(frozen=True)
class Concluded:
    """The last report of a run, and the `page` it was put to; '' where storage would not take it, and `problem` says
    why."""

    report: JobReport
    page: str
    problem: str


class ReportKeeper:
    """Gathers and puts the report of one job's output."""

    def __init__(self, job: RenderJob, documents: RunDocuments) -> None:
        self._job, self._gatherer = job, OutputReport(job, documents)
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._took = 0.0
        self._concluded = False
        self.actors: int | None = None

    @contextmanager
    def kept(self) -> Iterator[None]:
        """Refresh it now and then, in a thread, until the block ends; the caller puts the last one (`conclude`). A
        block that is left by an exception has ended in that."""
        thread = threading.Thread(target=self._keep, name="report", daemon=True)
        thread.start()
        try:
            yield
        except BaseException as error:
            self._over.set()
            if self.quick and not self._concluded:
                self._last_word(*outcome_of_error(error))
            raise
        finally:
            self._over.set()

    @property
    def quick(self) -> bool:
        """Whether one more takes no longer than whoever ends the job waits."""
        return self._took < LAST_WORD_SECONDS

    @property
    def rendered_before(self) -> int:
        """How many frames the earlier attempts of the job's flow run have rendered."""
        with self._lock:
            return self._gatherer.rendered_before

    def refresh(self) -> None:
        """Gather and put it now."""
        self._put(None)

    def conclude(self, result: str, message: str) -> Concluded:
        """Gather and put it once more, and say how the run ended. Storage that does not take it loses nothing else."""
        self._over.set()
        self._concluded = True
        return self._put((result, message))

    def _put(self, ended: tuple[str, str] | None) -> Concluded:
        with self._lock:
            began = time.monotonic()
            gathered = self._gatherer.gather(
                actors=self.actors or None, gpus_per_actor=self._job.gpus_per_actor, ended=ended
            )
            page = problem = ""
            if ended is not None or not self._over.is_set():
                try:
                    page = publish_report(self._job.output, gathered)
                except StorageError as error:
                    problem = str(error)
                    logger.warning("the report can't be put into storage: %s", error)
            self._took = time.monotonic() - began
            return Concluded(gathered.report, page, problem)

    def _last_word(self, result: str, message: str) -> None:
        try:
            self._put((result, message))
        except Exception:  # the error that ends the job is the one to be heard of
            logger.debug("no last report", exc_info=True)

    def _keep(self) -> None:
        wait = FIRST_SECONDS
        while not self._over.wait(wait):
            try:
                self.refresh()
            except Exception as error:  # whatever it is, it must not end a night
                logger.warning("the report can't be refreshed: %s", error, exc_info=True)
            wait = max(SECONDS, SHARE * self._took)


@contextmanager
def reporting(job: RenderJob, documents: RunDocuments) -> Iterator[ReportKeeper]:
    """Keep the report of a job's output up to date until the block ends; the block puts the last one."""
    keeper = ReportKeeper(job, documents)
    with keeper.kept():
        yield keeper
