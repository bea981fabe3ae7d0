"""Line charts as SVG paths, bounded in size whatever the number of points.

The picture is drawn in a fixed box of WIDTH x HEIGHT units that the page stretches; tick labels are HTML around it, so
that text keeps its size on a phone. A chart of 10^5 frames is cut into columns, of which the lowest and the highest
value are drawn: a spike of one frame stays visible, as it would not with a mean or with every n-th point.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from manifests.schema.texts import plural

WIDTH, HEIGHT = 1000, 200

#: Beyond this a value says "diverged", and differences of such values overflow.
_HUGE = 1e100

Point = tuple[float, float]


@dataclass(frozen=True)
class Chart:
    """One chart, ready for the template: paths in box units, labels from top to bottom and from left to right."""

    title: str
    path: str
    grid: str
    marks: str
    marked: str
    y_labels: tuple[str, ...]
    x_labels: tuple[str, ...]
    headline: str
    summary: str


def line_chart(
    points: Iterable[Point],
    *,
    title: str,
    columns: int = 200,
    from_zero: bool = False,
    marks: Iterable[float] = (),
    marked: str = "failed",
    value_text: Callable[[float], str] = lambda value: f"{value:.3g}",
) -> Chart | None:
    """The chart of `points` (x, y), or None if no y is a finite number.

    columns: at most twice as many points are drawn. marks: positions on the x axis to point out, which are
    `marked` (failed frames).
    NaN, infinite and absurd values become gaps, and the summary (read by screen readers) counts them.
    """
    ordered = sorted(points, key=lambda point: point[0])
    finite = [point for point in ordered if abs(point[1]) <= _HUGE]  # false for NaN, too
    if not finite:
        return None
    left, right = ordered[0][0], ordered[-1][0]
    lowest, highest = min(y for _, y in finite), max(y for _, y in finite)
    ticks = nice_ticks(0.0 if from_zero and lowest >= 0 else lowest, highest)

    def place(point: Point) -> tuple[int, int]:
        across = 0.5 if right == left else (point[0] - left) / (right - left)
        up = (point[1] - ticks[0]) / (ticks[-1] - ticks[0])
        return round(across * WIDTH), round((1 - up) * HEIGHT)

    dropped = len(ordered) - len(finite)
    low, high = value_text(lowest), value_text(highest)
    last = value_text(finite[-1][1])
    summary = f"{title}: {plural(len(finite), 'value')}, {low} to {high}, last {last}"
    if dropped:
        summary += f"; {plural(dropped, 'value is', 'values are')} not finite"
    positions = {place((mark, ticks[0]))[0] for mark in marks if left <= mark <= right}
    return Chart(
        title=title,
        path="".join(_path([place(point) for point in run]) for run in _runs(ordered, columns)),
        grid="".join(f"M0,{round(index * HEIGHT / (len(ticks) - 1))}h{WIDTH}" for index in range(len(ticks))),
        marks="".join(f"M{x},0v{HEIGHT}" for x in sorted(positions)),
        marked=marked,
        y_labels=tuple(tick_labels(ticks)[::-1]),
        x_labels=tuple(f"{x:,.0f}" for x in sorted({left, (left + right) // 2, right})),
        headline=last if len(finite) == 1 else f"{value_text(finite[0][1])} → {last}",
        summary=summary,
    )


def _runs(points: Sequence[Point], columns: int) -> list[list[Point]]:
    """Unbroken runs of at most 2 * columns points in all: the points themselves, or each column's extremes."""
    if len(points) <= 2 * columns:
        steps = sorted(b[0] - a[0] for a, b in pairwise(points))
        widest = 1.5 * steps[len(steps) // 2] if steps else 0.0  # the median step: every n-th frame may be what we have
        cells: list[list[Point]] = []
        for index, point in enumerate(points):
            if index and point[0] - points[index - 1][0] > widest:
                cells.append([])
            cells.append([point] if abs(point[1]) <= _HUGE else [])
    else:
        left, span = points[0][0], points[-1][0] - points[0][0]
        cells = [[] for _ in range(columns)]
        for point in points:
            if abs(point[1]) <= _HUGE:
                cells[min(columns - 1, int((point[0] - left) / span * columns)) if span else 0].append(point)
        cells = [sorted({min(cell, key=_y), max(cell, key=_y)}) if cell else [] for cell in cells]
    runs: list[list[Point]] = [[]]
    for cell in cells:
        if cell:
            runs[-1].extend(cell)
        elif runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _y(point: Point) -> float:
    return point[1]


def _path(run: Sequence[tuple[int, int]]) -> str:
    """SVG path data; a lone point becomes a line of no length, which a round cap draws as a dot."""
    (x, y), *rest = run
    if not rest:
        return f"M{x},{y}h0"
    return f"M{x},{y}L" + " ".join(f"{x},{y}" for x, y in rest)


def nice_ticks(low: float, high: float) -> list[float]:
    """Three to six evenly spaced round numbers around [low, high] (Heckbert, Nice Numbers for Graph Labels, 1990)."""
    if high - low <= 1e-9 * max(abs(low), abs(high)):  # flat, or as good as flat in floating point
        margin = abs(high) * 0.1 or 0.5
        low, high = low - margin, high + margin
    rough = (high - low) / 3
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [index * step for index in range(first, max(last, first + 2) + 1)]


def tick_labels(ticks: Sequence[float]) -> list[str]:
    """The ticks with as many decimals as their distance asks for."""
    step = ticks[1] - ticks[0]
    if not 1e-4 <= step < 1e6:
        return [f"{tick:.3g}" for tick in ticks]
    decimals = next(n for n in range(7) if abs(step * 10**n - round(step * 10**n)) < 1e-6 * step * 10**n)
    return [f"{tick:,.{decimals}f}" for tick in ticks]
