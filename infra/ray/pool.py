"""The Ray actor pool: as many actors as this job's share of the cluster allows, at every moment.

A thread sends what the job wants to the cluster's actor of fair shares (infra.ray.fair_share_actor), and fits the pool
to the share that comes back: actors are added, or retire, the free ones at once, those that render after their frame.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from importlib.metadata import version

from infra import metrics
from infra.ray.actors import RayActors
from infra.ray.cluster import RayUnavailable, connect, disconnect, lost_cluster  # before Ray: sets its environment
from infra.ray.fair_share_actor import FairShareClient
from infra.ray.metrics import RayRecorder
from infra.ray.sizing import Sizing
from infra.ray.worker import RayWorker
from infra.settings import InfraSettings
from infra.storage.storage import ReadingPolicy, Storage
from infra.workers.fair_share import Demand
from infra.workers.pool import PoolWorker, Standing
from infra.workers.tasks import WorkerProgress
from renderers.registry import Registry

import ray  # isort: skip
import ray.exceptions  # isort: skip

__all__ = ["RayPool", "RayUnavailable"]

logger = logging.getLogger(__name__)

TICK_SECONDS = 0.25  # between two looks at actors that start, and at what has been given back
BEAT_SECONDS = 2.0  # between two messages to the actor of fair shares
FIRST_SHARE_SECONDS = 30.0  # for its first answer; after that the job takes what Ray gives it
ALONE_SECONDS = 10.0  # on a cluster that this process started nobody else can be yet
EMPTY_SECONDS = 10.0  # before a pool without an actor says why

# Frames that a GPU is given at once: enough to fill it at small sizes; where it does not pay, fewer go together.
MAX_BATCH = 8


class RayPool:
    """Actors on a Ray cluster that is shared with other jobs, those of higher `priority` first."""

    def __init__(
        self, output: Storage, settings: InfraSettings, *, warm: str | None = None, priority: int = 0,
        want: int | None = None, reading: ReadingPolicy | None = None,
    ) -> None:  # fmt: skip
        """Connect, or start a cluster of this machine's own, and start the actors of the first share, which may be
        none. `warm` is a model to load at once, `want` see `Pool.want`, `reading` what rows may name.

        Raises:
            RayUnavailable: no cluster answers, or it has no room for one actor even when nobody else is there, and no
                autoscaler that may add nodes.
        """
        self._closed, self._stopped = threading.Event(), False
        self._started = connect(settings)
        self._settings = settings
        alone = self._started and settings.ray_address is None
        try:
            self._sizing = Sizing(settings, want, alone=alone)
        except RayUnavailable:
            self._disconnect()
            raise
        self.gpus_per_actor = self._sizing.gpus_per_actor
        self._options = {"num_cpus": settings.cpus_per_actor, "num_gpus": self.gpus_per_actor}
        device = settings.device if self._sizing.uses_gpus or settings.device != "auto" else "cpu"
        how = {name: getattr(settings, name) for name in ("threads", "precision", "graphs", "batch")}
        how |= {"device": device, "registry": Registry(settings.models_folder), "source": settings.models_source}
        measured = settings.ray_address is not None  # a cluster of our own exports nothing: it would ask for no token
        self._given = (output, how, reading, self.gpus_per_actor, measured, version("nightreel"))
        metrics.record_with(RayRecorder() if measured else None)
        self._warm, self._priority = warm, priority

        job = ray.get_runtime_context().get_job_id()
        self._job = f"{socket.gethostname()}/{os.getpid()}/{job}/{uuid.uuid4().hex[:8]}"
        self._since = time.time()
        self._shares, self._sent, self._beat_at = FairShareClient(), (-1, -1, 0), 0.0
        self._share = 0
        self._drained: frozenset[str] = frozenset()
        self._actors = RayActors(self._new)
        self._processes: dict[str, RayWorker] = {}
        self._empty_since: float | None = None

        self._quiet_until = time.monotonic() + ALONE_SECONDS if alone else 0.0
        self._share = self._sizing.alone if alone else self._first_share()
        self._actors.fit(self._share)
        self._keeper = threading.Thread(target=self._keep, name="pool keeper", daemon=True)
        self._keeper.start()

    @property
    def size(self) -> int:
        """Actors of now, those that start or come back included."""
        return len(self.names)

    @property
    def capacity(self) -> int:
        """See `Sizing.capacity`."""
        return self._sizing.capacity

    @property
    def lost(self) -> str:
        """See `Pool.lost`."""
        return lost_cluster() or self._sizing.in_vain

    @property
    def waiting(self) -> str:
        """See `Pool.waiting`."""
        return self._sizing.waiting(waits=self._waits())

    @property
    def max_batch(self) -> int:
        """Up to how many frames an actor should be given at once."""
        return self._settings.batch or (MAX_BATCH if self._sizing.uses_gpus else 1)

    @property
    def names(self) -> tuple[str, ...]:
        """Who these are."""
        return self._actors.names

    @property
    def places(self) -> dict[str, str]:
        """The node of each, '' of one that is starting."""
        return self._actors.places

    def leave(self, place: str) -> bool:
        """See `Pool.leave`."""
        if self._closed.is_set() or not self._sizing.left.add(place):
            return False
        for name in [name for name, node in self.places.items() if node == place]:
            self._actors.leases.let_go(name)  # the keeper starts others elsewhere
        return True

    @property
    def free(self) -> tuple[str, ...]:
        """Who of them nobody rents or waits for."""
        return self._actors.leases.free

    @contextmanager
    def lease(
        self, prefer: str | None = None, exclude: frozenset[str] = frozenset(), turn: int = 0
    ) -> Iterator[PoolWorker]:  # fmt: skip
        """Rent a free actor, waiting for one."""
        with self._actors.leases.lease(prefer, exclude, turn) as worker:
            yield worker

    def pin(self, worker: PoolWorker) -> AbstractContextManager[None]:
        """See `Pool.pin`."""
        return self._actors.leases.pin(worker)

    def want(self, workers: int) -> None:
        """Say how many actors could be kept busy now."""
        self._sizing.want = workers

    def restart(self, process: str) -> None:
        """Give the actor of a process that hangs a new one. One that is gone is left to Ray, which has given it one."""
        worker = self._processes.get(process)
        if worker is not None and not worker.lost and not self._closed.is_set():
            worker.restart()

    def progress(self) -> list[WorkerProgress]:
        """Ask what every actor is doing; those that do not answer within a second are left out."""
        if self._closed.is_set() or lost_cluster():
            return []  # a call to Ray would start a cluster of its own, or wait
        asked = {worker.progress(): worker for worker in self._actors.everyone()}
        if not asked:
            return []
        ready, _ = ray.wait(list(asked), num_returns=len(asked), timeout=1.0)
        answers = []
        for reference in ready:
            with suppress(ray.exceptions.RayError):
                worker = asked[reference]
                answers.append(replace(ray.get(reference), name=worker.name))
                # a process that died hangs for ever, to those who watch: it must not be ended in its successor
                others = {process: it for process, it in self._processes.items() if it is not worker}
                self._processes = {**others, answers[-1].worker: worker}
        return answers

    def standings(self) -> dict[str, Standing]:
        """Return where each actor stands."""
        gone: dict[str, Standing] = dict.fromkeys(sorted(self._drained), "drained")
        return {**gone, **self._actors.standings()}

    def drain(self, name: str) -> bool:
        """See `Pool.drain`: the place goes to whoever wants it on the cluster."""
        known = self._drained
        self._drained = known | {name}  # first: the keeper must not start another in its place
        if self._actors.leases.let_go(name):
            return True
        self._drained = known
        return False

    def allow(self, name: str) -> bool:
        """See `Pool.allow`."""
        if name not in self._drained:
            return False
        self._drained -= {name}
        self._actors.leases.keep(name)
        return True

    def restart_worker(self, name: str) -> bool:
        """See `Pool.restart_worker`."""
        worker = next((it for it in self._actors.everyone() if it.name == name and not it.lost), None)
        if worker is None or self._closed.is_set():
            return False
        worker.restart(asked=True)
        worker.lost = True
        self._actors.leases.sweep()  # a free one is offered again once it is up
        return True

    def prioritise(self, priority: int) -> None:
        """See `Pool.prioritise`: the actor of fair shares hears it with the next message."""
        self._priority = priority

    def stop(self) -> None:
        """Stop all frames in progress between two steps; no actors are added any more."""
        if self._closed.is_set():
            return
        self._stopped = True
        self._actors.leases.close()
        stopping = [] if lost_cluster() else [worker.stop() for worker in self._actors.everyone()]
        if stopping:
            ray.wait(stopping, num_returns=len(stopping), timeout=5.0)

    def close(self) -> None:
        """End the actors, and the cluster if this pool started it."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._actors.leases.close()
        if not lost_cluster():
            self._keeper.join(30)
        if ray.is_initialized() and not lost_cluster():
            self._shares.leave(self._job)
            self._actors.end()
            self._measure(0, 0, 0)
        metrics.record_with(None)
        self._disconnect()

    # -- inside: everything below but the first share runs in the keeper's thread ------------------------------------

    def _keep(self) -> None:
        while not self._closed.wait(TICK_SECONDS):
            try:
                if ray.is_initialized() and not lost_cluster():  # a call would start a cluster otherwise, or wait
                    self._tick()
            except Exception:  # the pool goes on with what it has; whoever renders meets a broken cluster anyway
                logger.warning("the actors could not be looked after just now", exc_info=True)

    def _tick(self) -> None:
        self._actors.clear_up(may_return=not self._stopped)
        share = self._shares.answer()
        if share is not None:
            self._share = share
        self._beat()
        self._actors.welcome()
        if not self._stopped:
            never = self._drained | self._sizing.left.of(self._actors.everyone())
            number = self._sizing.needed(self._share, len(self._drained))
            self._actors.fit(number, never, whole_nodes=self._sizing.grows)
        self._actors.announce()
        self._warn_if_empty()
        if not self._stopped:
            self._sizing.judge(waits=self._waits())

    def _beat(self) -> None:
        """Send the demand every few seconds, and at once when it changed."""
        now = time.monotonic()
        wanted = self._sizing.asked(len(self._drained))
        demand = (wanted, self.size, self._priority)
        if now < self._quiet_until or (now < self._beat_at and demand == self._sent):
            return
        self._beat_at, self._sent = now + BEAT_SECONDS, demand
        asked, named, grows = self._actors.number, self._settings.actors or 0, self._sizing.grows
        self._shares.ask(Demand(self._job, *demand, self._since, 0.0, *self._sizing.of_one, asked, named, grows))
        self._actors.miss_nodes()
        self._sizing.look()
        self._measure(wanted, self._share, self.size)

    def _measure(self, wanted: int, given: int, held: int) -> None:
        """Say it again and again: Ray forgets what was not said for 20 s."""
        metrics.report(metrics.ACTORS_WANTED, wanted)
        metrics.report(metrics.ACTORS_GIVEN, given)
        metrics.report(metrics.ACTORS_HELD, held)
        metrics.report(metrics.GPUS_HELD, held * self.gpus_per_actor)

    def _first_share(self) -> int:
        until = time.monotonic() + FIRST_SHARE_SECONDS
        while time.monotonic() < until:
            self._beat()
            share = self._shares.answer()
            if share is not None:
                return share
            time.sleep(0.02)
        logger.warning("the cluster's actor of fair shares does not answer: taking what Ray gives")
        return self._sizing.alone

    def _new(self, name: str) -> RayWorker:
        worker = RayWorker(name, self._options | self._sizing.left.options, self._given)
        if self._warm:
            worker.warm(self._warm)  # not waited for: what loading raises, the first frame raises again
        return worker

    def _warn_if_empty(self) -> None:
        if self._empty_since == float("inf"):
            return
        if self._actors.everyone() or not self._sizing.want:
            self._empty_since = None
            return
        now = time.monotonic()
        self._empty_since = self._empty_since or now
        if now - self._empty_since > EMPTY_SECONDS:
            self._empty_since = float("inf")  # once is enough
            why = self.waiting or ("its actors are starting" if self._share else "other runs hold the cluster")
            logger.warning("no actor yet: %s; this run begins as soon as there is one", why)

    def _waits(self) -> bool:
        """Whether there is no actor although the cluster is this run's to use."""
        return bool(self._share and self._sizing.want and self._actors.number and not self._actors.everyone())

    def _disconnect(self) -> None:
        if self._started:
            disconnect()
