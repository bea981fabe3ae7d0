"""The page of combinations: every video in its place, and hostile texts stay texts."""

from __future__ import annotations

from collections.abc import Callable
from html.parser import HTMLParser
from itertools import product

import pytest

from flows.report import grid as grid_page
from flows.report.grid import render_grid
from flows.report.html import render_html
from flows.report.model import JobReport, VideoReport
from manifests.schema import AxisValue

Video = Callable[..., VideoReport]
Job = Callable[..., JobReport]


class Tables(HTMLParser):
    """The tables of a page: their captions, and each row as its head and the videos of its cells."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.captions: list[str] = []
        self.tables: list[list[list[list[str]]]] = []
        self.heads: list[str] = []
        self.links: list[str] = []
        self._inside = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag == "td":
            self.tables[-1][-1].append([])
        elif tag == "a" and "data-at" in given:
            self.links.append(str(given["href"]))
            if self.tables:
                self.tables[-1][-1][-1].append(str(given["href"]).partition("#video-")[2])
        self._inside = tag

    def handle_data(self, data: str) -> None:
        if self._inside == "h3":
            self.captions.append(data)
        if self._inside == "th":
            self.heads.append(data)

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""


def axes(**values: tuple[int, str]) -> tuple[AxisValue, ...]:
    return tuple(AxisValue(name=name, value=value, number=number) for name, (number, value) in values.items())


def test_there_is_no_page_without_combinations(make_video: Video, make_job: Job) -> None:
    assert render_grid(make_job(make_video())) is None
    assert "grid.html" not in render_html(make_job(make_video()))


def test_every_video_stands_at_its_values(make_video: Video, make_job: Job) -> None:
    videos = [
        make_video(
            video_id=f"{subject}-{style}-{lr}",
            axes=axes(
                subject=(subject, f"s{subject}"), style=(style, f"t{style}"), lr=(lr, f".{lr}"), steps=(0, "300")
            ),
        )
        for subject, style, lr in product(range(2), range(3), range(2))
    ]
    report = make_job(*reversed(videos), make_video(video_id="other"))
    page = Tables(text := render_grid(report) or "")
    assert page.captions == ["lr: .0", "lr: .1"], "in the order of the values, not of the videos"
    for lr, table in enumerate(page.tables):
        assert table[1:] == [[[f"{subject}-{style}-{lr}"] for subject in range(2)] for style in range(3)]
    assert page.heads[:3] == ["style ↓ subject →", "s0", "s1"], "the longer axis goes down"
    assert "the same for all: steps <b>300</b>" in text
    assert '<a href="grid.html">12 videos as a table</a>' in render_html(report)


def test_one_axis_is_a_row_and_blocks_of_other_axes_stand_apart(make_video: Video, make_job: Job) -> None:
    videos = [make_video(video_id=f"seed-{n}", axes=axes(seed=(n, str(n)))) for n in range(3)]
    videos += [make_video(video_id=f"x-{n}", axes=axes(a=(n, str(n)), b=(1 - n, "b"))) for n in range(2)]
    page = Tables(render_grid(make_job(*videos)) or "")
    assert page.links[:3] == [f"index.html#video-seed-{n}" for n in range(3)]
    assert [table[1:] for table in page.tables] == [[[[], ["x-0"]], [["x-1"], []]]]


def test_videos_of_one_combination_share_a_cell_and_states_are_told(make_video: Video, make_job: Job) -> None:
    place = axes(a=(0, "x"), b=(0, "y"))
    videos = [make_video(video_id=f"v{n}", axes=place) for n in range(2)]
    videos += [
        make_video(video_id="w", axes=axes(a=(1, "z"), b=(1, "q")), state="failed", poster=None, done=1),
        make_video(video_id="u", axes=axes(a=(1, "z"), b=(0, "y")), state="waiting", poster=None, frame_losses=()),
    ]
    page = Tables(text := render_grid(make_job(*videos)) or "")
    assert page.tables[0][1:] == [[["v0", "v1"], []], [["u"], ["w"]]]
    assert 'class="tile failed"' in text
    assert 'class="none">waiting' in text


@pytest.mark.parametrize(
    "text",
    ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "</style>", "a\u202eb", "\ud800", "", "{{ 7*7 }}"],
)
def test_hostile_texts_stay_texts(make_video: Video, make_job: Job, text: str) -> None:
    hostile = (
        AxisValue.model_construct(name=f"n{text}", value=text, number=0),
        AxisValue.model_construct(name="b", value=text + "x", number=0),
    )
    videos = [
        make_video(video_id="v", axes=hostile),
        make_video(video_id="w", axes=(*hostile[:1], axes(b=(1, "y"))[0])),
    ]
    page = render_grid(make_job(*videos, title=text)) or ""
    page.encode()
    assert page.count("<script>") == 1
    assert "<img src=x" not in page
    assert "49" not in Tables(page).heads
    assert "\u202e" not in page
    assert "'unsafe" not in page


def test_a_page_of_very_many_stays_light(make_video: Video, make_job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grid_page, "MOST_CELLS", 10)
    videos = [
        make_video(video_id=f"v{n}", axes=axes(a=(n % 4, str(n % 4)), b=(n // 4, str(n // 4)))) for n in range(15)
    ]
    page = render_grid(make_job(*videos)) or ""
    assert len(Tables(page).links) == 10
    assert "and 5 more videos" in page
