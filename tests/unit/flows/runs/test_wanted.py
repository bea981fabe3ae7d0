"""What the runs of an output want, and what they come to for people."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from flows.runs.latest import latest_of
from flows.runs.record import RefusedVideo, RunRecord, RunState, RunVideo, WorkerState
from flows.runs.stored import StoredRun
from flows.runs.summed import earlier_attempts, summed
from flows.runs.wanted import wanted
from manifests.results import RowProblem

NOW = datetime(2026, 11, 28, 3, 0, tzinfo=UTC)


def run(
    identity: str, manifest: str, *videos: str, refused: tuple[str, ...] = (), problems: Any = (), state: Any = None,
    **given: Any,
) -> StoredRun:  # fmt: skip
    """A run of videos of two frames; `state` None: it has ended."""
    known: dict[str, Any] = {"phase": "ended", "result": "Completed", "updated": NOW, "ended": NOW, **(state or {})}
    return StoredRun(
        RunRecord(
            schema=1, run=identity, manifest=manifest, began=NOW - timedelta(minutes=5), problems=problems,
            videos=tuple(RunVideo(video_id=video, frames=2) for video in videos),
            refused=tuple(RefusedVideo(video_id=video, frames=3, reason="no picture") for video in refused), **given,
        ),
        RunState(schema=1, run=identity, **known),
    )  # fmt: skip


def problem(row: int, video_id: str | None = None) -> RowProblem:
    return RowProblem("a.parquet", row, video_id, "frames", "-1", "1 to 10", "frames is -1")


def test_the_latest_run_of_each_manifest_says_which_rows_are_no_good() -> None:
    found = wanted([
        run("1", "a", "reef", refused=("ghost",), problems=(problem(3),)),
        run("2", "b", "boat", problems=(problem(7),)),
        run("3", "a", "reef", "ghost"),
    ], NOW)  # fmt: skip
    assert found.problems == (problem(7),), "row 3 of a was repaired"
    assert found.refused == {}
    assert found.frames == {"boat": 2, "reef": 2, "ghost": 2}
    assert found.turns == {}


def test_of_a_manifest_in_parts_the_latest_run_of_each_counts() -> None:
    first = run("1", "a", "reef", "boat")
    one = run("2", "a", "reef", part=1, videos_per_run=1, problems=(problem(3),))
    two = run("3", "a", "boat", part=2, videos_per_run=1, problems=(problem(3),))
    again = run("4", "a", "reef", part=1, videos_per_run=1)
    other = run("5", "a", "reef", "boat", "dunes", part=1, videos_per_run=3)

    assert latest_of([first]) == [first]
    assert latest_of([first, one]) == [one], "the whole is outdated by its first part"
    assert latest_of([first, one, two, again]) == [two, again]
    assert latest_of([one, two, first]) == [first]
    assert latest_of([one, two, other]) == [other], "another cut"
    shorter = run("6", "a", "reef", part=1, videos_per_run=1, parts=1)
    assert latest_of([one, two, shorter]) == [shorter], "the manifest has one part now"
    assert wanted([first, one, two], NOW).problems == (problem(3),)
    assert list(wanted([first, one, two], NOW).frames) == ["reef", "boat"]


def test_a_row_that_another_manifest_has_taken_since_is_good() -> None:
    bad = run("1", "a", refused=("ghost",), problems=(problem(3, "dunes"), problem(4)))
    found = wanted([bad, run("2", "fixed", "ghost", "dunes")], NOW)
    assert (found.refused, found.problems) == ({}, (problem(4),))
    again = wanted([run("0", "fixed", "ghost", "dunes"), bad], NOW)
    assert (set(again.refused), again.problems) == ({"ghost"}, (problem(3, "dunes"), problem(4)))


def test_turns_are_those_of_runs_that_live() -> None:
    worker = WorkerState(worker="actor-1", state="rendering", video_id="v3")
    alive = {
        "phase": "rendering", "phases": "dfrwr", "workers": (worker,), "ended": None,
        "updated": NOW - timedelta(seconds=9),
    }  # fmt: skip
    assert wanted([run("1", "a", "v1", "v2", "v3", "v4", "v5", "v6", state=alive)], NOW).turns == {
        "v3": "rendering", "v4": "waiting", "v5": "waiting", "v6": "waiting",
    }, "v5 has been begun, and nobody draws it now"  # fmt: skip
    silent = alive | {"updated": NOW - timedelta(minutes=9)}
    assert wanted([run("1", "a", "v1", "v2", "v3", "v4", state=silent)], NOW).turns == {}


def test_attempts_of_one_flow_run_are_one_run() -> None:
    numbers = {"rendered": 200, "actors": 2, "elapsed": 60.0, "render_seconds": 100.0}
    dead = {"phase": "rendering", "ended": None, "updated": NOW - timedelta(hours=1), **numbers}
    runs = [
        run("1", "a", flow_run="x", name="render a", attempt=1, state=dead),
        run("2", "b", flow_run="y", name="render b", state=dead),
        run("3", "a", flow_run="x", name="render a", attempt=2, state={**numbers, "actors": 3, "result": "Failed"}),
    ]
    first, second = summed(runs, NOW)
    assert (first.name, first.attempts, first.rendered, first.actors, first.result) == ("render a", 2, 400, 3, "Failed")
    assert (first.wall_seconds, first.render_seconds) == (120.0, 200.0)
    assert (second.name, second.result, second.attempts) == ("render b", "died", 1)
    assert [state.run for state in earlier_attempts(runs, "x", "3")] == ["1"]
    assert earlier_attempts(runs, "", "3") == ()


def test_of_the_limits_of_scores_the_latest_run_of_rows_counts() -> None:
    limited = run("1", "a", "reef", "boat", reviews={"reef": {"flicker_above": 3.0}})
    rerun = run("2", "frames 3 of reef", "reef")
    assert wanted([limited, rerun], NOW).reviews == {"reef": {"flicker_above": 3.0}, "boat": {}}, "it had no rows"
    assert wanted([limited, run("3", "a", "reef", reviews={})], NOW).reviews == {"reef": {}, "boat": {}}
    assert wanted([rerun], NOW).reviews == {}, "of its rows nothing is known: their plans tell"
