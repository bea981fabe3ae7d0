"""The workers of one job, used as its failures have taught: who gets which work, what is tried again and how, who is
quarantined, who is restarted because it hangs.

The rules are `flows.retry_and_quarantine.policy`'s; this is where they meet a pool, a clock and threads.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TypeVar

from flows.retry_and_quarantine.lacks import Lacks, lack_message
from flows.retry_and_quarantine.policy import Attempt, Decision, StallWatch, WorkerRecords, decide, excluded
from flows.retry_and_quarantine.speeds import WorkerSpeeds
from infra import metrics
from infra.settings import InfraSettings
from infra.workers.pool import Pool, PoolWorker
from infra.workers.tasks import WorkerLacks
from manifests.errors import ErrorKind, kind_of

__all__ = ["Attempts", "FirstTry", "Work", "WorkerLease"]

T = TypeVar("T")

# Whoever stops a job takes the workers away as well.
_LOST = (ErrorKind.INFRASTRUCTURE, ErrorKind.STALLED)


@dataclass(frozen=True)
class Work:
    """What is being tried: a frame of a video (None: a segment of it), with so many cutouts a step, an estimate of its
    seconds (0: none), the `kind` of frames that take as long, and its `model`."""

    video: str
    frame: int | None
    cutouts: int = 1
    seconds: float = 0.0
    kind: str = ""
    model: str = ""


@dataclass(frozen=True)
class FirstTry:
    """How a first try, made together with others, failed, and on whom: the lease may have been renewed since."""

    error: Exception
    worker: PoolWorker


class Attempts:
    """A pool's workers in the hands of one job, until `stopped`. `on_lack` hears once of each machine what it lacks.
    `_lock` guards `_records`, `_lacks` and `_speeds`."""

    def __init__(
        self, pool: Pool, settings: InfraSettings, stopped: threading.Event,
        on_lack: Callable[[str], None] = lambda message: None,
    ) -> None:  # fmt: skip
        self.pool, self.settings, self.stopped, self._on_lack = pool, settings, stopped, on_lack
        self._records = WorkerRecords(time.monotonic, settings.worker_strikes, settings.forgive_seconds)
        self._lacks = Lacks(time.monotonic, settings.forgive_seconds)
        self._speeds = WorkerSpeeds()
        self._lock = threading.RLock()
        self._closed = threading.Event()
        threading.Thread(target=self._watch, name="stall watch", daemon=True).start()

    def close(self) -> None:
        """Stop watching. The pool is its owner's to close."""
        self._closed.set()

    def quarantined(self) -> frozenset[str]:
        """Return who is quarantined now, those included whose machine lacks something."""
        places = self.pool.places
        with self._lock:
            return self._records.quarantined() | self._lacks.workers(places, None)

    def forgive(self, worker: str) -> bool:
        """Let a worker out of quarantine, and all others of its machine if that lacked something; return whether it was
        in."""
        place = self.pool.places.get(worker, "")
        with self._lock:
            return self._records.forgive(worker) | self._lacks.forget(place)

    def exclude(self, avoid: frozenset[str] = frozenset(), model: str | None = None) -> frozenset[str]:
        """Return who must not get work that `avoid` failed; for `model`, or of whichever (None)."""
        names, places = self.pool.names, self.pool.places  # it has a lock of its own
        with self._lock:
            return excluded(names, self._records.quarantined(), avoid, self._lacks.workers(places, model))

    def attempt(
        self,
        lease: WorkerLease,
        what: Work,
        do: Callable[[PoolWorker, Decision], T],
        on_failure: Callable[[Exception, int, str, float], None],
        first_try: FirstTry | None = None,
    ) -> T | Exception | None:
        """Do some work, again as often as the policy says. Return its result, the last error if it failed for good, or
        None if the job stops. `on_failure` hears of every failure: error, attempt, worker, seconds. `first_try` is one
        that was made already."""
        failures: list[Attempt] = []
        decision = Decision(again=True)
        while not self.stopped.is_set():
            if first_try is None:
                self.trade_if_due(lease, what)
            worker = lease.worker if first_try is None else first_try.worker
            began = time.perf_counter()
            try:
                if first_try is not None:
                    error, first_try = first_try.error, None
                    raise error
                done = do(worker, decision)
            except Exception as error:  # every failure is classed and recorded; none may end the other videos
                kind = kind_of(error)
                if kind == ErrorKind.CANCELLED or (kind in _LOST and self.stopped.is_set()):
                    return None  # no failure of this frame
                failures.append(Attempt(kind, worker.name))
                elsewhere = isinstance(error, WorkerLacks) and self._lacking(error, worker, what.model)
                if not elsewhere:
                    on_failure(error, len(failures), worker.name, time.perf_counter() - began)
                fit = len(self.pool.names) - len(self.exclude())
                decision = decide(
                    failures, self.settings, workers=fit, cutouts=what.cutouts, chance=random.random(),
                    elsewhere=elsewhere,
                )  # fmt: skip
                with self._lock:
                    # a lost process is no fault of the machine's; a failure of its own may be
                    if kind in (ErrorKind.APPLICATION, ErrorKind.OUT_OF_MEMORY):
                        self._records.failed(worker.name, what.video, what.frame)
                if not decision.again:
                    return error
                metrics.count(metrics.RETRIES, kind=kind)
                self.stopped.wait(decision.wait)
                lease.renew(decision.avoid, model=what.model)
            else:
                self.did(worker, what, time.perf_counter() - began)
                return done
        return None

    def trade_if_due(self, lease: WorkerLease, what: Work, before: Callable[[], object] = lambda: None) -> None:
        """Trade the leased worker, before some work, if it has to go or if another should take over. `before` that,
        what it still has in hand is to be finished: it may be gone the moment it is given back."""
        if lease.worker.retiring:
            before()
            lease.renew(
                frozenset(), model=what.model
            )  # another run needs its place: between two frames nothing is lost
        elif (faster := self._faster(lease.worker.name, what)) is not None:
            before()
            lease.renew(frozenset(), faster, what.model)  # whoever is slow must not hold up the end of the job

    def did(self, worker: PoolWorker, what: Work, seconds: float) -> None:
        """Note that `worker` did some work."""
        with self._lock:
            self._records.rendered(worker.name, what.video, what.frame)
            if what.seconds:
                self._speeds.took(worker.name, what.kind, seconds, what.seconds)

    def _lacking(self, error: WorkerLacks, worker: PoolWorker, model: str) -> bool:
        """Note what a worker's machine lacks, and tell people, once; return whether others may have it."""
        place = self.pool.places.get(worker.name, "")
        if not place:
            return True  # it leaves already, others come in its place
        with self._lock:
            news = self._lacks.found(place, error, model)
        left = news and self.pool.leave(place)
        places = self.pool.places
        with self._lock:
            elsewhere = left or bool(frozenset(places) - self._lacks.workers(places, model))
        if news:
            self._on_lack(lack_message(error, worker.name, elsewhere=elsewhere))
        return elsewhere

    def _faster(self, worker: str, what: Work) -> str | None:
        """Return a free worker that should take over, since it is so much faster. As long as there is work for all,
        none is free."""
        if not what.seconds or not (free := self.pool.free):
            return None
        places = self.pool.places
        with self._lock:
            unfit = self._records.quarantined() | self._lacks.workers(places, what.model)
            return self._speeds.better(worker, what.kind, set(free) - unfit)

    def _watch(self) -> None:
        watch = StallWatch(self.settings.stall_seconds)
        while not self._closed.wait(min(5.0, self.settings.stall_seconds / 4)) and not self.stopped.is_set():
            for worker in watch.stalled(time.monotonic(), self.pool.progress()):
                self.pool.restart(worker)


class WorkerLease:
    """A rented worker that can be traded for another after a failure. `worker` is the one rented now; of those who wait
    for one, the lowest `turn` comes first."""

    def __init__(self, attempts: Attempts, prefer: str | None, turn: int = 0) -> None:
        self._attempts, self._prefer, self._turn, self._stack = attempts, prefer, turn, ExitStack()
        self.worker: PoolWorker

    def __enter__(self) -> WorkerLease:
        self._rent(self._prefer, frozenset())
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def renew(self, avoid: frozenset[str], prefer: str | None = None, model: str | None = None) -> None:
        """Give the worker back and rent one again for `model`, none of `avoid` where there is another; `prefer` if it
        is free."""
        self._stack.close()
        self._rent(prefer, avoid, model)

    def stand_by(self) -> None:
        """Let others have the worker to render with; it stays for what it is still asked for here."""
        standing_by = ExitStack()
        standing_by.enter_context(self._attempts.pool.pin(self.worker))
        self._stack.close()
        self._stack = standing_by

    def _rent(self, prefer: str | None, avoid: frozenset[str], model: str | None = None) -> None:
        exclude = self._attempts.exclude(avoid, model)
        self.worker = self._stack.enter_context(self._attempts.pool.lease(prefer, exclude, self._turn))
