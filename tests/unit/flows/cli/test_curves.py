from __future__ import annotations

import pytest

from flows.cli.curves import HEIGHT, WIDTH, curve, sampled
from manifests.schema import Keyframes


def drawn(text: str, frames: int) -> list[str]:
    return curve(sampled(Keyframes.parse(text), frames)).splitlines()


def test_a_ramp_goes_from_the_lower_left_to_the_upper_right() -> None:
    picture = drawn("t", 96)
    assert [len(line) for line in picture] == [WIDTH] * HEIGHT
    assert picture == [
        "⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⢀⣀⣀⣀⣀⠤⠤⠤⠤⠔⠒⠒⠒⠊⠉⠉",
        "⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⢀⣀⣀⣀⡠⠤⠤⠤⠤⠒⠒⠒⠒⠊⠉⠉⠉⠁⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀",
        "⣀⣀⡠⠤⠤⠤⠔⠒⠒⠒⠒⠉⠉⠉⠉⠁⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀⠀",
    ]


def test_a_short_video_has_a_column_for_each_frame() -> None:
    assert [len(line) for line in drawn("t", 9)] == [5] * HEIGHT
    assert drawn("sin(t)", 1) == ["⠀", "⠀", "⡀"]


def test_what_is_faster_than_the_columns_is_a_band_not_a_chance_line() -> None:
    parts = sampled(Keyframes.parse("sin(t/8)"), 100_000)
    assert len(parts) == 2 * WIDTH
    assert all(part is not None and part[0] < -0.9 and part[1] > 0.9 for part in parts)
    assert drawn("sin(t/8)", 100_000) == ["⣿" * WIDTH] * HEIGHT


def test_a_leap_is_joined_and_what_has_no_value_is_left_out() -> None:
    assert drawn("(t >= 2)", 4) == ["⠀⡏", "⠀⡇", "⣀⠇"]
    gap = sampled(Keyframes.parse("sqrt((t - 20)*(t - 30))"), 50)
    assert [index for index, part in enumerate(gap) if part is None] == list(range(21, 30))
    assert curve([None, None]) == ""
    assert curve([(1e308, 1e308), (-1e308, -1e308)]) == "⢱\n⢸\n⢸"


@pytest.mark.parametrize("value", [0.0, 1.0, -5e-324, 1e308])
def test_a_constant_is_a_line(value: float) -> None:
    assert curve([(value, value)] * 4) == "⠀⠀\n⠀⠀\n⣀⣀"
