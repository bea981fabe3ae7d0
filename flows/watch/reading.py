"""An output as it lies in storage, read for many browsers at once and at little cost: one listing of the runs' folder
every few seconds, and of their documents only those that have changed."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

from flows.job.output_videos import stored_status
from flows.job.report_data import SUMMARY
from flows.job.stored_documents import DAMAGE, MOST_BYTES, parse
from flows.report.document import REVIEWS
from flows.report.wording import one_line
from flows.runs.record import RunRecord, RunState
from flows.runs.stored import PARALLEL_READS, StoredRun, read_record, read_state, run_documents
from flows.watch.videos import MESSAGE, Snapshot, StoredVideo
from infra.storage.layout import run_record_key, run_state_key
from infra.storage.storage import ObjectInfo, ObjectMissing, SourceRefused, Storage
from manifests.errors import NightreelError
from manifests.masking import without_secrets
from manifests.schema import format_frames
from renderers.registry import Registry

__all__ = ["OutputReader"]

logger = logging.getLogger(__name__)

FRESH_SECONDS = 2.0
# Runs that are read; an output that was rendered to more often has forgotten the older ones' failures anyway.
LATEST_RUNS = 200
# A listing shows whole seconds: a document that was put twice within one looks unchanged.
SETTLED_SECONDS = 30.0
# Between two looks into the folders of videos that no run names, each of which is a listing.
OTHERS_SECONDS = 600.0
# Between two looks into the report's summary, which a run puts once a minute at most.
REVIEWS_SECONDS = 15.0
NO_FOLDERS = frozenset({"report"})


@dataclass
class _Known:
    """A run's documents as they were read, and the listing's words on them at that time."""

    record: RunRecord | None = None
    record_as: ObjectInfo | None = None
    state: RunState | None = None
    state_as: ObjectInfo | None = None


class OutputReader:
    """One output, for any number of threads. What is asked for again within two seconds is answered from memory."""

    def __init__(self, output: Storage, registry: Registry, clock: Callable[[], float] = time.monotonic) -> None:
        self.output, self._registry, self._clock = output, registry, clock
        self._lock = threading.Lock()
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._snapshot: Snapshot | None = None
        self._read_at = float("-inf")
        self._others: tuple[StoredVideo, ...] = ()
        self._others_at = float("-inf")
        self._looking = False
        self._reviews: dict[str, str] = {}
        self._reviews_at = float("-inf")

    def snapshot(self) -> Snapshot:
        """Return the output as it is, or was two seconds ago.

        Raises:
            StorageError: it can't be listed or read.
        """
        with self._lock:  # whoever comes meanwhile waits for this very answer
            if self._snapshot is None or self._clock() - self._read_at > FRESH_SECONDS:
                self._snapshot = self._read()
                self._read_at = self._clock()
            return self._snapshot

    def _read(self) -> Snapshot:
        now = datetime.now(UTC)
        listed = {info.key: info for info in run_documents(self.output)}
        names = sorted({key.split("/")[2] for key in listed if key.endswith("/run.json") and key.count("/") == 3})
        read = names[-LATEST_RUNS:]
        with ThreadPoolExecutor(PARALLEL_READS, thread_name_prefix="runs") as threads:
            known = dict(zip(read, threads.map(lambda name: self._look(name, listed, now), read), strict=True))
        self._known = OrderedDict(known)
        runs = tuple(StoredRun(it.record, it.state) for it in known.values() if it.record is not None)
        self._look_for_others(runs)
        named = _named(runs)
        others = tuple(it for it in self._others if it.video_id not in named)
        self._look_for_reviews()
        root, more = without_secrets(self.output.root), len(names) - len(read)
        return Snapshot(root, now, runs, others, more, self._reviews)

    def _look_for_reviews(self) -> None:
        """Read, now and then, which videos the report has a person look at."""
        if self._clock() - self._reviews_at < REVIEWS_SECONDS:
            return
        self._reviews_at = self._clock()
        with suppress(ObjectMissing, SourceRefused, *DAMAGE):  # none yet, or what is no report of ours
            listed = parse(self.output.read(SUMMARY, most=MOST_BYTES)).get("review", ())
            self._reviews = {
                str(it["video_id"]): one_line("; ".join(map(str, it["reasons"])), MESSAGE) for it in listed[:REVIEWS]
            }

    def _look(self, name: str, listed: dict[str, ObjectInfo], now: datetime) -> _Known:
        known = self._known.get(name) or _Known()
        record_as, state_as = listed.get(run_record_key(name)), listed.get(run_state_key(name))
        ended = known.state is not None and known.state.phase == "ended"
        if known.record is None or (not ended and _changed(known.record_as, record_as, now)):
            known = _Known(read_record(self.output, name) or known.record, record_as, known.state, known.state_as)
        if state_as is not None and not ended and _changed(known.state_as, state_as, now):
            known = _Known(known.record, known.record_as, read_state(self.output, name) or known.state, state_as)
        return known

    def _look_for_others(self, runs: tuple[StoredRun, ...]) -> None:
        """Have a thread look, now and then, for videos that no run names: those of earlier releases."""
        if self._looking or self._clock() - self._others_at < OTHERS_SECONDS:
            return
        self._others_at = self._clock()
        self._looking = True
        named = _named(runs)
        threading.Thread(target=self._find_others, args=(named,), name="other videos", daemon=True).start()

    def _find_others(self, named: set[str]) -> None:
        try:
            if not set(self.output.folders()) - named - NO_FOLDERS:
                return
            self._others = tuple(
                StoredVideo(
                    it.video_id, it.state, it.frames, it.frames - len(it.missing), format_frames(it.missing), it.reason
                )
                for it in stored_status(self.output, self._registry)
                if it.video_id not in named
            )
        except (NightreelError, ValueError, KeyError) as error:
            logger.warning("videos that no run names can't be looked at: %s", error)
        finally:
            self._looking = False


def _named(runs: tuple[StoredRun, ...]) -> set[str]:
    videos = {video.video_id for run in runs for video in run.record.videos}
    return videos | {video.video_id for run in runs for video in run.record.refused}


def _changed(was: ObjectInfo | None, now_as: ObjectInfo | None, now: datetime) -> bool:
    if was is None or now_as is None or (was.size, was.modified) != (now_as.size, now_as.modified):
        return True
    return (now - now_as.modified).total_seconds() < SETTLED_SECONDS
