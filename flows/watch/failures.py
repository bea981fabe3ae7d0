"""What went wrong in an output, as plain values for JSON: videos and frames that failed, rows that are none, and what
puts them right. No storage and no clock."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from flows.report.wording import clean, is_web, one_line
from flows.runs.record import FailedFrame
from flows.watch.videos import MESSAGE, Snapshot, VideoRow
from manifests.schema import format_frames

__all__ = ["failed_counts", "failures_of", "problems_of", "refusal", "refusal_of", "safe_link"]

# Rows of the lists at the top; what is beyond is counted, and found among the videos.
LISTED = 100


def safe_link(address: str) -> str:
    """Return an address if it is one of the web, '' otherwise: a document may hold anything."""
    return address if is_web(address) and len(address) < 2000 else ""


def failed_counts(snapshot: Snapshot, rows: Sequence[VideoRow]) -> dict[str, int]:
    """Count what failed by the house's one rule: a row that can't be rendered is a video that failed with all its
    frames, a row that can't be read is a bad row and no video."""
    named = _standing(snapshot, rows)
    stored = {it.video_id: it for it in snapshot.others}
    frames = 0
    for row in rows:
        if row.refused:
            frames += row.frames
        elif row.state == "failed" and row.video_id in stored:
            frames += row.frames - row.done
        else:
            frames += sum(it.frame is not None and it.final for it in named.get(row.video_id, ()))
    failed = sum(row.state == "failed" for row in rows)
    return {"videos": failed, "frames": frames, "bad_rows": snapshot.wants.problems.rows}


def refusal(snapshot: Snapshot, row: VideoRow | None) -> dict[str, str | bool] | None:
    """Return why a video can't be rendered as its row is written, and what renders it once that is put right; None if
    it can be. Prefect offers to retry a run only when it is not `alive`."""
    if row is None or not row.refused:
        return None
    run = next(run for run in snapshot.runs if run.record.run == row.run)
    record = run.record
    command = ["nightreel", "render", record.manifest, "--output", snapshot.output] if record.manifest else []
    return {
        "reason": row.reason,
        # Retry of a run of the output that this one was copied from would render there
        "link": safe_link(record.link) if record.output in ("", snapshot.output) else "",
        "run": one_line(record.name, 120),
        "alive": run.alive(snapshot.now),
        "command": clean(shlex.join(command), 2000),
    }


def refusal_of(snapshot: Snapshot, video: str) -> dict[str, str | bool] | None:
    """Return `refusal` of a video by its id."""
    return refusal(snapshot, next((row for row in snapshot.rows if row.video_id == video), None))


def _standing(snapshot: Snapshot, rows: Sequence[VideoRow]) -> Mapping[str, list[FailedFrame]]:
    """Return the failures of each video that its newest run says still stand."""
    owners = {row.video_id: row.run for row in rows}
    named: dict[str, list[FailedFrame]] = {}
    for run in snapshot.runs:
        for failure in run.state.failures if run.state is not None else ():
            if owners.get(failure.video_id) == run.record.run:
                named.setdefault(failure.video_id, []).append(failure)
    return named


def failures_of(snapshot: Snapshot, rows: Sequence[VideoRow]) -> tuple[list[dict[str, Any]], int]:
    """Return the failed frames by video, and how many more videos with failures there are. Of each video only what its
    newest run says still stands."""
    named = _standing(snapshot, rows)
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
                "again": row.state != "failed" and any(not it.final for it in items) and row.run in running,
                "reason": row.reason,
                "refused": refusal(snapshot, row),
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


def problems_of(snapshot: Snapshot) -> list[dict[str, Any]]:
    """Return the rows that can't be read, those that `status` names."""
    return [
        {
            "place": one_line(f"{it.unit} {it.row}, {it.file}", 300), "video": one_line(it.video_id or "", 140),
            "message": clean(it.message, MESSAGE), "allowed": clean(it.allowed, MESSAGE),
        }
        for it in snapshot.wants.problems[:LISTED]
    ]  # fmt: skip
