"""The page: hostile text stays text, nothing is fetched from elsewhere, and a thousand videos fit."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import time
from datetime import UTC, datetime
from html.parser import HTMLParser

import pytest
from PIL import Image

from flows.report import posters
from flows.report.html import LIST_LIMIT, render_html
from flows.runs.summed import RunSummary
from manifests.schema import Keyframes, ManifestRow

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</style><script>alert(1)</script>",
    "</details></main></body>",
    "<!-- {{ 7*7 }} {% raw %} -->",
    "a & b &amp; c &lt;",
    "javascript:alert(1)",
    "[link](https://evil.example) | `code`",
    "雪 👻 שלום",
]


class Page(HTMLParser):
    """Elements with their attributes, the text outside of style and script, and the tags that were left open."""

    VOID = frozenset({"meta", "link", "img", "input", "path", "br"})
    OPTIONAL = frozenset({"th", "td", "tr", "dt", "dd", "li", "option"})  # their end tags may be left out

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in self.VOID | self.OPTIONAL:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag in self.OPTIONAL:
            return
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("style", "script"):
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def shape(page: Page) -> list[tuple[str, tuple[str, ...]]]:
    return [(tag, tuple(sorted(attributes))) for tag, attributes in page.elements]


@pytest.fixture
def everywhere(make_video, make_job, make_failure):
    """A job with the given text in every place that takes foreign text."""

    class Problem:
        row = 3

        def __init__(self, text: str) -> None:
            self.file = self.video_id = self.column = self.value = self.allowed = self.message = text

    def make(text: str):
        failure = make_failure(2, worker=text, kind=text, message=text, when=text)
        settings = {"init_image": text, text: 1, "group": {text: text, "list": [text]}}
        video = make_video(
            video_id=text, prompt=text, model=text, settings=settings, state="failed", reason=text, done=3,
            failures=(failure,), frame_losses=((0, 0.5), (1, 0.4), (3, 0.4)),
        )  # fmt: skip
        names = dict.fromkeys(("title", "manifest", "output", "started", "finished"), text)
        return make_job(video, problems=(Problem(text),), versions={text: text}, **names)

    return make


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_adds_no_element_and_no_attribute(everywhere, text):
    page, harmless = Page(render_html(everywhere(text))), Page(render_html(everywhere("harmless")))
    assert shape(page) == shape(harmless)
    assert not page.wrong
    assert not page.open
    assert page.text.count(text) >= 10


def test_control_characters_and_surrogates_can_be_written(everywhere):
    page = render_html(everywhere("a\x00b\x1bc\ud83dd\u202ee"))
    assert "a␀b␛c\ufffdd\ufffde" in page
    assert "\x00" not in page
    page.encode("utf-8")


def test_nothing_is_fetched_from_elsewhere(everywhere, make_video, make_job, make_failure, bad_rows):
    for job in (
        everywhere("harmless"),
        make_job(make_video(failures=(make_failure(log="https://ui.test/"),)), problems=bad_rows),
    ):
        text = render_html(job)
        assert not re.search(r"(?:https?:)?//[\w-]+\.\w", text)
        assert "@import" not in text
        assert "url(" not in text
        for tag, attributes in Page(text).elements:
            for name in ("src", "href", "poster", "srcset", "action", "data"):
                link = attributes.get(name)
                assert link is None or link.startswith(("data:", "../", "#")), (tag, name, link)


def test_the_policy_allows_our_own_style_and_script_and_no_other(make_video, make_job):
    text = render_html(make_job(make_video()))
    [policy] = [meta["content"] for meta in Page(text).all("meta") if "http-equiv" in meta]
    for tag in ("style", "script"):
        [inside] = re.findall(rf"<{tag}>(.*?)</{tag}>", text, flags=re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert " style=" not in text, "a style attribute would be refused by the policy"


def test_player_picture_or_download_by_type(make_video, make_job):
    page = Page(render_html(make_job(make_video())))
    [video] = page.all("video")
    assert (video["src"], video["preload"], "controls" in video) == ("../reef/video.mp4", "none", True)
    assert "crisp" in video["class"]

    gif = make_video(video_href="../reef/video.gif", video_mime="image/gif", width=512, height=512)
    page = Page(render_html(make_job(gif)))
    [picture_] = [image for image in page.all("img") if image["src"] == "../reef/video.gif"]
    assert picture_["loading"] == "lazy"
    assert "crisp" not in picture_["class"]
    assert not page.all("video")

    frames = make_video(video_href="../reef/video.zip", video_mime="application/zip", sheet_href=None)
    page = Page(render_html(make_job(frames)))
    assert [link["href"] for link in page.all("a")] == ["../reef/video.zip"]
    assert not page.all("video")


def test_links_are_quoted(make_video, make_job):
    page = Page(render_html(make_job(make_video(video_href="../a b/\tx:y?#.mp4"))))
    assert page.all("video")[0]["src"] == "../a%20b/%09x%3Ay%3F%23.mp4"


def test_empty_job(make_job):
    page = Page(render_html(make_job(title="nothing", render_seconds=0.0)))
    assert "This manifest holds no rows" in page.text
    assert not page.all("details")
    assert not page.all("input")
    assert "not rendered" not in page.text


def test_bad_rows_are_reported_at_the_top_with_value_and_remedy(make_video, make_job, bad_rows):
    page = Page(render_html(make_job(make_video(), problems=bad_rows)))
    top = page.text[: page.text.index("a coral reef")]
    assert "2 rows were not rendered" in top
    for words in ("a.parquet", "dunes", "9-3", "1 to 1,000,000", "fps is negative", "b.parquet", "<b>&x"):
        assert words in top


def test_only_bad_rows(make_job, bad_rows):
    text = Page(render_html(make_job(problems=bad_rows))).text
    assert "No row of this manifest could be rendered." in text
    assert "2 rows were not rendered" in text


def test_failures_are_reported_with_frame_and_message(make_video, make_job, make_failure):
    failures = (make_failure(2, attempt=1), make_failure(2, attempt=2, message="loss is NaN again"))
    left = ((0, 0.9), (1, 0.8), (3, 0.7))
    lost = make_video(state="failed", done=3, reason="1 frame failed", failures=failures, frame_losses=left,
                      video_href=None, sheet_href=None)  # fmt: skip
    repaired = make_video(video_id="lagoon", failures=(make_failure(1, kind="ActorDiedError"),))
    text = render_html(make_job(lost, repaired))
    page = Page(text)
    assert "1 video is not complete" in page.text
    assert "failed: 1 of 4" in page.text
    assert "loss is NaN again" in page.text
    assert "FloatingPointError 2" in page.text
    assert "all repaired by a retry" in page.text
    assert "#video-reef" in [link["href"] for link in page.all("a")]
    assert text.count('class="mark"') == 2, "the failed frame is marked in both charts over frames, of this video only"
    cards = [it for it in page.all("details") if "data-state" in it]
    assert [card["data-state"] for card in cards] == ["failed", "done"]


def test_slowest_videos_are_listed_and_lead_to_their_cards(make_video, make_job):
    videos = [make_video(video_id=f"v{n}", frame_seconds=((0, float(n)),)) for n in (10, 40, 20)]
    page = Page(render_html(make_job(*videos)))
    linked = [link["href"] for link in page.all("a") if str(link["href"]).startswith("#video-")]
    assert linked == ["#video-v40", "#video-v20", "#video-v10"]
    assert "Slowest videos" not in render_html(make_job(videos[0]))  # its time is the job's


def test_long_lists_are_cut_and_say_so(make_video, make_job, make_failure, bad_rows):
    failures = tuple(make_failure(n) for n in range(LIST_LIMIT + 5))
    videos = [
        make_video(video_id=f"v{n}", state="missing", done=0, failures=failures if n == 0 else (), frame_losses=())
        for n in range(LIST_LIMIT + 7)
    ]
    text = Page(render_html(make_job(*videos, problems=bad_rows * LIST_LIMIT))).text
    assert "and 5 more failures" in text
    assert "and 7 more videos" in text
    assert f"and {2 * LIST_LIMIT} more problems" in text


def test_settings_and_scenes_are_all_there(make_video, make_job):
    prompt = "0: a forest at dawn | 120: a city at night"
    text = Page(render_html(make_job(make_video(prompt=prompt)))).text
    for words in (prompt, "zoom", "0:(1.02), 60:(1.05)", "cutouts", "number", "32", "0.1"):
        assert words in text


def test_charts_need_two_frames_and_ignore_nan(make_video, make_job):
    still = make_video(frames=1, frame_losses=((0, 0.5),), frame_seconds=((0, 2.0),))
    assert render_html(make_job(still)).count("<figure") == 1  # the loss per step; a chart of one frame tells nothing
    nan = float("nan")
    blind = make_video(frame_losses=((0, nan), (1, nan)), first_frame_losses=(nan,), frame_seconds=((0, nan), (1, nan)))
    text = render_html(make_job(blind))
    assert "<figure" not in text
    assert "nan" not in Page(text).text


def test_small_posters_are_kept_as_they_are_and_crisp(make_video, make_job, make_picture):
    small = make_picture(64)
    [image] = [image for image in Page(render_html(make_job(make_video(poster=small)))).all("img") if not image["alt"]]
    assert image["src"] == f"data:image/png;base64,{base64.b64encode(small).decode()}"
    assert image["class"] == "crisp"


def test_large_posters_are_made_to_fit_their_share(make_picture):
    poster = posters.embed(make_picture(512, noise=True), limit=20_000)
    data = base64.b64decode(poster.uri.split(",")[1])
    assert len(data) <= 20_000
    with Image.open(io.BytesIO(data)) as image:
        assert image.format == "JPEG"
        assert image.size[0] <= 320
    assert not poster.crisp


@pytest.mark.parametrize("broken", [None, b"", b"not a picture", b"\x89PNG\r\n\x1a\n", b"<svg onload='alert(1)'/>"])
def test_a_poster_that_is_no_picture_is_left_out(make_video, make_job, broken):
    assert "no picture" in Page(render_html(make_job(make_video(poster=broken)))).text


def test_a_poster_cut_short_is_left_out_when_it_must_be_made_smaller(make_picture):
    assert posters.embed(make_picture(512, noise=True)[:100_000], limit=20_000) is None


def test_a_thousand_videos_fit_and_do_not_take_long(make_video, make_job, make_picture):
    largest = make_picture(88, noise=True)
    assert 0.8 * posters.share(1000) < len(largest) <= posters.share(1000)
    losses = tuple((frame, 0.5 + frame * 7919 % 100 / 1000) for frame in range(240))
    steps = tuple(1 / (step + 1) for step in range(300))
    shown = {"frames": 240, "done": 240, "frame_losses": losses, "frame_seconds": losses, "first_frame_losses": steps}
    videos = [make_video(video_id=f"v{number}", poster=largest, **shown) for number in range(1000)]
    started = time.process_time()
    text = render_html(make_job(*videos))
    assert time.process_time() - started < 20  # 2 s where it was written
    assert len(text) < 48 * 2**20  # posters within 24 MiB are 32 as base64, and 16 KiB for all else of a video
    assert text.count('<details class="card') == text.count("<video ") == text.count('preload="none"') == 1000
    assert text.count("<img ") == text.count('loading="lazy"') == 2000
    assert not re.search(r"<details[^>]* open", text)


def test_a_hundred_thousand_frames_in_one_video(make_video, make_job):
    pairs = tuple((frame, 0.5 + frame % 17 / 100) for frame in range(100_000))
    text = render_html(make_job(make_video(frames=100_000, done=100_000, frame_losses=pairs, frame_seconds=pairs)))
    assert len(text) < 60_000
    assert "100,000" in Page(text).text


def test_beyond_the_limit_the_incomplete_videos_keep_their_charts(make_video, make_job):
    bare = {"frame_losses": (), "frame_seconds": ()}
    videos = [make_video(video_id=f"v{number}", **bare) for number in range(6)]
    videos.append(make_video(video_id="last", state="failed", done=3, **bare))
    text = render_html(make_job(*videos), detailed_videos=5)
    assert text.count("<figure") == 5
    assert "the other 2 have their player only" in Page(text).text
    assert "<figure" in text[text.index('id="video-last"') :]


def test_same_report_same_bytes(make_video, make_job, bad_rows):
    job = make_job(make_video(), make_video(video_id="b"), problems=bad_rows)
    assert render_html(job) == render_html(job)


def test_runs_are_listed_and_a_page_made_meanwhile_says_so(make_video, make_job):
    moment = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
    known = {
        "flow": "render-manifest", "manifest": "m", "attempts": 1, "began": moment, "ended": moment,
        "message": "<b>all",
        "rendered": 4, "failed": 0, "actors": 2, "wall_seconds": 60.0, "render_seconds": 90.0,
    }  # fmt: skip
    runs = (
        RunSummary(run="2", name="frames 2 of reef", link="http://ui/runs/2", result="running", **known),
        RunSummary(run="1", name="render <m>", link="javascript:alert(1)", result="died", **{**known, "attempts": 3}),
    )
    page = Page(render_html(make_job(make_video(), runs=runs, running=True)))
    assert "2 runs" in page.text
    assert "3 attempts" in page.text
    assert "while a run was at work" in page.text
    assert "last heard of" in page.text
    assert [a["href"] for a in page.all("a") if "runs" in (a["href"] or "")] == ["http://ui/runs/2"]
    assert not any("javascript" in (a["href"] or "") for a in page.all("a"))
    assert "while a run was at work" not in render_html(make_job(make_video(), runs=runs))


def test_a_still_is_shown_once(make_video, make_job):
    still = make_video(
        frames=1, done=1, video_href="../reef/video.png", video_mime="image/png", frame_losses=((0, 0.5),)
    )
    page = Page(render_html(make_job(still)))
    assert not [it for it in page.all("img") if "contact_sheet" in (it["src"] or "")]
    assert [it for it in Page(render_html(make_job(make_video()))).all("img") if "contact_sheet" in (it["src"] or "")]


def test_a_card_without_a_picture_says_why(make_video, make_job):
    text = render_html(make_job(make_video(state="failed", poster=None, done=0, reason="no <picture>")))
    assert re.search(r'class="poster"><span class="none" dir="auto"><b>failed</b> no &lt;picture&gt;', text)
    text = render_html(make_job(make_video(state="waiting", poster=None, done=0)))
    assert 'class="poster"><span class="none">waiting<' in text


def test_bad_rows_have_a_filter_and_a_line_that_leads_to_them(make_video, make_job, bad_rows):
    page = Page(render_html(make_job(make_video(), problems=bad_rows)))
    assert "bad-rows" in [it.get("value") for it in page.all("input")]
    assert "#problems-title" in [it["href"] for it in page.all("a")]
    assert "bad-rows" not in render_html(make_job(make_video())).split("<script>")[0]


def test_a_job_of_seconds_has_no_share_of_overhead(make_video, make_job):
    text = Page(render_html(make_job(make_video(), render_seconds=9.0, start_up_seconds=13.0, wall_seconds=130.0))).text
    assert "overhead" not in text
    assert "start-up13 s" in text
    assert "overhead" in Page(render_html(make_job(make_video()))).text


def test_what_changes_in_time_has_a_chart_under_the_losses(make_job, make_video) -> None:
    timeline = ManifestRow(video_id="a", prompt="b", frames=3000, bpm=90).timeline
    changing = {"zoom": Keyframes.parse("1 + .1*pulse(b)", timeline), "loss.tv": Keyframes.parse("1/(t - 2000)")}
    page = render_html(make_job(make_video(frames=3000, schedules=changing)))
    shown = Page(page).text
    assert "zoom, per frame" in shown
    assert "loss.tv, per frame" in shown  # but for the frame at which it has no value
    assert "zoom, per frame: 1,500 values, 1 to 1.1" in page
    assert shown.index("Seconds per frame") < shown.index("zoom, per frame")
    assert "zoom, per frame" not in render_html(make_job(make_video(frames=3000)))


def test_what_machines_lack_is_at_the_top_of_the_page(make_job, make_video):
    lacks = "host 'farm-3' (worker actor-2) lacks model '<b>mine</b>': it is not there; its frames go to other hosts"
    page = Page(render_html(make_job(make_video(), hosts=(lacks, *HOSTILE))))
    assert page.wrong == []
    assert lacks in page.text
    assert f"{1 + len(HOSTILE)} machines lack what the work needs" in page.text
    assert "what the work needs" not in render_html(make_job(make_video()))
    many = Page(render_html(make_job(make_video(), hosts=tuple(f"host {n}" for n in range(LIST_LIMIT + 7))))).text
    assert "and 7 more" in many


def test_a_renewed_video_shows_its_brightness_and_one_with_candidates_their_scores(make_video, make_job):
    plain = Page(render_html(make_job(make_video())))
    assert "Brightness" not in plain.text
    assert "starts" not in plain.text
    renewed = make_video(frame_lumas=((0, 120.0), (1, 121.5), (2, 119.25)))
    assert "Brightness per frame (luma, of 255)" in Page(render_html(make_job(renewed))).text
    html = render_html(make_job(make_video(candidates=(0.8125, None, 0.7911), chosen=2)))
    shown = " ".join(Page(html).text.split())
    assert "best of 3 starts" in shown
    assert "0.812, failed, 0.791" in shown.replace(" ,", ",")
    assert "<b>0.791</b>" in html
