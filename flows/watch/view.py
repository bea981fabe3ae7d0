"""What the live page shows of an output, as plain values for JSON: from its runs' documents to a page of its videos.

No storage and no clock. Everything here may come from a manifest's author or from somebody else's program: text is
cleaned and cut, addresses are given on only if they are web addresses.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from flows.report.wording import clean, ending_text, one_line
from flows.runs.record import FailedFrame, RunState, WorkerState
from flows.runs.stored import StoredRun
from flows.runs.summed import attempts_of
from flows.watch.videos import MESSAGE, MOST_A_PAGE, STATES, Query, Snapshot, VideoRow
from infra.storage.layout import frame_of
from manifests.schema import format_frames

__all__ = ["safe_link", "view"]

RUNS = 30
# Rows of the lists at the top; what is beyond is counted, and found among the videos.
LISTED = 100
MOST_SECONDS = 10 * 366 * 86_400  # ten years: what is longer is no estimate


def view(snapshot: Snapshot, query: Query) -> dict[str, Any]:
    """Return what the page shows: runs, failures, latest pictures, counts, and the videos that `query` asks for."""
    rows = snapshot.rows
    owners = {row.video_id: row.run for row in rows}
    matching = [row for row in rows if query.takes(row)]
    offset = max(0, min(query.offset, len(matching) - 1))
    limit = max(1, min(query.limit, MOST_A_PAGE))
    counts = Counter(row.state for row in rows)
    groups, unlisted = _failures(snapshot, owners, rows)
    newest = list(reversed(snapshot.runs))
    parts = attempts_of(newest)
    return {
        "output": clean(snapshot.output, 1000),
        "runs": [_run(attempts, snapshot.now) for attempts in parts[:RUNS]],
        "more_runs": snapshot.more_runs + max(0, len(parts) - RUNS),
        "failures": groups,
        "more_failures": unlisted,
        "problems": _problems(newest),
        "latest": _latest(newest, snapshot.now),
        "counts": {state: counts[state] for state in STATES},
        "videos": len(rows),
        "frames": sum(row.frames for row in rows),
        "frames_done": sum(min(row.done, row.frames) for row in rows),
        "matching": len(matching),
        "offset": offset,
        "rows": [
            {
                "video": row.video_id, "state": row.state, "frames": row.frames, "done": row.done,
                "reason": row.reason, "run": row.run,
            }
            for row in matching[offset : offset + limit]
        ],
    }  # fmt: skip


def safe_link(address: str) -> str:
    """Return an address if it is one of the web, '' otherwise: a document may hold anything."""
    return address if address.startswith(("http://", "https://")) and len(address) < 2000 else ""


# -- runs --------------------------------------------------------------------------------------------------------------


def _run(attempts: Sequence[StoredRun], now: datetime) -> dict[str, Any]:
    """Return what is shown of a run, all its attempts together; the newest one comes first."""
    run = attempts[0]
    record, state = run.record, run.state or _unheard(run)
    alive = run.alive(now)
    eta = state.eta if alive and state.eta is not None and 0 <= state.eta < MOST_SECONDS else None
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
        "phase": state.phase if alive or state.phase == "ended" else "silent",
        "alive": alive,
        "result": one_line(state.result, 80),
        "ending": ending_text(state.result),
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


def _unheard(run: StoredRun) -> RunState:
    """Return what is known of a run that put its record and nothing since."""
    record = run.record
    # as a run's own state counts them
    frames = [it.frames for it in record.videos] + [it.frames for it in record.refused]
    return RunState(
        schema=1, run=record.run, updated=record.began, frames=sum(frames), videos=len(frames),
        priority=record.priority,
    )  # fmt: skip


def _worker(worker: WorkerState) -> dict[str, Any]:
    shown = worker.model_dump(mode="json")
    for name in ("worker", "process", "state", "video_id"):
        shown[name] = one_line(shown[name], 200)
    shown["video"] = shown.pop("video_id")
    finite = worker.loss == worker.loss and abs(worker.loss) != float("inf")
    shown["loss"] = worker.loss if finite else None
    return shown


# -- what went wrong ---------------------------------------------------------------------------------------------------


def _failures(
    snapshot: Snapshot, owners: Mapping[str, str], rows: Sequence[VideoRow]
) -> tuple[list[dict[str, Any]], int]:
    """Return the failed frames by video, and how many more videos with failures there are. Of each video only what its
    newest run says still stands."""
    named: dict[str, list[FailedFrame]] = {}
    for run in snapshot.runs:
        for failure in run.state.failures if run.state is not None else ():
            if owners.get(failure.video_id) == run.record.run:
                named.setdefault(failure.video_id, []).append(failure)
    groups: list[dict[str, Any]] = []
    failed = 0
    others = {stored.video_id: stored for stored in snapshot.others}
    running = {run.record.run for run in snapshot.runs if run.alive(snapshot.now)}
    for row in rows:
        if row.state != "failed" and row.video_id not in named:
            continue
        failed += 1
        if len(groups) >= LISTED:
            continue
        items = named.get(row.video_id, [])
        stored = others.get(row.video_id)
        frames = [it.frame for it in items if it.frame is not None]
        groups.append(
            {
                "video": row.video_id,
                "frames": format_frames(frames) if frames else stored.missing if stored else "",
                "count": len(frames),
                "again": any(not it.final for it in items) and row.run in running,
                "reason": row.reason,
                "items": [_failure(it) for it in items[:LISTED]],
            }
        )
    return groups, failed - len(groups)


def _failure(failure: FailedFrame) -> dict[str, Any]:
    return {
        "frame": failure.frame,
        "kind": one_line(failure.kind, 60),
        "message": clean(failure.message, MESSAGE),
        "worker": one_line(failure.worker, 120),
        "attempts": failure.attempts,
        "when": one_line(failure.when, 40),
        "log": safe_link(failure.log),
        "final": failure.final,
    }


def _problems(newest: Sequence[StoredRun]) -> list[dict[str, Any]]:
    """Return the rows that are no good rows, of the newest run that read a manifest."""
    for run in newest:
        if run.record.problems:
            return [
                {"place": one_line(f"{it.unit} {it.row}, {it.file}", 300), "video": one_line(it.video_id or "", 140),
                 "message": clean(it.message, MESSAGE)}
                for it in run.record.problems[:LISTED]
            ]  # fmt: skip
        if run.record.flow != "rerun-frames":
            return []
    return []


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
