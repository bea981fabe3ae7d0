"""A job and the workers it will need, made ready before or inside a flow run; see flows/job/handover.py."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib import import_module
from typing import TypeVar

from flows.job.handover import Handover
from flows.job.job import RenderJob
from flows.job.parameters import RenderParameters
from flows.planning.chunks import MAX_TASK_RUNS
from infra.settings import InfraSettings, load_settings
from infra.workers.pool import Pool

__all__ = ["begin", "handing_over", "start_pool"]

P = TypeVar("P", bound=RenderParameters)

_PLANNED: Handover[RenderJob] = Handover("planned job")


def handing_over(job: RenderJob) -> AbstractContextManager[None]:
    """Offer a planned job to the flow that is called inside the block with the same parameters."""
    return _PLANNED.giving(job)


def begin(parameters: P, make: Callable[[P, InfraSettings], RenderJob]) -> RenderJob:
    """Return the job that was handed over for `parameters`, or a new one: planned, its workers on their way.

    Raises what `RenderJob.read` raises.
    """
    handed_over = _PLANNED.take(lambda job: job.parameters == parameters)
    if handed_over is not None:
        return handed_over
    settings = load_settings()
    job = make(parameters, settings)
    if _of_a_deployment():
        job.confine()
    job.read()
    if job.needs_workers and not getattr(parameters, "dry_run", False):
        start_pool(job, settings)
    return job


def _of_a_deployment() -> bool:
    """Whether a server started this flow run: then its form was filled in by anybody who may use the server."""
    from prefect import runtime  # takes seconds to import; who calls a flow has it

    return runtime.deployment.id is not None


def start_pool(job: RenderJob, settings: InfraSettings) -> None:
    """Start the Ray pool of `job` in the background; `job.pool` holds it, or the error, when it is up."""
    # Prefect's imports and Ray's, in two threads, both come to it, and one of them may find it half imported
    import_module("pydantic.v1")
    models = [work.settings.model for work in job.pending]
    # what could be rendered side by side if there were actors enough: `run_job` says it more exactly as it goes on
    chunks = sum(chunk.after is None for chunk in job.chunks(settings.actors or MAX_TASK_RUNS))

    def start() -> None:
        try:
            from infra.ray.pool import RayPool  # Ray takes seconds to import: only when workers are needed

            pool: Pool = RayPool(
                job.output, settings, warm=models[0] if models else None, priority=job.parameters.priority, want=chunks,
                reading=job.reading,
            )  # fmt: skip
            pool.prioritise(job.priority)  # it may have been changed meanwhile
            if job.closed.is_set():
                pool.close()  # the flow ended while Ray was coming up
            job.pool.set_result(pool)
            # Ray has its servers die with the THREAD that started them (Linux' PR_SET_PDEATHSIG): stay as long as they.
            job.closed.wait()
        except BaseException as error:  # whoever waits for the pool must hear of it
            job.pool.set_exception(error)

    threading.Thread(target=start, name="pool", daemon=True).start()
