"""What is looked at of a picture: crops that leave nothing out."""

from __future__ import annotations

import numpy as np
import pytest

from renderers.frame_plan.crops import CROPS, crop_boxes


@pytest.mark.parametrize(
    ("width", "height"), [(40, 40), (64, 48), (48, 64), (200, 40), (33, 250), (7, 7), (1600, 1599)]
)
def test_all_of_a_picture_is_looked_at_and_nothing_beyond(width: int, height: int) -> None:
    seen = np.zeros((height, width), int)
    boxes = crop_boxes(width, height, CROPS)
    assert len(boxes) == CROPS
    for left, top, right, bottom in boxes:
        assert right - left == pytest.approx(bottom - top)
        assert min(left, top) >= -1e-9
        assert right <= width + 1e-9
        assert bottom <= height + 1e-9
        seen[round(top) : round(bottom), round(left) : round(right)] += 1
    assert seen.min() >= 1
    # no side counts for more than the other
    assert np.abs(seen - seen[::-1, ::-1]).max() <= CROPS // 2
    assert abs(int(seen[:, : width // 2].sum()) - int(seen[:, -(width // 2) :].sum())) <= 0.1 * seen.sum()


def test_one_crop_is_the_middle() -> None:
    assert crop_boxes(60, 20, 1) == ((20, 0, 40, 20),)
    assert crop_boxes(20, 60, 1) == ((0, 20, 20, 40),)


def test_a_tall_picture_is_looked_at_as_a_wide_one_that_lies() -> None:
    tall = crop_boxes(30, 90, CROPS)
    assert [(top, left, bottom, right) for left, top, right, bottom in tall] == list(crop_boxes(90, 30, CROPS))
