"""A job and the workers it will need, made ready before or inside a flow run.

Prefect's server, Ray and the models each take many seconds to come up. The command line therefore plans first, starts
the pool in the background, and lets the flow pick both up; a flow run that came from a deployment makes its own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar, cast

from flows.job.job import RenderJob
from flows.job.planned import RenderParameters
from flows.planning.chunks import MAX_TASK_RUNS
from infra.settings import InfraSettings, load_settings
from infra.workers.pool import Pool

__all__ = ["begin", "hand_over", "start_pool"]

P = TypeVar("P", bound=RenderParameters)
J = TypeVar("J", bound=RenderJob)

_handed: dict[RenderParameters, RenderJob] = {}


def hand_over(job: RenderJob) -> None:
    """Keep a planned job for the flow run that is about to start in this process with the same parameters."""
    _handed[job.parameters] = job


def begin(parameters: P, make: Callable[[P, InfraSettings], J]) -> J:
    """The job that was handed over for `parameters`, or a new one: planned, its workers on their way.

    Raises what `RenderJob.read` raises.
    """
    handed = _handed.pop(parameters, None)
    if handed is not None:
        return cast("J", handed)  # whoever handed it over made it for the same flow
    settings = load_settings()
    job = make(parameters, settings)
    job.read()
    if job.needs_workers and not getattr(parameters, "dry_run", False):
        start_pool(job, settings)
    return job


def start_pool(job: RenderJob, settings: InfraSettings) -> None:
    """Start the Ray pool of `job` in the background; `job.pool` holds it, or the error, when it is up."""
    models = [work.plan.row.model for work in job.pending]
    # what could be rendered side by side if there were actors enough: `conduct` says it more exactly as it goes on
    chunks = sum(chunk.after is None for chunk in job.chunks(settings.actors or MAX_TASK_RUNS))

    def start() -> None:
        try:
            from infra.ray.pool import RayPool  # Ray takes seconds to import: only when workers are needed

            pool: Pool = RayPool(
                job.output, settings, warm=models[0] if models else None, priority=job.parameters.priority, want=chunks
            )
            if job.closed.is_set():
                pool.close()  # the flow ended while Ray was coming up
            job.pool.set_result(pool)
            # Ray has its servers die with the THREAD that started them (Linux' PR_SET_PDEATHSIG): stay as long as they.
            job.closed.wait()
        except BaseException as error:  # whoever waits for the pool must hear of it
            job.pool.set_exception(error)

    threading.Thread(target=start, name="pool", daemon=True).start()
