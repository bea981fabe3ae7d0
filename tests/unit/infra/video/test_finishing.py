"""Which frames are shown for those that are drawn, and what each range looks at beside its own."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.video.encoding import Encoding
from infra.video.finishing import Finishing
from manifests.schema import ManifestRow


def finishing(frames: int = 8, fps: float = 8, upscale: int = 1, **finish: Any) -> Finishing:
    row = {"video_id": "v", "prompt": "p", "frames": frames, "fps": fps, "upscale": upscale, "finish": finish}
    return Finishing.of(ManifestRow.model_validate(row))


RATES = st.fractions(min_value=Fraction(1, 100), max_value=120, max_denominator=1001)


@given(RATES, RATES, st.lists(st.integers(1, 30), min_size=1, max_size=8))
def test_every_shown_frame_belongs_to_one_range_and_every_drawn_one_is_shown(
    one: Fraction, other: Fraction, lengths: list[int]
) -> None:
    it = Finishing(min(one, other), max(one, other))
    numbers: list[int] = []
    start = 0
    for length in lengths:
        numbers += it.shown_of(start, start + length)
        start += length
    assert numbers == list(it.shown_of(0, start)) == list(range(len(numbers)))
    assert all(it.shown_of(index, index + 1) for index in range(start))
    # the last one is shown while the last drawn one is: the video ends within one frame of it
    assert 0 <= Fraction(len(numbers)) / it.shown - start / it.drawn < 1 / it.shown


def test_what_a_range_looks_at() -> None:
    assert finishing().reach == finishing(fps=8, between="motion").reach == 0
    assert finishing(fps=8).beside(3, 6, 8, loop=True) == ((), ())
    row = {"frames": 8, "fps": 8}
    moving = Finishing.of(ManifestRow.model_validate({"video_id": "v", "prompt": "p", **row, "finish": {"fps": 20}}))
    assert moving.beside(3, 6, 8, loop=False) == ((1, 2), (6, 7))
    assert moving.beside(0, 3, 8, loop=False) == ((), (3, 4))
    assert moving.beside(0, 3, 8, loop=True) == ((6, 7), (3, 4))
    assert moving.beside(6, 8, 8, loop=True) == ((4, 5), (0, 1))
    assert finishing(smooth=5).beside(3, 6, 8, loop=False) == ((1, 2), (6, 7))
    assert Finishing(Fraction(8), Fraction(20), "none").reach == 0
    assert Finishing(Fraction(8), Fraction(20), "blend", smooth=7).reach == 5


def test_what_changes_nothing_is_no_part_of_an_address() -> None:
    assert finishing().settings() == finishing(between="blend", smooth_centre=0.3).settings() == {}
    pasted = {"video_id": "v", "prompt": "p", "mask": "m.png", "init_image": "a.png"}
    plain = Finishing.of(ManifestRow.model_validate({**pasted, "finish": {"mask_soften": 3}}))
    assert plain.settings() == {}
    still = Finishing.of(ManifestRow.model_validate({**pasted, "finish": {"paste_mask": True}}))
    assert still.settings() == {"paste": {"soften": 8}}
    # a still has nothing between
    row = {"video_id": "v", "prompt": "p", "finish": {"fps": 60, "smooth": 5}}
    assert Finishing.of(ManifestRow.model_validate(row)).settings() == {}


def test_a_film_of_ntsc_is_shown_at_twice_its_exact_rate() -> None:
    row = ManifestRow.model_validate(
        {"video_id": "v", "prompt": "p", "frames": 9, "fps": 29.97, "finish": {"fps": 59.94}}
    )
    assert Finishing.of(row).ratio == 2
    assert Encoding.of(row).rate == Fraction(60000, 1001)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"frames": 9, "fps": 24, "finish": {"fps": 12}}, "finish.fps 12 is below fps 24"),
        ({"frames": 9, "finish": {"fps": 0}}, "greater than 0"),
        ({"frames": 9, "finish": {"fps": 241}}, "less than or equal to 240"),
        ({"frames": 900_000, "finish": {"fps": 60}}, "makes 2,250,000 frames of 900,000"),
        ({"frames": 9, "finish": {"smooth": 2}}, "allowed is 0, 3, 5 or 7"),
        ({"frames": 9, "finish": {"smooth_centre": 0}}, "greater than or equal to 0.05"),
        ({"frames": 9, "finish": {"smooth": 3}, "depth": {"shape": "floor"}}, "choose depth.shape plane"),
        ({"frames": 9, "finish": {"upscaler": "x4"}}, "give upscale, 2 to 8"),
        ({"frames": 9, "finish": {"upscaler": "../x4"}}, "match pattern"),
        ({"frames": 9, "finish": {"between": "magic"}}, "'none', 'blend' or 'motion'"),
    ],
)
def test_what_does_not_go_together_is_told(columns: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match="validation error") as caught:
        ManifestRow.model_validate({"video_id": "v", "prompt": "p", **columns})
    assert said in str(caught.value)
