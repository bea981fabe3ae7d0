"""When memory is short: fewer cutouts at once, and an error that says what does not fit."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from renderers.errors import OutOfMemory
from renderers.frame_rendering.memory import memory_errors
from renderers.frame_rendering.renderer import FrameRenderer
from tests.helpers.random_model import Planner


def test_fewer_cutouts_at_once_draw_the_same_but_for_rounding(renderer: FrameRenderer, planned: Planner) -> None:
    plan = planned(loss={"contrast": 0.5}, cutouts={"number": 5})
    frame = next(plan.walk())
    whole, parts = (renderer.render(plan, frame, None, {}, cutouts_at_once=n) for n in (None, 2))
    assert parts.losses == pytest.approx(whole.losses, rel=1e-4)
    assert np.abs(whole.frame.picture.astype(int) - parts.frame.picture).mean() < 1


def test_an_allocation_that_fails_says_what_does_not_fit() -> None:
    said = r"frame 3 does not fit into memory: .*allocate"
    with pytest.raises(OutOfMemory, match=said), memory_errors("frame 3", torch.device("cpu")):
        torch.empty(2**60)
    with pytest.raises(RuntimeError, match="another"), memory_errors("frame 3", torch.device("cpu")):
        raise RuntimeError("another")
