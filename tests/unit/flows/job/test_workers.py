"""What is said of a job's workers."""

from __future__ import annotations

from typing import Any, cast

import pytest

from flows.job.job import RenderJob
from flows.job.workers import worker_states


class OnePool:
    def __init__(self, standing: str) -> None:
        self.standing = standing

    def standings(self) -> dict[str, str]:
        return {"actor-0": self.standing}


class Job:
    stopped = False
    attempts = None

    def __init__(self, standing: str) -> None:
        self.pool = OnePool(standing)

    def pool_if_up(self) -> Any:
        return self.pool


@pytest.mark.parametrize(
    ("standing", "state"),
    [("starting", "starting"), ("drained", "drained"), ("leaving", "draining"), ("there", "silent")],
)
def test_a_worker_that_does_not_answer_is_silent_only_if_it_should(standing: str, state: str) -> None:
    (worker,) = worker_states(cast(RenderJob, Job(standing)), ())
    assert worker.state == state
