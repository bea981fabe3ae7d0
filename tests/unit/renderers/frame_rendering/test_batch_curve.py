"""How many frames go together: doubled as long as it pays and memory holds, on the work itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from renderers.frame_rendering.batch_curve import BatchCurve, DeviceMemory
from renderers.frame_rendering.renderer import FrameRenderer, RenderedFrame
from renderers.models import Models
from tests.helpers.random_model import Planner
from tests.unit.renderers.frame_rendering.test_together import cold


def sizes(seconds: Callable[[int], float], asked: int, passes: int, most: int = 100) -> list[int]:
    """What a curve asks for, pass after pass, where a step of one of n frames takes `seconds(n)`."""
    curve, taken = BatchCurve(), []
    for _ in range(passes):
        taken.append(curve.next_size(asked, lambda number: number <= most))
        curve.record(taken[-1], seconds(taken[-1]))
    return taken


def test_as_many_as_pay() -> None:
    def fills_at_four(number: int) -> float:
        return 1 / min(number, 4)

    assert sizes(fills_at_four, 16, 10) == [1, 1, 2, 2, 4, 4, 8, 8, 4, 4]
    assert sizes(lambda _: 1.0, 8, 6) == [1, 1, 2, 2, 1, 1]  # a CPU
    assert sizes(lambda number: 1 / number, 6, 8) == [1, 1, 2, 2, 4, 4, 6, 6]
    assert sizes(lambda number: 1 / number, 1, 4) == [1, 1, 1, 1]


def test_no_more_than_memory_holds() -> None:
    assert sizes(lambda number: 1 / number, 16, 8, most=5) == [1, 1, 2, 2, 4, 4, 4, 4]
    assert sizes(lambda number: 1 / number, 5, 7, most=5)[-1] == 5


def test_the_first_pass_of_a_number_is_not_its_pace() -> None:
    curve = BatchCurve()
    for together, seconds in ((1, 9.0), (1, 1.0), (2, 9.0)):
        curve.record(together, seconds)
    assert curve.next_size(8, lambda _: True) == 2  # another look
    curve.record(2, 0.5)
    assert curve.next_size(8, lambda _: True) == 4


def test_a_renderer_measures_on_its_own_work(models: Models, planned: Planner, monkeypatch: pytest.MonkeyPatch) -> None:
    renderer, passes = FrameRenderer(models, "auto"), list[int]()
    render = FrameRenderer._render_batch

    def noted(self: FrameRenderer, batch: Any) -> Any:
        passes.append(len(batch))
        return render(self, batch)

    monkeypatch.setattr(FrameRenderer, "_render_batch", noted)
    requests = [cold(planned(prompt="a fish", seed=seed)) for seed in range(6)]
    other = cold(planned(prompt="a fish", width=64, height=32))

    results = renderer.render_together([*requests, other])

    assert passes[:2] == [1, 1]
    assert passes[2] == 2
    assert sum(passes) == 7
    assert passes[-1] == 1  # never with those of another shape
    plain = FrameRenderer(models).render_together([*requests[:1], other])
    for one, alone in zip((results[0], results[-1]), plain, strict=True):
        assert isinstance(one, RenderedFrame)
        assert isinstance(alone, RenderedFrame)
        assert one.frame.provenance["digest"] == alone.frame.provenance["digest"]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_pass_that_needs_more_than_there_is_is_known_before() -> None:
    memory = DeviceMemory(torch.device("cuda"))
    memory.start_pass()
    held = torch.empty(2**30, dtype=torch.uint8, device="cuda")
    del held
    memory.end_pass(1)
    assert memory.fits(1)
    assert not memory.fits(10_000)
