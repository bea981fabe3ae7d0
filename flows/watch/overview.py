"""An output in one line, for the list of all: what lives by its latest runs' states, what has ended by its report's
summary. A listing and a few small objects, never the folders of videos."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from flows.job.report_data import SUMMARY
from flows.job.stored_documents import DAMAGE, MOST_BYTES, parse
from flows.report.wording import iso_text, one_line
from flows.runs.record import RunState
from flows.runs.stored import read_state, run_names
from flows.watch.view import ends_in, phase_of
from infra.storage.storage import ObjectMissing, SourceRefused, Storage
from manifests.errors import NightreelError
from manifests.masking import without_secrets

__all__ = ["overview"]

LATEST = 4  # runs of one output that may live at once, as far as the list looks


def overview(output: Storage, now: datetime | None = None) -> dict[str, Any]:
    """Return an output's `state` (live, done, failed, missing, none, unread) and what says it in numbers, those of a
    live one of its living runs alone; `when` it was last worked on."""
    now = now or datetime.now(UTC)
    try:
        states = [state for name in run_names(output)[-LATEST:] if (state := read_state(output, name)) is not None]
        living = [state for state in states if state.phase != "ended" and not state.silent(now)]
        if living:
            return _living(living)
        return _ended(output, states)
    except (NightreelError, ValueError) as error:
        return {"state": "unread", "reason": one_line(without_secrets(str(error)), 300), "when": None}


def _living(states: list[RunState]) -> dict[str, Any]:
    seconds = [ends_in(state) for state in states]
    known = [state.updated + timedelta(seconds=it) for state, it in zip(states, seconds, strict=True) if it is not None]
    return {
        "state": "live",
        "runs": len(states),
        "starting": all(phase_of(state) == "starting" for state in states),
        "frames": sum(state.frames for state in states),
        "frames_done": sum(state.frames_done for state in states),
        "ends": max(known).isoformat() if len(known) == len(states) else None,
        "when": max(state.updated for state in states).isoformat(),
    }


def _ended(output: Storage, states: list[RunState]) -> dict[str, Any]:
    when = max((state.ended or state.updated for state in states), default=None)
    try:
        summary = parse(output.read(SUMMARY, most=MOST_BYTES))
        videos = {str(name): int(count) for name, count in dict(summary["videos"]).items()}
        frames = {str(name): int(count or 0) for name, count in dict(summary["frames"]).items()}
        finished, bad = str(summary["finished"]), int(summary["bad_rows"])
    except (ObjectMissing, SourceRefused, *DAMAGE):
        return {"state": "none", "when": iso_text(when) if when is not None else None}
    failed = videos.get("failed", 0) + videos.get("invalid", 0)
    lacking = videos.get("total", 0) - videos.get("done", 0) - failed
    return {
        "state": "failed" if failed or bad else "missing" if lacking else "done",
        "videos": videos.get("total", 0),
        "failed": failed,
        "lacking": lacking,
        "bad_rows": bad,
        "frames": frames.get("wanted", 0),
        "frames_done": frames.get("done", 0),
        "when": iso_text(when) if when is not None else one_line(finished, 40),
    }
