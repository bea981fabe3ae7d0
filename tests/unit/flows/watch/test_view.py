"""What the live page shows of runs' documents: whole answers, in milliseconds."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from flows.runs.record import FailedFrame, LatestFrame, RefusedVideo, RunRecord, RunState, RunVideo, WorkerState
from flows.runs.stored import StoredRun
from flows.watch.failures import safe_link
from flows.watch.videos import Query, Snapshot, StoredVideo
from flows.watch.view import view
from manifests.results import RowProblem

NOW = datetime(2026, 11, 28, 20, 0, tzinfo=UTC)
DIGEST = "0123456789abcdef"


def run(
    name: str, named: dict[str, int], *, ago: float = 3.0, record: dict[str, Any] | None = None, **state: Any
) -> StoredRun:
    """A run that was heard of `ago` seconds ago."""
    made = RunRecord(
        schema=1, run=name, began=NOW - timedelta(hours=1),
        videos=tuple(RunVideo(video_id=video, frames=frames) for video, frames in named.items()), **(record or {}),
    )  # fmt: skip
    return StoredRun(made, RunState(schema=1, run=name, updated=NOW - timedelta(seconds=ago), **state))


def shown(*runs: StoredRun, others: tuple[StoredVideo, ...] = (), **query: Any) -> dict[str, Any]:
    answer = view(Snapshot("s3://bucket/night", NOW, runs, others), Query(**query))
    json.dumps(answer, allow_nan=False)  # what can't be sent is no answer
    return answer


def states(answer: dict[str, Any]) -> dict[str, str]:
    return {row["video"]: row["state"] for row in answer["rows"]}


def test_a_run_under_way_says_what_each_video_and_worker_does_and_when_it_ends() -> None:
    working = WorkerState(worker="actor-0", state="rendering", busy=True, video_id="reef", frame=4, step=3, steps=9)
    answer = shown(
        run(
            "night", {"reef": 10, "apple": 1, "boat": 5, "wood": 3}, phase="rendering", done=(4, 1, 5, 0),
            phases="rdsw", eta=600.0, frames=19, frames_done=10, videos=4, videos_done=1, workers=(working,),
        )
    )  # fmt: skip
    assert states(answer) == {"reef": "rendering", "boat": "stitching", "wood": "waiting", "apple": "done"}
    assert (answer["frames_done"], answer["frames"], answer["videos"]) == (10, 19, 4)
    (it,) = answer["runs"]
    assert (it["phase"], it["alive"], it["ends"]) == ("rendering", True, "2026-11-28T20:09:57+00:00")
    assert [(w["worker"], w["video"], w["frame"], w["step"]) for w in it["workers"]] == [("actor-0", "reef", 4, 3)]


def test_attempts_of_one_run_are_one_run_and_say_in_words_how_it_ended() -> None:
    mine = {"flow_run": "a", "name": "render night"}
    first = run("1", {"reef": 9}, record=mine, phase="ended", result="Suspended", rendered=3, priority=5)
    other = run("2", {"boat": 2}, phase="ended", result="FramesMissing", rendered=1)
    answer = shown(first, other, run("3", {"reef": 9}, record=mine, phase="rendering", rendered=2, priority=5))
    assert [(it["run"], it["attempt"], it["rendered"], it["ending"]) for it in answer["runs"]] == [
        ("3", 2, 5, ""), ("2", 1, 1, "frames missing"),
    ]  # fmt: skip
    assert shown(first)["runs"][0]["ending"] == "suspended"
    for result, ended_as in (("Completed", "done"), ("Suspended", "waiting"), ("MemoryError", "failed")):
        assert shown(run("1", {}, phase="ended", result=result))["runs"][0]["ended_as"] == ended_as


def test_a_run_that_is_silent_has_no_workers_and_no_end() -> None:
    worker = WorkerState(worker="actor-0", state="rendering", busy=True)
    answer = shown(
        run("night", {"reef": 10}, ago=600, phase="rendering", done=(4,), phases="r", eta=600.0, workers=(worker,))
    )
    (it,) = answer["runs"]
    assert (it["phase"], it["alive"], it["ends"], it["workers"]) == ("silent", False, None, [])
    assert states(answer) == {"reef": "missing"}, "nobody renders it now"


def test_a_run_that_was_begun_and_never_heard_of_is_shown() -> None:
    record = RunRecord(
        schema=1, run="night", began=NOW - timedelta(hours=1), videos=(RunVideo(video_id="reef", frames=3),),
        refused=(RefusedVideo(video_id="ghost", frames=4, reason="no picture"),),
    )  # fmt: skip
    answer = shown(StoredRun(record, None))
    assert answer["runs"][0]["phase"] == "silent"
    assert (answer["runs"][0]["frames"], answer["runs"][0]["videos"]) == (7, 2), "as a run that was heard of counts"
    assert states(answer) == {"ghost": "failed", "reef": "missing"}


def test_the_newest_run_that_names_a_video_knows_it_best() -> None:
    failure = FailedFrame(video_id="reef", frame=3, kind="application", message="camera", final=True)
    night = run("1", {"reef": 10, "boat": 2}, phase="ended", done=(3, 2), phases="fd", failures=(failure,), failed=1)
    assert [group["video"] for group in shown(night)["failures"]] == ["reef"]
    rerun = run("2", {"reef": 10}, phase="ended", result="Completed", done=(10,), phases="d")
    answer = shown(night, rerun)
    assert (answer["failures"], answer["frames_done"]) == ([], 12)
    assert states(answer) == {"reef": "done", "boat": "done"}
    assert [it["run"] for it in answer["runs"]] == ["2", "1"], "the newest first"


def test_failed_frames_come_by_video_with_reason_log_and_what_to_re_run() -> None:
    failures = tuple(
        FailedFrame(
            video_id="reef", frame=frame, kind="application", message="camera", worker="actor-1", attempts=3,
            log="http://ui/runs/task-run/1", final=True,
        )
        for frame in (3, 4, 5, 9)
    )  # fmt: skip
    retried = FailedFrame(video_id="reef", frame=11, kind="application", message="camera", final=False)
    stitch = FailedFrame(video_id="boat", frame=None, kind="storage", message="full", final=False, log="javascript:1")
    failures = (*failures, retried, stitch)
    answer = shown(
        run("night", {"reef": 12, "boat": 1}, phase="rendering", done=(7, 1), phases="fs", failures=failures)
    )
    reef, boat = answer["failures"]
    assert (reef["video"], reef["frames"], reef["count"], reef["again"]) == ("reef", "3-5,9,11", 5, False), "it failed"
    assert (reef["items"][0]["message"], reef["items"][0]["log"]) == ("camera", "http://ui/runs/task-run/1")
    assert (boat["frames"], boat["again"], boat["items"][0]["log"]) == ("", True, "")


def test_a_frame_that_its_run_tries_again_is_listed_although_its_video_goes_on() -> None:
    failure = FailedFrame(video_id="reef", frame=0, message="lost", final=False)
    answer = shown(run("night", {"reef": 2}, phase="rendering", done=(0,), phases="r", failures=(failure,)))
    assert [(group["video"], group["again"]) for group in answer["failures"]] == [("reef", True)]
    silent = shown(run("night", {"reef": 2}, ago=900, phase="rendering", done=(0,), phases="r", failures=(failure,)))
    assert silent["failures"][0]["again"] is False, "nobody is there to try it"
    assert (states(answer), states(silent)) == ({"reef": "waiting"}, {"reef": "failed"}), "as `status` says"


def test_rows_that_are_no_good_are_counted_as_status_counts_them() -> None:
    """One that can't be rendered is a video that failed with all its frames, one that can't be read no video."""
    problem = RowProblem("night.parquet", 7, "bad", "steps", "-1", "1 and more", "steps -1 is too few")
    record = {
        "refused": (RefusedVideo(video_id="ghost", frames=4, reason="no picture"),), "problems": (problem,),
        "manifest": "my night.parquet", "link": "http://ui/runs/1", "name": "render night",
    }  # fmt: skip
    answer = shown(run("night", {"reef": 1}, phase="ended", done=(1,), phases="d", record=record))
    assert states(answer) == {"ghost": "failed", "reef": "done"}
    assert answer["counts"] == {"failed": 1, "rendering": 0, "stitching": 0, "missing": 0, "waiting": 0, "done": 1}
    assert answer["failed"] == {"videos": 1, "frames": 4, "bad_rows": 1}
    assert answer["problems"] == [
        {"place": "row 7, night.parquet", "video": "bad", "message": "steps -1 is too few", "allowed": "1 and more"}
    ]
    (ghost,) = answer["failures"]
    assert ghost["refused"] == {
        "reason": "no picture", "link": "http://ui/runs/1", "run": "render night", "alive": False,
        "command": "nightreel render 'my night.parquet' --output s3://bucket/night",
    }  # fmt: skip
    answer = shown(run("night", {"reef": 1}, phase="rendering", done=(0,), phases="r", record=record))
    assert answer["failures"][0]["refused"]["alive"], "Retry is not offered yet"
    for output, link in (("s3://bucket/night", "http://ui/runs/1"), ("s3://bucket/of-before", "")):
        answer = shown(run("night", {}, record={**record, "output": output}))
        assert answer["failures"][0]["refused"]["link"] == link, "Retry would render where this was copied from"


def test_a_row_that_a_later_run_of_its_manifest_has_no_more_failed_nowhere() -> None:
    ghost = (RefusedVideo(video_id="ghost", frames=4, reason="no picture"),)
    first = run("1", {"reef": 1}, phase="ended", done=(1,), phases="d", record={"refused": ghost, "manifest": "m"})
    again = run("2", {"reef": 1}, phase="ended", done=(1,), phases="d", record={"manifest": "m"})
    answer = shown(first, again)
    assert (states(answer), answer["failed"]["videos"]) == ({"reef": "done"}, 0)


def test_a_video_is_rendering_only_while_a_worker_is_at_it() -> None:
    workers = (
        WorkerState(worker="actor-0", state="rendering", busy=True, video_id="reef", frame=4),
        WorkerState(worker="actor-1", state="idle", video_id="wood", frame=2),  # between two frames
    )
    answer = shown(
        run("night", {"reef": 9, "wood": 9, "boat": 24}, phase="rendering", phases="rrr", done=(4, 3), workers=workers)
    )
    assert states(answer) == {"reef": "rendering", "wood": "rendering", "boat": "waiting"}


@pytest.mark.parametrize(
    ("worker", "done", "phase", "known"),
    [
        (WorkerState(worker="a", state="rendering", busy=True), 3, "rendering", True),
        (WorkerState(worker="a", state="rendering", busy=True), 0, "starting", True),
        (WorkerState(worker="a", state="draining", busy=True), 3, "rendering", True),
        (WorkerState(worker="a", state="idle"), 3, "rendering", True),
        (WorkerState(worker="a", state="drained"), 3, "rendering", False),
        (WorkerState(worker="a", state="starting"), 3, "rendering", False),
        (WorkerState(worker="a", state="silent"), 3, "rendering", False),
        (WorkerState(worker="a", state="idle"), 9, "rendering", False),
        (None, 3, "rendering", False),
    ],
)
def test_an_end_is_known_while_a_worker_is_there_for_what_is_left(
    worker: WorkerState | None, done: int, phase: Any, known: bool
) -> None:
    answer = shown(
        run(
            "night", {"reef": 9}, phase=phase, phases="r", done=(done,), frames=9, frames_done=done, eta=60.0,
            workers=(worker,) if worker else (),
        )
    )  # fmt: skip
    (it,) = answer["runs"]
    assert (it["ends"] is not None, it["phase"]) == (known, "rendering")


def test_videos_that_no_run_names_are_shown_as_their_folders_say() -> None:
    old = StoredVideo("old", "failed", 10, 7, "3-5", "too large")
    answer = shown(others=(old, StoredVideo("older", "done", 1, 1)))
    assert states(answer) == {"old": "failed", "older": "done"}
    assert [(it["video"], it["frames"], it["reason"]) for it in answer["failures"]] == [("old", "3-5", "too large")]


@pytest.mark.parametrize(
    ("query", "expected", "matching"),
    [
        ({"limit": 2}, ["v000", "v001"], 4000),
        ({"offset": 3998, "limit": 50}, ["v3998", "v3999"], 4000),
        ({"offset": 9_999_999, "limit": 50}, ["v3999"], 4000),
        ({"text": "V399", "limit": 1}, ["v399"], 11),
        ({"states": frozenset({"failed"})}, [], 0),
        ({"text": "nothing"}, [], 0),
    ],
)
def test_of_many_videos_a_page_is_sent(query: dict[str, Any], expected: list[str], matching: int) -> None:
    many = {f"v{number:03d}": 1 for number in range(4000)}
    answer = shown(run("night", many, phase="rendering", done=(0,) * 4000, phases="w" * 4000), **query)
    assert [row["video"] for row in answer["rows"]] == expected
    assert (answer["matching"], answer["videos"]) == (matching, 4000)


def test_latest_pictures_are_only_those_that_the_layout_names() -> None:
    good = LatestFrame(video_id="reef", frame=7, key=f"reef/frames/000007-{DIGEST}.png")
    bad = [
        LatestFrame(video_id="reef", frame=7, key=key)
        for key in ("../../etc/passwd", f"reef/frames/000008-{DIGEST}.png")
    ]
    answer = shown(run("night", {"reef": 9}, phase="rendering", done=(8,), phases="r", latest=(good, *bad)))
    assert answer["latest"] == [{"video": "reef", "frame": 7, "digest": DIGEST}]


def test_documents_of_any_content_are_shown_as_text() -> None:
    worker = WorkerState(worker="a\u202eb", state="rendering", busy=True, video_id="x" * 5000, loss=float("nan"))
    answer = shown(
        run(
            "night", {"reef": 1}, phase="rendering", phases="?", eta=1e300, workers=(worker,), message="\x00bell",
            frames=1, record={"name": "<b>\n\n</b>", "link": "javascript:alert(1)", "manifest": "s3://m"},
        )
    )  # fmt: skip
    (it,) = answer["runs"]
    assert (it["link"], it["ends"], it["name"], it["message"]) == ("", None, "<b> </b>", "␀bell")
    assert (it["workers"][0]["loss"], len(it["workers"][0]["video"]), it["workers"][0]["worker"]) == (
        None,
        200,
        "a\ufffdb",
    )
    assert states(answer) == {"reef": "missing"}, "a phase of a later version"


@pytest.mark.parametrize(
    "address", ["javascript:alert(1)", "data:text/html,x", "file:///etc/passwd", "//host", "http:/" * 900]
)
def test_only_addresses_of_the_web_become_links(address: str) -> None:
    assert safe_link(address) == ""
    assert safe_link("https://host/runs/1") == "https://host/runs/1"


def test_videos_to_review_are_counted_marked_and_found() -> None:
    night = run("night", {"reef": 2, "boat": 1}, phase="ended", result="Completed", done=(2, 1), phases="dd")
    snapshot = Snapshot("out", NOW, (night,), reviews={"boat": "flicker 9 at frame 0 is above 3", "gone": "nothing"})
    answer = view(snapshot, Query())
    assert answer["to_review"] == 1
    assert {row["video"]: row["review"] for row in answer["rows"]} == {
        "reef": "", "boat": "flicker 9 at frame 0 is above 3",
    }  # fmt: skip
    assert [row["video"] for row in view(snapshot, Query(frozenset({"review"})))["rows"]] == ["boat"]
