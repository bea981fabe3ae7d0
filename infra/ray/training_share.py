"""A training's share of a cluster that jobs share: all of its workers together, or none.

Ray Train begins when there is room for all workers at once. The jobs that render fill a cluster and give their places
back only as their shares shrink: a training that asked nobody would wait until all of them have ended.
"""

from __future__ import annotations

import os
import socket
import threading
import time
import uuid
from collections.abc import Callable

from infra.ray.cluster import lost_cluster  # before Ray: sets its environment
from infra.ray.fair_share_actor import FairShareClient
from infra.workers.fair_share import Demand
from infra.workers.room import Size

import ray  # isort: skip

__all__ = ["TrainingShare"]

BEAT_SECONDS = 2.0  # between two messages to the actor of fair shares
TICK_SECONDS = 0.25
FIRST_SHARE_SECONDS = 30.0  # for its first answer; after that the training takes what Ray gives it


class TrainingShare:
    """Tells the actor of fair shares of a training for as long as it is open; `close` gives its places back."""

    def __init__(self, size: Size, workers: int, *, least: int, grows: bool) -> None:
        """Ask for up to `workers` of `size`, of which fewer than `least` are of no use, on the cluster that this
        process has joined; `grows`: it has an autoscaler."""
        self._size, self._workers, self._least, self._grows = size, workers, least, grows
        self._job = f"{socket.gethostname()}/{os.getpid()}/training/{uuid.uuid4().hex[:8]}"
        self._since = time.time()
        self._client = FairShareClient()
        self._share: int | None = None
        self._begun, self._closed = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._keep, name="training's share", daemon=True)
        self._thread.start()

    def wait(self, *, say: Callable[[str], object], stop: Callable[[], bool]) -> int:
        """Wait until enough places are this training's; return how many, which it keeps: 0 where `stop` has ended the
        waiting. `say` hears what is waited for. Where the actor does not answer, all places count as given."""
        until = time.monotonic() + FIRST_SHARE_SECONDS
        while not stop():
            share = self._share
            if share is None and time.monotonic() > until:
                share = self._workers
            if share is not None and share >= self._least:
                self._workers = self._least = min(share, self._workers)
                self._begun.set()
                return self._workers
            if share is not None:
                places = f"{self._least} places" if self._least > 1 else "a place"
                say(f"its share of the cluster: {places} at once, which other runs hold")
            time.sleep(TICK_SECONDS)
        return 0

    def close(self) -> None:
        """Give the places back."""
        if self._closed.is_set():
            return
        self._closed.set()
        self._thread.join(30)
        if ray.is_initialized() and not lost_cluster():
            self._client.leave(self._job)

    def _keep(self) -> None:
        beat = 0.0
        while not self._closed.wait(TICK_SECONDS):
            if not ray.is_initialized() or lost_cluster():  # a call would start a cluster otherwise, or wait
                continue
            share = self._client.answer()
            self._share = self._share if share is None else share
            if time.monotonic() > beat:
                beat = time.monotonic() + BEAT_SECONDS
                self._client.ask(self._demand())

    def _demand(self) -> Demand:
        held = self._workers if self._begun.is_set() else 0
        cpus, gpus = self._size
        return Demand(
            self._job, self._workers, held=held, since=self._since, cpus=cpus, gpus=gpus, asked=held,
            named=self._workers, grows=self._grows, least=self._least,
        )  # fmt: skip
