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

from infra.ray.actors import RayActors
from infra.ray.cluster import RayUnavailable, alive_nodes, connect, room_for_actors  # before Ray: sets its environment
from infra.ray.fair_share_actor import FairShareClient
from infra.ray.worker import RayWorker
from infra.settings import InfraSettings
from infra.storage.storage import ReadingPolicy, Storage
from infra.workers.fair_share import Demand
from infra.workers.pool import PoolWorker, Standing
from infra.workers.tasks import WorkerProgress
from renderers.registry import Registry

import ray  # isort: skip
import ray.exceptions  # isort: skip

__all__ = ["RayPool", "RayUnavailable", "room_for_actors"]

logger = logging.getLogger(__name__)

TICK_SECONDS = 0.25  # between two looks at actors that start, and at what has been given back
BEAT_SECONDS = 2.0  # between two messages to the actor of fair shares
FIRST_SHARE_SECONDS = 30.0  # for its first answer; after that the job takes what Ray gives it
ALONE_SECONDS = 10.0  # on a cluster that this process started nobody else can be yet
EMPTY_SECONDS = 10.0  # before a pool without an actor says why

# A frame that failed is tried on another actor, so that a job with work for one wants a second.
LEAST_WANTED = 2
MOST_ACTORS = 10_000
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
            RayUnavailable: no cluster answers, or it has no room for one actor even when nobody else is there.
        """
        self._closed, self._stopped = threading.Event(), False
        self._started = connect(settings)
        self._settings = settings
        self._use_gpu = settings.device != "cpu" and any(node.get("GPU", 0.0) > 0 for node in alive_nodes())
        self.gpus_per_actor = settings.gpus_per_actor if self._use_gpu else 0.0
        try:
            self._check_room()
        except RayUnavailable:
            self._disconnect()
            raise
        self._options = {"num_cpus": settings.cpus_per_actor, "num_gpus": self.gpus_per_actor}
        device = settings.device if self._use_gpu or settings.device != "auto" else "cpu"
        how = {name: getattr(settings, name) for name in ("threads", "precision", "graphs", "batch")}
        self._given = (output, {"device": device, "registry": Registry(settings.models_folder), **how}, reading)
        self._warm, self._priority = warm, priority
        self._want = MOST_ACTORS if want is None else want

        job = ray.get_runtime_context().get_job_id()
        self._job = f"{socket.gethostname()}/{os.getpid()}/{job}/{uuid.uuid4().hex[:8]}"
        self._since = time.time()
        self._shares, self._sent, self._beat_at = FairShareClient(), (-1, -1, 0), 0.0
        self._drained: frozenset[str] = frozenset()
        self._actors = RayActors(self._new)
        self._processes: dict[str, RayWorker] = {}
        self._empty_since: float | None = None

        alone = self._started and settings.ray_address is None
        self._quiet_until = time.monotonic() + ALONE_SECONDS if alone else 0.0
        self._share = self._alone() if alone else self._first_share()
        self._actors.fit(self._share)
        self._keeper = threading.Thread(target=self._keep, name="pool keeper", daemon=True)
        self._keeper.start()

    @property
    def size(self) -> int:
        """Actors of now, those that start or come back included."""
        return len(self.names)

    @property
    def capacity(self) -> int:
        """Actors that there would be if nobody else used the cluster."""
        room = room_for_actors(alive_nodes(), self._settings.cpus_per_actor, self.gpus_per_actor)
        return min(self._settings.actors or room, room)

    @property
    def max_batch(self) -> int:
        """Up to how many frames an actor should be given at once."""
        return self._settings.batch or (MAX_BATCH if self._use_gpu else 1)

    @property
    def names(self) -> tuple[str, ...]:
        """Who these are."""
        return self._actors.names

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
        self._want = workers

    def restart(self, process: str) -> None:
        """Give the actor of a process that hangs a new one. One that is gone is left to Ray, which has given it one."""
        worker = self._processes.get(process)
        if worker is not None and not worker.lost and not self._closed.is_set():
            worker.restart()

    def progress(self) -> list[WorkerProgress]:
        """Ask what every actor is doing; those that do not answer within a second are left out."""
        if self._closed.is_set():
            return []  # a call to Ray would start a cluster of its own
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

    def roster(self) -> dict[str, Standing]:
        """Return where each actor stands."""
        gone: dict[str, Standing] = dict.fromkeys(sorted(self._drained), "drained")
        return {**gone, **self._actors.roster()}

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
        stopping = [worker.stop() for worker in self._actors.everyone()]
        if stopping:
            ray.wait(stopping, num_returns=len(stopping), timeout=5.0)

    def close(self) -> None:
        """End the actors, and the cluster if this pool started it."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._actors.leases.close()
        self._keeper.join(30)
        if ray.is_initialized():
            self._shares.leave(self._job)
            self._actors.end()
        self._disconnect()

    # -- inside: everything below but the first share runs in the keeper's thread ------------------------------------

    def _keep(self) -> None:
        while not self._closed.wait(TICK_SECONDS):
            try:
                if ray.is_initialized():  # a call would start a cluster otherwise
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
            self._actors.fit(self._without_drained(self._share), self._drained)
        self._actors.announce()
        self._warn_if_empty()

    def _beat(self) -> None:
        """Send the demand every few seconds, and at once when it changed."""
        now = time.monotonic()
        wanted = self._without_drained(min(self._wanted(), self._settings.actors or MOST_ACTORS))
        demand = (wanted, self.size, self._priority)
        if now < self._quiet_until or (now < self._beat_at and demand == self._sent):
            return
        self._beat_at, self._sent = now + BEAT_SECONDS, demand
        each = self._settings.cpus_per_actor, self.gpus_per_actor
        self._shares.ask(Demand(self._job, *demand, self._since, 0.0, *each))
        self._actors.miss_nodes()

    def _first_share(self) -> int:
        until = time.monotonic() + FIRST_SHARE_SECONDS
        while time.monotonic() < until:
            self._beat()
            share = self._shares.answer()
            if share is not None:
                return share
            time.sleep(0.02)
        logger.warning("the cluster's actor of fair shares does not answer: taking what Ray gives")
        return self._alone()

    def _alone(self) -> int:
        return min(self.capacity, self._wanted())

    def _wanted(self) -> int:
        return self._want and max(self._want, LEAST_WANTED)

    def _without_drained(self, actors: int) -> int:
        """Leave the places of those that were drained to others."""
        return max(0, min(actors, self.capacity - len(self._drained))) if self._drained else actors

    def _new(self, name: str) -> RayWorker:
        worker = RayWorker(name, self._options, self._given)
        if self._warm:
            worker.warm(self._warm)  # not waited for: what loading raises, the first frame raises again
        return worker

    def _warn_if_empty(self) -> None:
        if self._empty_since == float("inf"):
            return
        if self._actors.everyone() or not self._want:
            self._empty_since = None
            return
        now = time.monotonic()
        self._empty_since = self._empty_since or now
        if now - self._empty_since > EMPTY_SECONDS:
            self._empty_since = float("inf")  # once is enough
            why = "its actors are starting" if self._share else "other runs hold the cluster"
            logger.warning("no actor yet: %s; this run begins as soon as there is one", why)

    def _check_room(self) -> None:
        nodes, settings = alive_nodes(), self._settings
        gpus, cpus = (sum(node.get(kind, 0.0) for node in nodes) for kind in ("GPU", "CPU"))
        room = room_for_actors(nodes, settings.cpus_per_actor, self.gpus_per_actor)
        if room and (settings.actors or 1) <= room:
            return
        have, need = f"{cpus:g} CPUs", f"{settings.cpus_per_actor:g} CPUs"
        if self._use_gpu:
            have, need = f"{have} and {gpus:g} GPUs", f"{need} and {settings.gpus_per_actor:g} GPUs"
        raise RayUnavailable(
            f"{settings.actors or 1} actors of {need} each do not fit on a cluster of {have}: "
            "set NIGHTREEL_ACTORS, NIGHTREEL_CPUS_PER_ACTOR or NIGHTREEL_GPUS_PER_ACTOR lower"
        )

    def _disconnect(self) -> None:
        if self._started:
            ray.shutdown()
