"""Markdown for Prefect: whatever a prompt holds, a real parser finds the same cells and the very same characters."""

from __future__ import annotations

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from flows.report.markdown import escape_markdown, failure_table, inert_text, summary_markdown, video_table
from flows.report.wording import one_line

HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "</td></tr></table><h1>hi",
    "&lt;b&gt; &#60;b&#62; &amp;",
    "[click](https://evil.example)",
    "![x](data:image/png;base64,AAAA)",
    "[ref]: https://evil.example",
    "<https://evil.example>",
    "https://evil.example www.evil.example me@evil.example mailto:me@evil.example",
    "a | b || c \\| d",
    "`code` ``more`` ```",
    "**bold** _it_ ~~gone~~ $x$",
    "# heading",
    "> quote",
    "- item",
    "1. item",
    "    code block",
    "a\nb\r\n\n| --- | --- |\n\n# c",
    "=====",
    "```js\nalert(1)\n```",
    "trailing backslash \\",
    "{{ 7*7 }} ^1 [^1]",
    "雪 👻 שלום",
]

JOINER = "\u2060"
PARSER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
# As remark's and marked's GitHub flavours: what would be made a link of plain text, after entities are decoded.
AUTOLINK = re.compile(r"(?:https?://|www\.)[-.\w]+|[-.\w+]+@[-\w]+\.[-\w]|mailto:[-\w]", re.IGNORECASE)


def cells(table: str) -> list[list[str]]:
    """The table's cells as a browser shows them, of Markdown that must hold one table only; fails on other elements."""
    shown = PARSER.render(table)
    assert set(re.findall(r"</?(\w+)", shown)) <= {"table", "thead", "tbody", "tr", "th", "td"}
    rows = re.findall(r"<tr>(.*?)</tr>", shown, flags=re.DOTALL)
    return [[html.unescape(cell) for cell in re.findall(r"<t[hd]>(.*?)</t[hd]>", row, flags=re.DOTALL)] for row in rows]


def check_escaped(text: str) -> None:
    wanted = one_line(text, 300)
    table = f"| a | b |\n| --- | --- |\n| {escape_markdown(text)} | end |"
    [_, row] = cells(table)
    assert [cell.replace(JOINER, "") for cell in row] == [wanted.replace(JOINER, ""), "end"]
    assert not AUTOLINK.search(row[0])

    alone = PARSER.render(f"{escape_markdown(text)}")
    assert set(re.findall(r"</?(\w+)", alone)) <= {"p"}
    assert html.unescape(alone.removeprefix("<p>").removesuffix("</p>\n")).replace(JOINER, "") == wanted.replace(
        JOINER, ""
    )


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_shown_as_it_is(text):
    check_escaped(text)


@given(
    st.text(alphabet=st.sampled_from("a1 \n\t|`*_~<>&;#[]()!\\-+=.:/@w{}$^\"'\x00\ud800"), max_size=40)
    | st.text(max_size=40)
)
def test_any_text_is_shown_as_it_is(text):
    check_escaped(text)


def test_plain_prompts_are_left_alone():
    for text in ("a red apple, 4k, oil painting:1.5", "0: a forest at dawn", "s3://bucket/out", "0.69", "3.1 %"):
        assert escape_markdown(text) == text


@pytest.mark.parametrize("text", HOSTILE)
def test_inert_text_reads_the_same_and_does_nothing_as_markdown(text):
    inert = inert_text(text)
    assert inert.replace(JOINER, "") == one_line(text)
    shown = PARSER.render(inert)
    assert set(re.findall(r"<(\w+)", shown)) <= {"p", "em", "strong", "s", "code"}  # emphasis does no harm
    assert not AUTOLINK.search(inert)


def sections(markdown: str) -> dict[str, str]:
    parts = re.split(r"^#+ (.*)$", markdown, flags=re.MULTILINE)
    return {title.strip(): body.strip() for title, body in zip(parts[1::2], parts[2::2], strict=True)}


def test_summary_of_a_good_job(make_video, make_job):
    page = sections(summary_markdown(make_job(make_video(), gpus_per_actor=0.5)))
    assert list(page) == ["nightly"]
    assert page["nightly"].startswith("**1 of 1 video done, 4 of 4 frames.**")
    table = dict(cells(page["nightly"].split("\n\n")[1])[1:])
    assert table == {
        "videos": "1 done",
        "frames": "4 rendered now, 0 kept",
        "wall time": "2 min 10 s",
        "render time": "3 min 48 s",
        "actor hours": "0.063",
        "GPU hours": "0.032",
        "overhead": "5.3 %",
        "manifest": "manifests/nightly.parquet",
        "output": "s3://renders/nightly",
    }


def test_summary_lists_the_slowest_videos(make_video, make_job):
    videos = [make_video(video_id=f"v{n}", frame_seconds=((0, float(n)), (1, 3.0 * n))) for n in (10, 40, 20)]
    page = sections(summary_markdown(make_job(*videos)))
    assert cells(page["Slowest videos"].split("\n\n")[0]) == [
        ["video", "render time", "frames", "per frame"],
        ["v40", "2 min 40 s", "4", "1 min 20 s"],
        ["v20", "1 min 20 s", "4", "40 s"],
        ["v10", "40 s", "4", "20 s"],
    ]


def test_summary_says_that_nothing_was_rendered(make_video, make_job):
    job = make_job(make_video(rendered=0, skipped=4), render_seconds=0.0)
    assert "**1 video, all there already: nothing was rendered.**" in summary_markdown(job)
    assert "The manifest holds no rows." in summary_markdown(make_job(render_seconds=0.0))


def test_summary_of_a_job_with_failures_and_bad_rows(make_video, make_job, make_failure, bad_rows):
    prompt = "a reef | <script>alert(1)</script>\n| x |"
    failures = (make_failure(2), make_failure(2, attempt=2, message="again | NaN"))
    video = make_video(prompt=prompt, state="failed", done=3, reason="1 frame failed", failures=failures)
    page = sections(summary_markdown(make_job(video, problems=bad_rows, versions={})))
    assert list(page) == ["nightly", "2 rows were not rendered", "1 video is not complete", "Failed attempts"]
    assert cells(page["2 rows were not rendered"])[3] == [
        "b.parquet", "3", "–", "video_id", "<b>&x", "video_id is no name", "letters and digits",
    ]  # fmt: skip
    assert cells(page["1 video is not complete"])[1] == ["reef", "failed", "3 of 4", "1 frame failed", one_line(prompt)]
    assert cells(page["Failed attempts"])[1] == ["FloatingPointError", "2", "1", "again | NaN"]


def test_long_lists_of_the_summary_are_cut(make_video, make_job, bad_rows):
    videos = [make_video(video_id=f"v{n}", state="missing", done=1) for n in range(1000)]
    text = summary_markdown(make_job(*videos, problems=bad_rows * 100))
    assert "and 975 more" in text
    assert "and 275 more" in text
    assert len(text) < 20_000


def test_what_failed_leads_to_the_form_that_renders_it_again(make_video, make_job, make_failure):
    lost = make_video(state="failed", done=3, failures=(make_failure(2),), frame_losses=((0, 0.5), (1, 0.4)))
    done = make_video(video_id="lagoon", failures=(make_failure(1, video_id="lagoon"),))

    def form(video: str, frames: str) -> str:
        return f"http://ui/run?parameters={video}/{frames}"

    rows = failure_table(make_job(done, lost), form)
    assert [(row["video"], row["re-run"]) for row in rows] == [
        ("reef", "http://ui/run?parameters=reef/2"),
        ("lagoon", ""),
    ]
    shown = PARSER.render(summary_markdown(make_job(done, lost), form))
    assert re.findall(r'href="(.*?)"', shown) == [
        "http://ui/run?parameters=reef/2", "http://ui/run?parameters=reef/missing",
    ]  # fmt: skip


def test_links_lead_to_web_addresses_only(make_video, make_job):
    forms = {
        "re-run [these]": 'http://127.0.0.1:4200/v2/run?parameters=%7B"a": "x)>y"%7D\n',
        "report": "s3://renders/nightly/report/index.html",
        "click": "javascript:alert(1)",
    }
    lost = [make_video(video_id=video, state="missing", done=1) for video in forms]
    shown = PARSER.render(summary_markdown(make_job(*lost, versions={}), lambda video, _: forms[video]))
    [href] = re.findall(r'href="(.*?)"', shown)
    assert href == "http://127.0.0.1:4200/v2/run?parameters=%7B%22a%22:%20%22x)%3Ey%22%7D%0A"
    assert "report: s3://renders/nightly/report/index.html" in html.unescape(shown)
    assert "click: javascript:alert(1)" in html.unescape(shown)


def test_failure_table_has_a_row_per_frame_and_standing_ones_first(make_video, make_job, make_failure):
    repaired = make_video(video_id="lagoon", failures=(make_failure(1, video_id="lagoon", kind="ActorDiedError"),))
    failures = (make_failure(2, attempt=2, message="again"), make_failure(2, attempt=1))
    lost = make_video(state="failed", done=3, failures=failures, frame_losses=((0, 0.5), (1, 0.4), (3, 0.4)))
    first, second = failure_table(make_job(repaired, lost))
    assert first == {
        "video": "reef",
        "frame": 2,
        "outcome": "not rendered",
        "failures": 2,
        "kind": "FloatingPointError",
        "message": "again",
        "worker": "actor-1",
        "seconds": 1.5,
        "when": "22 Nov 2026, 03:01:00 UTC",
        "log": "",
        "re-run": "",
    }
    assert (second["video"], second["outcome"], second["kind"]) == ("lagoon", "rendered later", "ActorDiedError")
    assert failure_table(make_job()) == []


def test_failure_table_is_cut_and_says_so(make_video, make_job, make_failure):
    failures = tuple(make_failure(n) for n in range(500))
    job = make_job(make_video(frames=500, done=0, state="failed", failures=failures, frame_losses=()))
    rows = failure_table(job)
    assert len(rows) == 200
    assert rows[-1]["message"] == "and 301 more frames: see the report"
    assert len({tuple(row) for row in rows}) == 1, "every row has the same columns"
    assert len(failure_table(job, limit=500)) == 500


def test_a_failed_frame_is_told_first_with_what_to_do_about_it(make_video, make_job, make_failure):
    lost = make_video(state="failed", done=3, failures=(make_failure(2, log="http://ui/runs/task-run/7"),),
                      frame_losses=((0, 0.5), (1, 0.4), (3, 0.4)))  # fmt: skip

    def form(video: str, frames: str) -> str:
        return f"http://ui/run?{video}={frames}"

    (row,) = failure_table(make_job(lost), form)
    assert list(row)[:4] == ["video", "frame", "re-run", "log"]
    text = summary_markdown(make_job(lost), form, message="1 missing")
    told = sections(text)
    assert list(told)[:2] == ["nightly", "1 failure stands"]
    assert told["nightly"].startswith("**1 missing**")
    shown = PARSER.render(text)
    assert '<a href="http://ui/run?reef=2">re-run</a>' in shown
    assert '<a href="http://ui/runs/task-run/7">log</a>' in shown


@pytest.mark.parametrize(
    ("place", "link"),
    [
        ("https://bucket/report/index.html", True),
        ("s3://bucket/report/index.html", False),
        ("file:///tmp/report/index.html", False),
        ("/tmp/out/report/index.html", False),
    ],
)
def test_only_what_a_browser_can_follow_from_a_web_page_is_a_link(make_video, make_job, place, link):
    shown = PARSER.render(summary_markdown(make_job(make_video()), place=place))
    assert ("<a href" in shown) is link
    assert place in shown


def test_every_video_of_a_run_is_in_its_table_the_worst_first(make_video, make_job):
    videos = [make_video(video_id=f"v{n}") for n in range(5)]
    lost = make_video(video_id="lost", state="failed", reason="no [picture](x)", done=0, rendered=0)
    rows = video_table(make_job(*videos, lost), {"v0", "v1", "v2", "lost"})
    assert [row["video"] for row in rows] == ["lost", "v0", "v1", "v2"]
    assert (rows[0]["state"], rows[0]["frames"], rows[1]["rendered"]) == ("failed", "0 of 4", 4)
    assert "](" not in rows[0]["reason"]
    rows = video_table(make_job(*videos), {f"v{n}" for n in range(5)}, limit=3)
    assert [row["video"] for row in rows] == ["v0", "v1", "and 3 more videos: see the report"]


def test_a_job_of_seconds_tells_its_start_up_and_no_share(make_video, make_job):
    told = summary_markdown(make_job(make_video(), render_seconds=9.0, start_up_seconds=13.0))
    assert "| start-up | 13 s |" in told
    assert "overhead" not in told


@pytest.mark.parametrize(
    "foreign",
    ["javascript:alert(1)", "http://h/](javascript:a) <img src=x>", "[x](http://h)", "http://[h/*_`x`", "<b>"],
)
def test_no_cell_of_a_failure_does_anything(make_video, make_job, make_failure, foreign: str):
    """A failure's object may be anybody's: its log and its moment too."""
    bad = make_failure(frame=1, log=foreign, when=foreign)
    (row,) = failure_table(make_job(make_video(failures=(bad,), state="failed", done=0)))
    for cell in ("log", "when"):
        page = MarkdownIt("commonmark", {"html": True}).render(str(row[cell]))
        assert not re.search(r"<(?!/?(?:p|em|strong|code)>)", page), page


def test_a_log_is_a_plain_address(make_video, make_job, make_failure):
    address = "http://127.0.0.1:4200/runs/task-run/1?tab=logs"
    (row,) = failure_table(make_job(make_video(failures=(make_failure(frame=1, log=address),), state="failed", done=0)))
    assert row["log"] == address


def test_what_machines_lack_is_said(make_job, make_video):
    told = summary_markdown(make_job(make_video(), hosts=("host 'farm-3' lacks | *model*",)))
    assert "## 1 machine lacks what the work needs" in told
    assert "host 'farm-3' lacks | *model*" in html.unescape(PARSER.render(told)).replace(JOINER, "")
