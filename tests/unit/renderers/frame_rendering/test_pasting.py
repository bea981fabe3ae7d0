"""What a mask keeps, pasted over what was drawn of it when frames are encoded."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from manifests.schema import ManifestRow
from renderers.errors import BadInput
from renderers.frame_rendering.pasting import paste_weight, pasted
from tests.helpers.frames import encoded, picture_bytes
from tests.helpers.random_model import Planner


def half(side: int = 32) -> bytes:
    """The right half may change."""
    grey = np.zeros((side, side, 3), np.uint8)
    grey[:, side // 2 :] = 255
    return encoded(grey)


IMAGES = {"a.png": picture_bytes(), "half.png": half()}
INIT = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
MASKED: dict[str, Any] = {"init_image": "a.png", "mask": "half.png", "frames": 6}


def shown(planned: Planner, numbers: list[int], soften: int = 0, **columns: Any) -> list[np.ndarray]:
    plan = planned(IMAGES, **MASKED | columns, finish={"paste_mask": True, "mask_soften": soften})
    grey = np.full((32, 32, 3), 100, np.uint8)
    found = list(pasted(((number, grey) for number in numbers), plan, IMAGES.__getitem__))
    assert [number for number, _ in found] == numbers
    return [picture for _, picture in found]


def test_what_is_kept_is_the_pictures_to_the_pixel_and_what_may_change_is_as_drawn(planned: Planner) -> None:
    for picture in shown(planned, [0, 5]):
        np.testing.assert_array_equal(picture[:, :16], INIT[:, :16])
        assert (picture[:, 16:] == 100).all()


@pytest.mark.parametrize("soften", [1, 2, 5, 8, 12])
def test_it_fades_in_within_what_is_kept(planned: Planner, soften: int) -> None:
    (picture,) = shown(planned, [0], soften)
    assert (picture[:, 16:] == 100).all()
    whole = 16 - 2 * ((soften + 1) // 2)
    np.testing.assert_array_equal(picture[:, :whole], INIT[:, :whole])
    white = torch.zeros(1, 1, 4, 32)
    white[..., 16:] = 1
    weight = paste_weight(white, soften)[0, 0, 0]
    assert (weight[:-1] >= weight[1:]).all()
    assert ((weight > 0) & (weight < 1)).sum() in (soften - 1, soften, soften + 1)


def test_it_goes_with_the_camera_where_the_mask_does(planned: Planner) -> None:
    columns = {"mask_moves": True, "translate_x": "4"}
    first, second, third = shown(planned, [0, 1, 2], **columns)
    np.testing.assert_array_equal(first[:, :16], INIT[:, :16])
    np.testing.assert_allclose(second[:, 5:19].astype(int), INIT[:, 1:15], atol=1)
    np.testing.assert_allclose(third[:, 9:23].astype(int), INIT[:, 1:15], atol=1)
    assert (second[:, 20:] == 100).all()
    assert (third[:, :7] == 100).all()  # what has come into view is drawn
    # of a loop the last frames come before the first one
    turned, last = shown(planned, [-1], **columns), shown(planned, [5], **columns)
    np.testing.assert_array_equal(turned[0], last[0])


def test_what_is_no_picture_is_bad_input(planned: Planner) -> None:
    plan = planned(IMAGES, **MASKED, finish={"paste_mask": True})
    with pytest.raises(BadInput, match=r"half\.png"):
        list(pasted([(0, INIT)], plan, lambda uri: b"" if uri == "half.png" else IMAGES[uri]))


def test_no_frame_hangs_on_it(planned: Planner) -> None:
    plain, other = (planned(IMAGES, **MASKED, finish=it) for it in ({}, {"paste_mask": True, "mask_soften": 3}))
    assert list(plain.digests) == list(other.digests)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"init_image": "a.png"}, r"but no mask is given"),
        ({"mask": "m.png", "continues": "other"}, r"but no init_image is given"),
        ({"mask": "m.png", "init_image": "a.png", "zoom": "1.01"}, r"but zoom '1.01' moves what is under it: set"),
        ({"mask": "m.png", "init_image": "a.png", "pan": "sin(t)"}, r"but pan 'sin\(t\)' moves"),
        ({"mask": "m.png", "init_image": "a.png", "finish": {"paste_mask": True, "mask_soften": -1}}, r"mask_soften"),
    ],
)  # fmt: skip
def test_what_it_takes_is_said(columns: dict[str, Any], message: str) -> None:
    row = {"video_id": "reef", "prompt": "a reef", "frames": 9, "finish": {"paste_mask": True}, **columns}
    with pytest.raises(ValueError, match=message):
        ManifestRow.model_validate(row)


def test_a_camera_that_rests_needs_no_moving_mask() -> None:
    row = {"video_id": "reef", "prompt": "a reef", "mask": "m.png", "init_image": "a.png", "frames": 9}
    for columns in ({"zoom": "1.0", "centre_x": "t"}, {"zoom": "1.02", "mask_moves": True}):
        assert ManifestRow.model_validate({**row, **columns, "finish": {"paste_mask": True}}).finish.paste_mask
