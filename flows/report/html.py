"""The job's report as one HTML file that needs nothing else: no server, no network, no folder beside it but the job's.

It is read from `file://`, from a bucket and from a mail; so styles, script, posters and charts are inside, videos and
contact sheets are relative links, and a content security policy (whose hashes let exactly our own style and script run)
makes the browser refuse all else, whatever a prompt may hold.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from urllib.parse import quote

import jinja2
from markupsafe import Markup

from flows.report import posters, wording
from flows.report.charts import Chart, line_chart
from flows.report.model import STATE_MEANING, JobReport, VideoReport, per_frame
from flows.report.review import SCORES
from manifests.schema import KeyframeError, Keyframes
from manifests.schema.texts import plural

#: Rows of a list before "and N more": problems and incomplete videos at the top, failures within a video.
LIST_LIMIT = 100
#: Videos with charts and settings; the page of a larger job gives the others a card and a player only. Those that are
#: not done come first, because they are what the charts are read for.
DETAILED_VIDEOS = 2000
# Points of a chart, two per column: what a wide screen shows, and what keeps the page of 1,000 videos at some 10 MB.
_COLUMNS_MOST, _COLUMNS_LEAST, _COLUMNS_IN_ALL = 200, 40, 60_000
_MARKS = 200
#: What people call the scores.
SCORE_TITLES = {
    "likeness": "Likeness to the prompt (cosine)", "fit": "Fit to the prompt (cosine)",
    "flicker": "Flicker (change along the camera, of 255)", "sharpness": "Sharpness (variance of the Laplacian)",
}  # fmt: skip
#: Charts of what changes in time, and frames that are looked at for each column of one.
_SCHEDULES, _SAMPLES = 8, 10


@dataclass(frozen=True)
class Card:
    """A video with what the template draws of it."""

    video: VideoReport
    number: int
    prompt: str
    badge: str
    poster: posters.Poster | None
    player: str | None
    video_href: str | None
    sheet_href: str | None
    charts: tuple[Chart, ...]
    worst: tuple[WorstOf, ...]
    settings: list[tuple[str, list[tuple[str, str]]]]
    seconds: float
    loss: float | None


@dataclass(frozen=True)
class WorstOf:
    """The worst frames of a video by one score: each with its value, a link to its picture, and whether it is beyond a
    limit."""

    title: str
    frames: tuple[tuple[int, str, str | None, bool], ...]


def render_html(report: JobReport, *, detailed_videos: int = DETAILED_VIDEOS) -> str:
    """The page, ready to be written as `report/index.html` in UTF-8. The same report gives the same text.

    detailed_videos: how many videos get charts and settings.
    """
    detailed = _detailed(report.videos, detailed_videos)
    columns = min(_COLUMNS_MOST, max(_COLUMNS_LEAST, _COLUMNS_IN_ALL // max(1, len(detailed))))
    poster_bytes = posters.share(sum(video.poster is not None for video in report.videos))
    cards = [
        _card(video, number, columns=columns, poster_bytes=poster_bytes, detailed=number in detailed)
        for number, video in enumerate(report.videos)
    ]
    style, script = asset("report.css"), asset("report.js")
    return template_of("index.html.j2").render(
        report=report,
        cards=cards,
        gridded=sum(bool(video.axes) for video in report.videos),
        left_plain=len(cards) - len(detailed),
        style=Markup(style),
        script=Markup(script),
        policy=policy_of(style, script),
        meaning=STATE_MEANING,
        limit=LIST_LIMIT,
    )


def _detailed(videos: Sequence[VideoReport], limit: int) -> set[int]:
    """Positions of the videos that get charts and settings."""
    order = sorted(range(len(videos)), key=lambda number: videos[number].state == "done")
    return set(order[:limit])


def _card(video: VideoReport, number: int, *, columns: int, poster_bytes: int, detailed: bool) -> Card:
    losses = [loss for _, loss in video.frame_losses if loss == loss]
    return Card(
        video=video,
        number=number,
        prompt=wording.clean(video.prompt),
        badge=_badge(video),
        poster=posters.embed(video.poster, poster_bytes),
        player=_player(video),
        video_href=_href(video.video_href),
        sheet_href=_href(video.sheet_href),
        charts=_charts(video, columns) if detailed else (),
        worst=_worst(video),
        settings=wording.setting_groups(video.settings) if detailed else [],
        seconds=video.render_seconds,
        loss=losses[-1] if losses else None,
    )


def _badge(video: VideoReport) -> str:
    if video.state in ("done", "invalid"):
        return video.state
    if video.done >= video.frames:
        return f"{video.state}: no video"
    return f"{video.state}: {video.frames - video.done:,} of {video.frames:,}"


def _player(video: VideoReport) -> str | None:
    """The element that shows the result: `video`, `img` (stills, GIF), or None for what is only downloaded (a zip, a
    mov)."""
    if video.video_mime == "video/quicktime":
        return None  # for editors: no browser plays ProRes
    kind = (video.video_mime or "").split("/")[0]
    return {"video": "video", "image": "img"}.get(kind) if video.video_href else None


def _href(path: str | None) -> str | None:
    """A relative link, quoted; a `:` is quoted as well, so no part of it can be read as a scheme."""
    return None if path is None else quote(wording.clean(path), safe="/%")


def _charts(video: VideoReport, columns: int) -> tuple[Chart, ...]:
    failed = [failure.frame for failure in video.unresolved if failure.frame is not None][:_MARKS]
    steps = list(enumerate(video.first_frame_losses, start=1))
    charts = [
        line_chart(steps, title="Loss of the first frame, per step", columns=columns),
        line_chart(video.frame_losses, title="Loss per frame", columns=columns, marks=failed)
        if len(video.frame_losses) > 1
        else None,
        line_chart(
            video.frame_seconds,
            title="Seconds per frame",
            columns=columns,
            from_zero=True,
            marks=failed,
            value_text=wording.seconds_text,
        )
        if len(video.frame_seconds) > 1
        else None,
        *(
            line_chart(
                video.frame_scores[score],
                title=f"{SCORE_TITLES[score]} per frame",
                columns=columns,
                from_zero=score in ("flicker", "sharpness"),
                marks=[it.frame for it in video.worst if it.score == score and it.beyond],
                marked="worst",
            )
            for score in SCORES
            if len(video.frame_scores.get(score, ())) > 1
        ),
        line_chart(video.frame_lumas, title="Brightness per frame (luma, of 255)", columns=columns)
        if len(video.frame_lumas) > 1
        else None,
        *(
            line_chart(_points(it, video.frames, columns * _SAMPLES), title=f"{column}, per frame", columns=columns)
            for column, it in list(video.schedules.items())[:_SCHEDULES]
        ),
    ]
    return tuple(chart for chart in charts if chart is not None)


def _worst(video: VideoReport) -> tuple[WorstOf, ...]:
    return tuple(
        WorstOf(
            SCORE_TITLES[score],
            tuple(
                (it.frame, f"{it.value:.4g}", _href(video.frame_hrefs.get(it.frame)), it.beyond)
                for it in video.worst
                if it.score == score
            ),
        )
        for score in SCORES
        if any(it.score == score for it in video.worst)
    )


def _points(keyframes: Keyframes, frames: int, most: int) -> Iterator[tuple[int, float]]:
    """The values of what changes in time: at every frame, or at some of a long video."""
    for frame in range(0, frames, -(-frames // most)):
        with suppress(KeyframeError):  # that a frame has none, its plan says
            yield frame, keyframes.at(frame)


def policy_of(style: str, script: str) -> str:
    """The content security policy. `file:` is named because browsers differ on what 'self' means on a local page."""

    def allowed(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    return (
        f"default-src 'none'; script-src {allowed(script)}; style-src {allowed(style)}; "
        "img-src 'self' file: data:; media-src 'self' file:; base-uri 'none'; form-action 'none'"
    )


@cache
def asset(name: str) -> str:
    """The text of one of the package's own files."""
    return files("flows.report").joinpath(name).read_text(encoding="utf-8")


@cache
def template_of(name: str) -> jinja2.Template:
    """A page's template; all that it is given is escaped."""
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {
        "clean": wording.clean,
        "one_line": wording.one_line,
        "seconds": wording.seconds_text,
        "hours": wording.hours_text,
        "percent": wording.percent_text,
        "moment": wording.moment_text,
        "iso": wording.iso_text,
        "ending": wording.ending_text,
    }
    environment.globals |= {"plural": plural, "per_frame": per_frame, "is_web": wording.is_web}
    return environment.from_string(asset(name))
