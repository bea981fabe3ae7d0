"""What the page, its JSON and the Markdown tell of scores and of videos to review; and of frames without scores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from flows.report.document import summary_document
from flows.report.html import render_html
from flows.report.markdown import summary_markdown
from flows.report.model import JobReport, VideoReport
from flows.report.review import Limits, worst_frames

MakeVideo = Callable[..., VideoReport]
MakeJob = Callable[..., JobReport]

FLICKER = ((1, 2.0), (2, 31.0), (3, 4.0))


def scored(make_video: MakeVideo, **given: Any) -> VideoReport:
    limits, scores = Limits.of({}, {"flicker_above": 20}), {"flicker": FLICKER}
    return make_video(
        frame_scores=scores, flags=limits.flags(scores), worst=worst_frames(scores, limits),
        frame_hrefs={2: "../reef/frames/000002-0123456789abcdef.png"}, **given,
    )  # fmt: skip


def test_the_page_lists_marks_and_links(make_video: MakeVideo, make_job: MakeJob) -> None:
    page = render_html(make_job(scored(make_video), make_video(video_id="calm")))
    assert "1 video to review" in page
    assert page.count("flicker 31 at frame 2 is above 20") == 2
    assert page.count('data-review="1"') == 1
    assert '<a href="../reef/frames/000002-0123456789abcdef.png">frame 2</a> 31' in page
    assert '<input type="radio" name="state" value="review">' in page


def test_a_still_tells_its_scores_as_numbers(make_video: MakeVideo, make_job: MakeJob) -> None:
    scores = {"likeness": ((0, 0.3125),), "sharpness": ((0, 90.0),)}
    still = make_video(frames=1, done=1, frame_scores=scores, worst=worst_frames(scores), judge="<big>")
    page = render_html(make_job(still))
    assert "<dd>0.3125" in page
    assert "&lt;big&gt;" in page
    assert "to review" not in page.split("<body>")[1].split("<script>")[0]


def test_json_and_markdown_count_them(make_video: MakeVideo, make_job: MakeJob) -> None:
    job = make_job(scored(make_video), make_video(video_id="calm"))
    told = summary_document(job)
    assert told["to_review"] == 1
    assert told["review"] == [{"video_id": "reef", "reasons": ["flicker 31 at frame 2 is above 20"]}]
    text = summary_markdown(job)
    assert "## 1 video to review" in text
    assert "| to review | 1 video |" in text


def test_of_frames_without_scores_nothing_is_said(make_video: MakeVideo, make_job: MakeJob) -> None:
    job = make_job(make_video())
    assert (summary_document(job)["to_review"], summary_document(job)["review"]) == (0, [])
    assert "to review" not in summary_markdown(job)
    assert "Worst frames" not in render_html(job)


def test_a_frames_link_stays_in_the_output(make_video: MakeVideo) -> None:
    with pytest.raises(ValueError, match=r"frame_hrefs\[0\]"):
        make_video(frame_hrefs={0: "file:///etc/passwd"})
