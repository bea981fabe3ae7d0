"""The same report for programs: `report/summary.json`. It is of the whole output, whoever rendered it.

| key | holds |
|---|---|
| `schema` | 1; a higher number means that a key changed its meaning |
| `title`, `manifest`, `output` | as in the page; user names, passwords and signatures of links are left out |
| `started`, `finished` | of the run that made it, ISO 8601, UTC; `finished` is when it was made |
| `running` | true if a run of the output had not ended by then: what came later is not in it |
| `complete` | true if every row was good and every video of the output is there |
| `wall_seconds`, `start_up_seconds`, `render_seconds` | see `JobReport` |
| `actors`, `gpus_per_actor`, `actor_hours`, `gpu_hours`, `overhead` | see `JobReport`; null when unknown |
| `videos` | `total`, and how many are `done`, `waiting`, `rendering`, `missing`, `failed`, `invalid` |
| `frames` | `wanted`, `done`, `missing`, and of the done ones `rendered` by this run (all its attempts) and `kept` |
| `bad_rows` | rows of the manifests that could not be read; they are no videos |
| `problem_kinds` | how many problems there are of each kind |
| `problems` | the first hundred, each: `file`, `row`, `video_id`, `column`, `message`, `allowed` |
| `failures` | by class: `attempts`, `frames`, and `standing`, those of the frames that are still not there |
| `incomplete` | videos that are not done, worst first: `video_id`, `state`, `frames`, `done`, `reason` |
| `notes` | of the first hundred videos that have some: `video_id`, `notes`, what may surprise in their prompts |
| `noted` | how many videos have notes |
| `review` | of the first thousand videos to review: `video_id`, `reasons`, a sentence for each limit that is passed |
| `to_review` | how many videos are to be reviewed |
| `slowest` | at most ten videos: `video_id`, `render_seconds`, `frames`, `seconds_per_frame` |
| `runs` | newest first: `run`, `name`, `flow`, `manifest`, `link`, `attempts`, `began`, `ended`, `result`, `message`, |
| | `rendered`, `failed`, `actors`, `wall_seconds`, `render_seconds`; `result` is `running` or `died` without an end |
| `hosts` | what machines lacked that were to render, a sentence for each |
| `unread` | videos that storage did not give, and that are left out |
| `versions` | of nightreel and what it renders with |

Prompts and settings are not in it: they are in each video's `provenance.json`.
"""

from __future__ import annotations

import math
from typing import Any

from flows.report.model import JobReport, per_frame
from flows.report.wording import iso_text, one_line
from manifests.problems import LISTED

__all__ = ["summary_document"]

#: Videos to review that are named.
REVIEWS = 1000


def summary_document(report: JobReport) -> dict[str, Any]:
    """The report's numbers and lists as plain values that JSON can hold (no NaN)."""
    noted = [it for it in report.videos if it.notes]
    return {
        "schema": 1,
        "title": report.title,
        "manifest": report.manifest,
        "output": report.output,
        "started": iso_text(report.started),
        "finished": iso_text(report.finished),
        "running": report.running,
        "complete": report.complete,
        "wall_seconds": _number(report.wall_seconds),
        "start_up_seconds": _number(report.start_up_seconds),
        "render_seconds": _number(report.render_seconds),
        "actors": report.actors,
        "gpus_per_actor": report.gpus_per_actor,
        "actor_hours": _number(report.actor_hours, 5),
        "gpu_hours": _number(report.gpu_hours, 5),
        "overhead": _number(report.overhead),
        "videos": {"total": len(report.videos), **report.states},
        "frames": {
            "wanted": report.frames,
            "done": report.frames_done,
            "missing": report.frames - report.frames_done,
            "rendered": report.rendered,
            "kept": report.skipped,
        },
        "bad_rows": report.bad_rows,
        "problems": [
            {"file": it.file, "row": it.row, "video_id": it.video_id, "column": it.column,
             "message": one_line(it.message), "allowed": it.allowed}
            for it in report.problems
        ],
        "problem_kinds": report.problems.kinds,
        "failures": _failures(report),
        "incomplete": [
            {"video_id": it.video_id, "state": it.state, "frames": it.frames, "done": it.done,
             "reason": one_line(it.reason)}
            for it in report.incomplete
        ],
        "notes": [
            {"video_id": it.video_id, "notes": [one_line(note) for note in it.notes]} for it in noted[:LISTED]
        ],
        "noted": len(noted),
        "review": [
            {"video_id": it.video_id, "reasons": [one_line(flag.text) for flag in it.flags]}
            for it in report.to_review[:REVIEWS]
        ],
        "to_review": len(report.to_review),
        "slowest": [
            {"video_id": it.video_id, "render_seconds": _number(it.render_seconds), "frames": it.frames,
             "seconds_per_frame": _number(per_frame(it))}
            for it in report.slowest
        ],
        "runs": [
            {
                "run": it.run, "name": one_line(it.name), "flow": it.flow, "manifest": it.manifest, "link": it.link,
                "attempts": it.attempts, "began": iso_text(it.began), "ended": iso_text(it.ended), "result": it.result,
                "message": one_line(it.message), "rendered": it.rendered, "failed": it.failed, "actors": it.actors,
                "wall_seconds": _number(it.wall_seconds), "render_seconds": _number(it.render_seconds),
            }
            for it in report.runs
        ],
        "hosts": [one_line(it) for it in report.hosts],
        "unread": report.unread,
        "versions": dict(report.versions),
    }  # fmt: skip


def _failures(report: JobReport) -> dict[str, dict[str, int]]:
    frames: dict[str, set[tuple[str, int | None]]] = {}
    standing: dict[str, set[tuple[str, int | None]]] = {}
    for video in report.videos:
        for failure in video.failures:
            frames.setdefault(failure.kind, set()).add((video.video_id, failure.frame))
        for failure in video.unresolved:
            standing.setdefault(failure.kind, set()).add((video.video_id, failure.frame))
    return {
        kind: {"attempts": attempts, "frames": len(frames[kind]), "standing": len(standing.get(kind, ()))}
        for kind, attempts in report.failures_by_kind.items()
    }


def _number(value: float | None, digits: int = 3) -> float | None:
    return round(value, digits) if value is not None and math.isfinite(value) else None
