"""Videos that come from the axes of an `expand` block, as tables of one axis by another: `report/grid.html`.

The page is complete as it is written; its script lets people choose which axis goes down and which across.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from urllib.parse import quote

from markupsafe import Markup

from flows.report import posters, wording
from flows.report.html import asset, policy_of, template_of
from flows.report.model import STATE_MEANING, JobReport, VideoReport

__all__ = ["MOST_CELLS", "render_grid"]

#: Videos on the page; more are named by number.
MOST_CELLS = 4000


@dataclass(frozen=True)
class _Cell:
    """A video, and the number of its value on each axis that varies."""

    video: VideoReport
    at: tuple[int, ...]
    poster: posters.Poster | None
    href: str
    loss: float | None


@dataclass(frozen=True)
class _Axis:
    """An axis with those of its values that the videos have, in order."""

    name: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class _Table:
    """Cells by row and column, for one value of each of the other axes."""

    caption: str
    rows: tuple[tuple[str, tuple[tuple[_Cell, ...], ...]], ...]


@dataclass(frozen=True)
class _Grid:
    """All videos of the same axes. `fixed` are the axes of one value; `down` and `across` are numbers of the others, -1
    where there is none."""

    axes: tuple[_Axis, ...]
    fixed: tuple[tuple[str, str], ...]
    down: int
    across: int
    tables: tuple[_Table, ...]
    videos: int


def render_grid(report: JobReport) -> str | None:
    """The page, ready to be written in UTF-8; None where no video comes from axes. The same report gives the same
    text."""
    grouped: dict[tuple[str, ...], list[VideoReport]] = {}
    for video in islice((it for it in report.videos if it.axes), MOST_CELLS):
        grouped.setdefault(tuple(axis.name for axis in video.axes), []).append(video)
    if not grouped:
        return None
    total = sum(bool(video.axes) for video in report.videos)
    share = posters.share(min(total, MOST_CELLS))
    style, script = asset("report.css") + asset("grid.css"), asset("grid.js")
    return template_of("grid.html.j2").render(
        report=report,
        grids=[_grid(videos, share) for videos in grouped.values()],
        left_out=max(0, total - MOST_CELLS),
        style=Markup(style),
        script=Markup(script),
        policy=policy_of(style, script),
        meaning=STATE_MEANING,
    )


def _grid(videos: Sequence[VideoReport], poster_bytes: int) -> _Grid:
    names = [axis.name for axis in videos[0].axes]
    every = [
        dict(sorted({video.axes[place].number: video.axes[place].value for video in videos}.items()))
        for place in range(len(names))
    ]
    varying = [place for place, values in enumerate(every) if len(values) > 1] or [0]
    order = {place: {number: index for index, number in enumerate(every[place])} for place in varying}
    axes = tuple(_Axis(wording.one_line(names[it], 100), tuple(map(_value, every[it].values()))) for it in varying)
    cells = [
        _cell(video, tuple(order[place][video.axes[place].number] for place in varying), poster_bytes)
        for video in videos
    ]
    # the longer one of the first two goes down: pages are scrolled that way
    down, across = (0, 1) if len(axes) > 1 else (-1, 0)
    if across > 0 and len(axes[across].values) > len(axes[down].values):
        down, across = across, down
    fixed = tuple(
        (wording.one_line(names[place], 100), _value(next(iter(values.values()))))
        for place, values in enumerate(every)
        if place not in varying
    )
    return _Grid(axes, fixed, down, across, tuple(_tables(axes, cells, down, across)), len(videos))


def _cell(video: VideoReport, at: tuple[int, ...], poster_bytes: int) -> _Cell:
    losses = [loss for _, loss in video.frame_losses if loss == loss]
    href = f"index.html#video-{quote(wording.clean(video.video_id), safe='')}"
    return _Cell(video, at, posters.embed(video.poster, poster_bytes), href, losses[-1] if losses else None)


def _tables(axes: Sequence[_Axis], cells: Iterable[_Cell], down: int, across: int) -> Iterable[_Table]:
    """The tables, in the order of the other axes' values."""
    apart = [place for place in range(len(axes)) if place not in (down, across)]
    parts: dict[tuple[int, ...], dict[tuple[int, int], list[_Cell]]] = {}
    for cell in cells:
        part = parts.setdefault(tuple(cell.at[place] for place in apart), {})
        part.setdefault((cell.at[down] if down >= 0 else 0, cell.at[across]), []).append(cell)
    heads = axes[down].values if down >= 0 else ("",)
    for key, part in sorted(parts.items()):
        caption = ", ".join(
            f"{axes[place].name}: {axes[place].values[value]}" for place, value in zip(apart, key, strict=True)
        )
        columns = range(len(axes[across].values))
        rows = tuple(
            (head, tuple(tuple(part.get((row, column), ())) for column in columns)) for row, head in enumerate(heads)
        )
        yield _Table(caption, rows)


def _value(text: str) -> str:
    return wording.one_line(text, 200) or "–"
