"""Charts: one point, none, NaN, and 10^5 frames all give a small and truthful picture."""

from __future__ import annotations

import math
import re
import time

import pytest

from flows.report.charts import HEIGHT, WIDTH, line_chart, nice_ticks, tick_labels

NAN, INF = float("nan"), float("inf")


def drawn(path: str) -> list[tuple[int, int]]:
    return [(int(x), int(y)) for x, y in re.findall(r"(-?\d+),(-?\d+)", path)]


def test_no_finite_value_gives_no_chart():
    assert line_chart([], title="loss") is None
    assert line_chart([(0, NAN), (1, INF), (2, -INF), (3, 1e300)], title="loss") is None


def test_one_point_is_a_dot_in_the_middle():
    chart = line_chart([(0, 0.5)], title="loss")
    assert re.fullmatch(r"M500,\d+h0", chart.path)
    assert chart.x_labels == ("0",)
    assert chart.headline == "0.5"


def test_a_line_spans_the_box_and_higher_values_are_drawn_higher():
    chart = line_chart([(0, 1.0), (1, 0.5), (2, 0.0)], title="loss")
    assert drawn(chart.path) == [(0, 0), (WIDTH // 2, HEIGHT // 2), (WIDTH, HEIGHT)]
    assert (chart.y_labels, chart.x_labels) == (("1.0", "0.5", "0.0"), ("0", "1", "2"))


@pytest.mark.parametrize("hole", [NAN, INF, -INF, 1e200])
def test_values_that_are_not_finite_leave_a_gap(hole):
    chart = line_chart([(0, 1.0), (1, 0.9), (2, hole), (3, 0.7), (4, 0.6)], title="loss")
    assert chart.path.count("M") == 2
    assert "1 value is not finite" in chart.summary


def test_missing_frames_leave_a_gap_but_every_tenth_frame_is_a_line():
    assert line_chart([(x, 1.0) for x in (0, 1, 2, 6, 7)], title="loss").path.count("M") == 2
    assert line_chart([(x, 1.0) for x in range(0, 100, 10)], title="loss").path.count("M") == 1


def test_a_hundred_thousand_frames_are_bounded_and_keep_their_spike():
    points = [(x, 0.5 + 0.01 * math.sin(x)) for x in range(100_000)]
    points[77_777] = (77_777, 9.0)
    started = time.perf_counter()
    chart = line_chart(points, title="loss", columns=200)
    assert time.perf_counter() - started < 5
    assert len(drawn(chart.path)) <= 400
    assert len(chart.path) < 5000
    highest = min(drawn(chart.path), key=lambda point: point[1])
    assert highest[0] == pytest.approx(777, abs=1)
    assert highest[1] == round((1 - 9 / 10) * HEIGHT)  # the axis goes to 10


def test_a_hundred_thousand_frames_with_every_other_one_nan_stay_bounded():
    chart = line_chart([(x, NAN if x % 2 else 0.5) for x in range(100_000)], title="loss", columns=50)
    assert len(drawn(chart.path)) <= 100
    assert "50,000 values are not finite" in chart.summary


def test_a_long_hole_in_a_long_video_stays_a_hole():
    points = [(x, 0.5) for x in range(100_000) if not 40_000 <= x < 60_000]
    assert line_chart(points, title="loss", columns=100).path.count("M") == 2


def test_marks_lie_at_their_frames_and_only_once():
    chart = line_chart([(0, 1.0), (10, 2.0)], title="loss", marks=[5, 5, 99])
    assert chart.marks == f"M{WIDTH // 2},0v{HEIGHT}"


@pytest.mark.parametrize(
    ("low", "high"), [(0, 1), (0.45, 0.92), (-3, 7), (5, 5), (0, 0), (1, 1 + 1e-15), (1e-9, 3e-9), (-1e99, 1e99)]
)
def test_ticks_are_few_even_and_enclose_the_values(low, high):
    ticks = nice_ticks(low, high)
    assert 3 <= len(ticks) <= 6
    assert ticks[0] <= low + 1e-9 * abs(low)
    assert ticks[-1] >= high - 1e-9 * abs(high)
    assert len(set(tick_labels(ticks))) == len(ticks)
