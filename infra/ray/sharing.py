"""How the jobs on one Ray cluster share it: a tiny actor that hears what each wants and answers what it may have.

It is detached and named, so that every job of a cluster finds the same one, and no other cluster's. It holds nothing
that the jobs do not say again every few seconds: if it is lost, the jobs keep what they have until a new one answers.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, cast

from infra.ray.cluster import alive_nodes  # before Ray: sets its environment
from infra.workers.fair_share import Demand, Sharing

import ray  # isort: skip
import ray.exceptions  # isort: skip

__all__ = ["NAME", "NAMESPACE", "SharingLine"]

NAMESPACE, NAME = "nightreel", "sharing"
# An answer takes milliseconds; the actor's start, or a new start elsewhere, takes seconds.
PATIENCE_SECONDS = 20.0


@ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=0)
class _Sharing:
    def __init__(self) -> None:
        self._sharing = Sharing()
        self._nodes: list[Mapping[str, float]] = []
        self._looked = float("-inf")

    def tell(self, demand: Demand) -> int:
        now = time.monotonic()
        if now - self._looked > 1.0:  # nodes come and go, but not for every job that asks
            self._nodes, self._looked = alive_nodes(), now
        return self._sharing.tell(demand, self._nodes, now)

    def leave(self, job: str) -> None:
        self._sharing.leave(job)


class SharingLine:
    """One job's line to the sharing actor. An actor that does not answer is no error here: there is no answer."""

    def __init__(self) -> None:
        self._actor: Any = None
        self._asked: Any = None
        self._asked_at = 0.0

    def ask(self, demand: Demand) -> None:
        """Tell the demand, unless an answer is awaited; does not wait for one."""
        if self._asked is not None:
            return
        self._asked_at = time.monotonic()
        with suppress(ray.exceptions.RayError, ValueError):  # ValueError: it died between being found and being got
            if self._actor is None:
                options = {"name": NAME, "namespace": NAMESPACE, "lifetime": "detached", "get_if_exists": True}
                self._actor = cast(Any, _Sharing).options(**options).remote()
            self._asked = self._actor.tell.remote(demand)

    def answer(self) -> int | None:
        """The share, once it has come."""
        if self._asked is None:
            return None
        ready, _ = ray.wait([self._asked], timeout=0)
        if not ready:
            if time.monotonic() - self._asked_at > PATIENCE_SECONDS:
                self._asked = self._actor = None
            return None
        asked, self._asked = self._asked, None
        try:
            return int(ray.get(asked))
        except ray.exceptions.RayError:
            self._actor = None  # gone, or between two lives: look for it anew
            return None

    def leave(self, job: str) -> None:
        """Say that a job has ended; does not wait."""
        with suppress(ray.exceptions.RayError):
            if self._actor is not None:
                self._actor.leave.remote(job)
