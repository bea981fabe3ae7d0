"""The runs of an output for people: the attempts of one flow run are one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from flows.runs.record import RunState
from flows.runs.stored import StoredRun

__all__ = ["RUNNING", "RunSummary", "attempts_of", "earlier_attempts", "summed"]

#: How a run "ended" that has not.
RUNNING, DIED = "running", "died"


@dataclass(frozen=True)
class RunSummary:
    """A run, all its attempts together. `result` is the name of its final state, `running`, or `died` where it was not
    heard of lately; `ended` is when it ended or was heard of last. Frames, `failed` aside, and seconds are sums."""

    run: str
    flow: str
    name: str
    manifest: str
    link: str
    attempts: int
    began: datetime
    ended: datetime
    result: str
    message: str
    rendered: int
    failed: int
    actors: int
    wall_seconds: float
    render_seconds: float


def summed(runs: Sequence[StoredRun], now: datetime | None = None) -> tuple[RunSummary, ...]:
    """Return the runs, newest first, of their attempts, oldest first."""
    found = [_one(each, now) for each in attempts_of(runs)]
    return tuple(sorted(found, key=lambda run: run.run, reverse=True))


def attempts_of(runs: Sequence[StoredRun]) -> list[list[StoredRun]]:
    """Return `runs` with those together that are attempts of one flow run: retries, and what went on after Resume."""
    attempts: dict[str, list[StoredRun]] = {}
    for run in runs:
        attempts.setdefault(run.record.flow_run or run.record.run, []).append(run)
    return list(attempts.values())


def earlier_attempts(runs: Sequence[StoredRun], flow_run: str, run: str) -> tuple[RunState, ...]:
    """Return how the other attempts of a flow run than `run` ended."""
    return tuple(
        it.state
        for it in runs
        if flow_run and it.record.flow_run == flow_run and it.record.run < run and it.state is not None
    )


def _one(attempts: list[StoredRun], now: datetime | None) -> RunSummary:
    last = attempts[-1]
    record, state = last.record, last.state
    states = [it.state for it in attempts if it.state is not None]
    result = RUNNING if last.alive(now) else DIED
    if last.ended and state is not None:
        result = state.result or "ended"
    return RunSummary(
        run=record.run,
        flow=record.flow,
        name=record.name or record.flow or record.run,
        manifest=record.manifest,
        link=record.link,
        attempts=len(attempts),
        began=attempts[0].record.began,
        ended=(state.ended or state.updated) if state is not None else record.began,
        result=result,
        message=state.message if state is not None else "",
        rendered=sum(it.rendered for it in states),
        failed=state.failed if state is not None else 0,
        actors=max((it.actors for it in states), default=0),
        wall_seconds=sum(it.elapsed for it in states),
        render_seconds=sum(it.render_seconds for it in states),
    )
