"""A job's workers as people see them: what each is doing, and what may be asked of them while the job runs."""

from __future__ import annotations

from collections.abc import Iterable

from flows.job.job import RenderJob
from flows.runs.record import RunRequest, WorkerState
from infra.workers.pool import Pool, Standing
from infra.workers.tasks import WorkerProgress

__all__ = ["carry_out", "worker_states"]

NO_WORKERS = "the run has no workers now"


def worker_states(job: RenderJob, progress: Iterable[WorkerProgress]) -> tuple[WorkerState, ...]:
    """Return what every worker is doing, by their answers (`progress`)."""
    pool = job.pool_if_up()
    if pool is None or job.stopped:
        return ()
    answers = {it.name: it for it in progress}
    quarantined = job.attempts.quarantined() if job.attempts is not None else frozenset()
    return tuple(
        _state(name, standing, answers.get(name), name in quarantined) for name, standing in pool.standings().items()
    )


def _state(name: str, standing: Standing, answer: WorkerProgress | None, quarantined: bool) -> WorkerState:
    if answer is None or standing in ("starting", "drained"):
        # one that leaves may be gone before it answers
        state = "draining" if standing == "leaving" else "silent" if standing == "there" else standing
        return WorkerState(worker=name, state=state)
    doing = "rendering" if answer.busy else "starting" if answer.loading else "idle"
    return WorkerState(
        worker=name,
        process=answer.worker,
        state="draining" if standing == "leaving" else "quarantined" if quarantined else doing,
        busy=answer.busy,
        video_id=answer.video_id,
        frame=answer.frame,
        step=answer.step,
        steps=answer.steps,
        loss=answer.loss,
        steps_per_second=answer.steps_per_second,
    )


def carry_out(job: RenderJob, request: RunRequest) -> str:
    """Do what a person asks for; return why it is not done, '' if it is."""
    if request.kind == "priority":
        if request.priority is None:
            return "no priority is named"
        job.prioritise(request.priority)
        return ""
    pool = job.pool_if_up()
    if pool is None or job.stopped:
        return NO_WORKERS
    if request.worker not in pool.standings():
        return f"there is no worker {request.worker!r} any more"
    if request.kind == "drain":
        return "" if pool.drain(request.worker) else "it is starting, or leaves already"
    if request.kind == "restart":
        return (
            "" if pool.restart_worker(request.worker) else "it can't be restarted: its process is starting, or this one"
        )
    return _allow(job, pool, request.worker)


def _allow(job: RenderJob, pool: Pool, worker: str) -> str:
    forgiven = job.attempts is not None and job.attempts.forgive(worker)
    return "" if pool.allow(worker) or forgiven else "it is neither quarantined nor drained"
