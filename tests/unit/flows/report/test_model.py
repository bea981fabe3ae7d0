"""The report's arithmetic: what counts as overhead, as a bad row, as a failure that still stands."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from flows.report import wording
from flows.report.model import per_frame


def test_overhead_is_the_actor_time_beside_rendering(make_job):
    # (130 - 10) * 2 = 240 actor seconds, 228 of them in frames
    assert make_job().overhead == pytest.approx(240 / 228 - 1)
    assert make_job(render_seconds=0.0).overhead is None
    assert make_job(actors=None).overhead is None
    assert make_job(render_seconds=900.0).overhead == 0.0


def test_hours_of_actors_and_gpus(make_job):
    job = make_job(render_seconds=7200.0, gpus_per_actor=0.25)
    assert (job.actor_hours, job.gpu_hours) == (2.0, 0.5)


def test_two_problems_of_one_row_are_one_bad_row(make_job, bad_rows):
    job = make_job(problems=bad_rows)
    assert (len(job.problems), job.bad_rows, job.complete) == (3, 2, False)


def test_incomplete_videos_come_worst_first(make_job, make_video):
    states = ["done", "missing", "failed", "missing", "invalid"]
    job = make_job(*(make_video(video_id=f"v{n}", state=state) for n, state in enumerate(states)))
    assert [video.video_id for video in job.incomplete] == ["v4", "v2", "v1", "v3"]
    assert job.states == {"invalid": 1, "failed": 1, "missing": 2, "rendering": 0, "waiting": 0, "done": 1}


def test_slowest_videos_are_those_that_this_job_rendered(make_job, make_video):
    def video(name, *seconds, rendered=1):
        timed = tuple(enumerate(seconds))
        return make_video(video_id=name, frames=len(seconds), frame_seconds=timed, rendered=rendered)

    quick, slow = video("quick", 1.0, 2.0), video("slow", 4.0, float("nan"), 2.0)
    kept, unknown = video("kept", 100.0, rendered=0), video("unknown")
    assert make_job(quick, kept, slow, unknown).slowest == (slow, quick)
    assert (slow.render_seconds, per_frame(slow), per_frame(unknown)) == (6.0, 3.0, 0.0)
    many = [video(f"v{n}", float(n)) for n in range(1, 40)]
    assert [it.video_id for it in make_job(*many).slowest] == [f"v{n}" for n in range(39, 29, -1)]


def test_a_failure_stands_until_its_frame_is_there(make_video, make_failure):
    failures = (make_failure(1), make_failure(7), make_failure(None))
    video = make_video(frames=8, done=4, state="failed", failures=failures)
    assert [failure.frame for failure in video.unresolved] == [7, None]
    assert make_video(failures=failures).unresolved == ()


@pytest.mark.parametrize(
    "href", ["https://evil.example/v.mp4", "//evil.example/v", "/etc/v.mp4", "javascript:alert(1)"]
)
def test_a_link_out_of_the_job_is_refused(make_video, href):
    with pytest.raises(ValueError, match=r"video 'reef' is not relative: .*'\.\./reef/video\.mp4'"):
        make_video(video_href=href)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.0421, "0.042 s"),
        (9.96, "10 s"),
        (59.7, "1 min"),
        (200, "3 min 20 s"),
        (7500, "2 h 05 min"),
        (200_000, "2 d 8 h"),
        (float("nan"), "–"),
        (-1, "–"),
    ],
)
def test_seconds_as_people_say_them(seconds, text):
    assert wording.seconds_text(seconds) == text


def test_moments():
    text = "22 Nov 2026, 03:00:02 UTC"
    assert wording.moment_text("2026-11-22T04:00:02+01:00") == text
    assert wording.moment_text(datetime(2026, 11, 22, 3, 0, 2, tzinfo=UTC)) == text
    assert wording.moment_text("last night") == "last night"


def test_text_that_cannot_be_shown_is_made_visible():
    assert wording.clean("a\x00b\u202ec\ud800d\te\r\nf") == "a␀b\ufffdc\ufffdd\te\nf"
    assert wording.one_line("  a \n b  ") == "a b"
    assert wording.one_line("x" * 30, 10) == "x" * 9 + "…"
