"""What the live page shows of an output, as plain values for JSON: from its runs' documents to a page of its videos.

No storage and no clock. Everything here may come from a manifest's author or from somebody else's program: text is
cleaned and cut, addresses are given on only if they are web addresses.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from flows.report.wording import SUSPENDED, clean, ending_text, one_line
from flows.runs.record import RunState, WorkerState
from flows.runs.stored import StoredRun
from flows.runs.summed import attempts_of
from flows.watch.failures import failed_counts, failures_of, problems_of, safe_link
from flows.watch.videos import MESSAGE, MOST_A_PAGE, STATES, Query, Snapshot
from infra.storage.layout import frame_of

__all__ = ["ends_in", "phase_of", "view"]

RUNS = 30
MOST_SECONDS = 10 * 366 * 86_400  # ten years: what is longer is no estimate


def view(snapshot: Snapshot, query: Query) -> dict[str, Any]:
    """Return what the page shows: runs, failures, latest pictures, counts, and the videos that `query` asks for."""
    rows = snapshot.rows
    matching = [row for row in rows if query.takes(row)]
    offset = max(0, min(query.offset, len(matching) - 1))
    limit = max(1, min(query.limit, MOST_A_PAGE))
    counts = Counter(row.state for row in rows)
    groups, unlisted = failures_of(snapshot, rows)
    newest = list(reversed(snapshot.runs))
    parts = attempts_of(newest)
    return {
        "output": clean(snapshot.output, 1000),
        "runs": [_run(attempts, snapshot.now) for attempts in parts[:RUNS]],
        "more_runs": snapshot.more_runs + max(0, len(parts) - RUNS),
        "failures": groups,
        "more_failures": unlisted,
        "problems": problems_of(snapshot),
        "failed": failed_counts(snapshot, rows),
        "latest": _latest(newest, snapshot.now),
        "counts": {state: counts[state] for state in STATES},
        "to_review": sum(bool(row.review) for row in rows),
        "videos": len(rows),
        "frames": sum(row.frames for row in rows),
        "frames_done": sum(min(row.done, row.frames) for row in rows),
        "matching": len(matching),
        "offset": offset,
        "rows": [
            {
                "video": row.video_id, "state": row.state, "frames": row.frames, "done": row.done,
                "reason": row.reason, "run": row.run, "refused": row.refused, "review": row.review,
            }
            for row in matching[offset : offset + limit]
        ],
    }  # fmt: skip


# -- runs --------------------------------------------------------------------------------------------------------------


def _run(attempts: Sequence[StoredRun], now: datetime) -> dict[str, Any]:
    """Return what is shown of a run, all its attempts together; the newest one comes first."""
    run = attempts[0]
    record, state = run.record, run.state or _unheard(run)
    alive = run.alive(now)
    eta = ends_in(state) if alive else None
    ends = state.updated + timedelta(seconds=eta) if eta is not None else None
    began = attempts[-1].record.began
    over = (state.ended or state.updated) if not alive else None
    return {
        "run": record.run,
        "flow": one_line(record.flow, 80),
        "name": one_line(record.name, 120),
        "attempt": max(record.attempt, len(attempts)),
        "link": safe_link(record.link),
        "manifest": one_line(record.manifest, 300),
        "host": one_line(record.host, 120),
        "version": one_line(record.version, 40),
        "began": began.isoformat(),
        "phase": phase_of(state) if alive or state.phase == "ended" else "silent",
        "alive": alive,
        "result": one_line(state.result, 80),
        "ending": ending_text(state.result),
        "ended_as": _ended_as(state.result),
        "message": clean(state.message, MESSAGE),
        "heard": state.updated.isoformat(),
        "over": over.isoformat() if over is not None else None,
        "ends": ends.isoformat() if ends is not None else None,
        "frames": state.frames,
        "frames_done": state.frames_done,
        "videos": state.videos,
        "videos_done": state.videos_done,
        "rendered": sum(it.state.rendered for it in attempts if it.state is not None),
        "failed": state.failed,
        "refused": len(record.refused),
        "bad_rows": record.all_problems.rows,
        "start_up": round(state.start_up_seconds, 1),
        "actors": state.actors,
        "priority": state.priority,
        "workers": [_worker(worker) for worker in state.workers] if alive else [],
        "requests": [
            {
                "kind": it.kind, "worker": one_line(it.worker, 120), "priority": it.priority,
                "refused": one_line(it.refused, 300), "at": it.at.isoformat(), "stamp": one_line(it.stamp, 60),
            }
            for it in state.requests[-5:]
        ],
    }  # fmt: skip


def _ended_as(result: str) -> str:
    """Return the state of a video that a run's end is shown like."""
    return "done" if result == "Completed" else "waiting" if ending_text(result) == SUSPENDED else "failed"


def _unheard(run: StoredRun) -> RunState:
    """Return what is known of a run that put its record and nothing since."""
    record = run.record
    # as a run's own state counts them
    frames = [it.frames for it in record.videos] + [it.frames for it in record.refused]
    return RunState(
        schema=1, run=record.run, updated=record.began, frames=sum(frames), videos=len(frames),
        priority=record.priority,
    )  # fmt: skip


def phase_of(state: RunState) -> str:
    """Return the run's phase. It calls itself starting until its first frame is there: one is drawn before."""
    return "rendering" if state.phase == "starting" and any(it.busy for it in state.workers) else state.phase


def ends_in(state: RunState) -> float | None:
    """Return in how many seconds a run ends, None while nobody knows."""
    known = state.eta is not None and 0 <= state.eta < MOST_SECONDS and _somebody_draws(state)
    return state.eta if known else None


def _somebody_draws(state: RunState) -> bool:
    """Return whether frames are left and a worker is there for them: until then nobody knows when the run ends."""
    return state.frames_done < state.frames and any(
        it.busy or it.state in ("rendering", "idle", "quarantined") for it in state.workers
    )


def _worker(worker: WorkerState) -> dict[str, Any]:
    shown = worker.model_dump(mode="json")
    for name in ("worker", "process", "state", "video_id"):
        shown[name] = one_line(shown[name], 200)
    shown["video"] = shown.pop("video_id")
    return shown


# -- pictures ----------------------------------------------------------------------------------------------------------


def _latest(newest: Sequence[StoredRun], now: datetime) -> list[dict[str, Any]]:
    """Return the frames that were committed last, of the runs under way or else of the newest that rendered any."""
    living = [run for run in newest if run.alive(now) and run.state is not None and run.state.latest]
    ended = [run for run in newest if run.state is not None and run.state.latest]
    found = [it for run in living or ended[:1] for it in (run.state.latest if run.state is not None else ())]
    shown = []
    for it in found[:24]:
        named = frame_of(it.key)
        if named is not None and named[0] == it.frame:
            shown.append({"video": it.video_id, "frame": it.frame, "digest": named[1]})
    return shown
