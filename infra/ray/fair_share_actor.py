"""The actor of fair shares: jobs on one Ray cluster tell it what they want, and it answers what each may have.

It is detached and named, so that every job of a cluster finds the same one, and no other cluster's. It holds nothing
that the jobs do not say again every few seconds: if it is lost, the jobs keep what they have until a new one answers.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, cast

from infra.ray.autoscaler import look_at_scaling  # before Ray: sets its environment
from infra.ray.cluster import alive_nodes
from infra.ray.guest import GUEST, LABEL
from infra.workers.fair_share import Demand, FairShares
from infra.workers.scaling import Scaling

import ray  # isort: skip
import ray.exceptions  # isort: skip

__all__ = ["NAME", "NAMESPACE", "FairShareClient"]

NAMESPACE, NAME = "nightreel", "fair-share"
# An answer takes milliseconds; the actor's start, or a new start elsewhere, takes seconds.
ANSWER_SECONDS = 20.0


@ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=0)
class _FairShareActor:
    def __init__(self) -> None:
        self._shares = FairShares()
        self._nodes: list[Mapping[str, float]] = []
        self._scaling = Scaling()
        self._looked = self._asked = float("-inf")

    def share(self, demand: Demand) -> int:
        now = time.monotonic()
        if now - self._looked > 1.0:  # nodes come and go, but not for every job that asks
            self._nodes, self._looked = alive_nodes(), now
        if not demand.grows:
            return self._shares.update(demand, self._nodes, now)
        if now - self._asked > 1.0:
            self._scaling, self._asked = look_at_scaling(), now
        return self._shares.update(demand, self._nodes, now, self._scaling)

    def leave(self, job: str) -> None:
        self._shares.leave(job)


class FairShareClient:
    """One job's connection to the actor. An actor that does not answer is no error here: there is no answer."""

    def __init__(self) -> None:
        self._actor: Any = None
        self._asked: Any = None
        self._asked_at = 0.0

    def ask(self, demand: Demand) -> None:
        """Send the demand, unless an answer is awaited; does not wait for one."""
        if self._asked is not None:
            return
        self._asked_at = time.monotonic()
        with suppress(ray.exceptions.RayError, ValueError):  # ValueError: it died between being found and being got
            if self._actor is None:
                options: dict[str, Any] = {
                    "name": NAME,
                    "namespace": NAMESPACE,
                    "lifetime": "detached",
                    "get_if_exists": True,
                }
                options |= {"label_selector": {LABEL: f"!{GUEST}"}}  # it outlives this job, and such a node does not
                self._actor = cast(Any, _FairShareActor).options(**options).remote()
            self._asked = self._actor.share.remote(demand)

    def answer(self) -> int | None:
        """Return the share, once it has come; None before."""
        if self._asked is None:
            return None
        ready, _ = ray.wait([self._asked], timeout=0)
        if not ready:
            if time.monotonic() - self._asked_at > ANSWER_SECONDS:
                self._asked = self._actor = None
            return None
        asked, self._asked = self._asked, None
        try:
            return int(ray.get(asked))
        except ray.exceptions.RayError:
            self._actor = None  # gone, or between two lives: look for it again
            return None

    def leave(self, job: str) -> None:
        """Say that a job has ended; does not wait."""
        with suppress(ray.exceptions.RayError):
            if self._actor is not None:
                self._actor.leave.remote(job)
