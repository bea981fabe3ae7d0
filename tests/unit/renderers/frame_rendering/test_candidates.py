"""Best of several starts."""

from __future__ import annotations

import dataclasses
import itertools
import math
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from renderers.errors import BadInput, NonFiniteLoss, Stopped
from renderers.frame_plan.candidates import exam_step
from renderers.frame_plan.video_plan import VideoPlan
from renderers.frame_rendering import candidates as module
from renderers.frame_rendering.in_progress import FrameInProgress, StepProgress
from renderers.frame_rendering.renderer import FrameRenderer, FrameRequest, RenderedFrame
from renderers.randomness import address
from tests.helpers.frames import IMAGES, first
from tests.helpers.random_model import Planner


def cold(plan: VideoPlan, **more: Any) -> FrameRequest:
    return FrameRequest(plan, next(plan.walk()), None, IMAGES, **more)


def choice_of(frame: RenderedFrame) -> Any:
    return frame.frame.provenance["candidates"]


def test_the_best_goes_on_and_is_what_it_would_be_alone(renderer: FrameRenderer, planned: Planner) -> None:
    plan = planned(seed=5, steps_first=8, candidates=5, candidates_share=0.4, optimiser={"latent_noise": 0.5})
    chosen = first(renderer, plan)
    choice = choice_of(chosen)
    assert len(choice["scores"]) == 5
    assert choice["scores"][choice["chosen"]] == min(choice["scores"])
    assert len(set(choice["scores"])) == 5
    assert len(chosen.losses) == 8
    # number 0 is the start of the seed itself
    seeds = [5, *(address(5, 0, 0, f"candidate {number}") for number in range(1, 5))]
    others = [first(renderer, planned(seed=seed, steps_first=8, optimiser={"latent_noise": 0.5})) for seed in seeds]
    assert [np.array_equal(it.frame.picture, chosen.frame.picture) for it in others].index(True) == choice["chosen"]
    assert others[choice["chosen"]].losses == chosen.losses
    assert chosen.frame.provenance.get("seed") is None, "it is the row's"


def test_several_frames_together_choose_as_each_alone(renderer: FrameRenderer, planned: Planner) -> None:
    plans = [
        planned(seed=1, steps_first=6, candidates=3),
        planned(seed=2, steps_first=6),
        planned(seed=3, steps_first=6, candidates=4, candidates_share=0.5, optimiser={"coarse": 0.5}),
        planned(seed=4, steps_first=9, candidates=2),
    ]
    together = renderer.render_together([cold(plan) for plan in plans])
    for plan, one in zip(plans, together, strict=True):
        assert isinstance(one, RenderedFrame)
        alone = first(renderer, plan)
        if plan.row.candidates == 1:
            assert "candidates" not in one.frame.provenance
            continue
        assert choice_of(one)["chosen"] == choice_of(alone)["chosen"]
        np.testing.assert_allclose(choice_of(one)["scores"], choice_of(alone)["scores"], rtol=1e-3)


def test_only_a_cold_start_has_candidates(renderer: FrameRenderer, planned: Planner) -> None:
    plan = planned(frames=2, seed=5, steps_first=6, steps=2, candidates=3)
    start = first(renderer, plan)
    (warm,) = renderer.render_together([FrameRequest(plan, list(plan.walk())[1], start.frame.state, {})])
    assert isinstance(warm, RenderedFrame)
    assert "candidates" not in warm.frame.provenance
    (single,) = renderer.render_together([cold(planned(seed=5, steps_first=1, candidates=3))])
    assert isinstance(single, RenderedFrame)
    assert "candidates" not in single.frame.provenance


def test_progress_goes_up_to_the_last_step_and_seconds_are_those_of_all(
    renderer: FrameRenderer, planned: Planner, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = itertools.count()  # a clock that goes on whenever somebody looks at it, however busy the machine is
    monkeypatch.setattr("time.perf_counter", lambda: float(next(looks)))
    heard: list[StepProgress] = []
    plan = planned(seed=5, steps_first=8, candidates=5, candidates_share=0.5)
    (rendered,) = renderer.render_together([cold(plan, on_step=heard.append)])
    assert isinstance(rendered, RenderedFrame)
    assert [it.step for it in heard] == list(range(1, 9))
    alone = first(renderer, planned(seed=5, steps_first=8))
    assert rendered.seconds > 1.5 * alone.seconds  # of three times the steps


def test_a_candidate_without_a_number_is_not_chosen_and_one_that_fails_costs_none_of_the_others(
    renderer: FrameRenderer, planned: Planner, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = planned(seed=5, steps_first=8, candidates=4)
    score = module.Candidates._score
    best = choice_of(first(renderer, plan))["chosen"]

    def odd(self: module.Candidates, candidate: FrameInProgress) -> float:
        return math.nan if candidate.candidate == best else score(self, candidate)

    monkeypatch.setattr(module.Candidates, "_score", odd)
    assert choice_of(first(renderer, plan))["chosen"] != best

    def failing(self: FrameInProgress, loss: torch.Tensor, gradient: torch.Tensor) -> None:
        if self.candidate in broken and self.step == 1:
            raise NonFiniteLoss(f"candidate {self.candidate}")
        step(self, loss, gradient)

    step = FrameInProgress.apply_gradient
    monkeypatch.setattr(FrameInProgress, "apply_gradient", failing)
    monkeypatch.setattr(module.Candidates, "_score", score)
    broken: Sequence[int] = (0, 2)
    plan = planned(seed=5, steps_first=8, candidates=4, candidates_share=0.5)
    scores = choice_of(first(renderer, plan))["scores"]
    assert [it is None for it in scores] == [True, False, True, False]
    broken = (0, 1, 2)
    heard: list[StepProgress] = []
    (last,) = renderer.render_together([cold(plan, on_step=heard.append)])
    assert isinstance(last, RenderedFrame)
    assert heard[-1].step == 8
    broken = (0, 1, 2, 3)
    failed, other = renderer.render_together([cold(plan), cold(planned(seed=6, steps_first=1))])
    assert isinstance(failed, NonFiniteLoss)
    assert isinstance(other, RenderedFrame)


def test_a_stop_ends_all_of_them(renderer: FrameRenderer, planned: Planner) -> None:
    stop = threading.Event()
    plan = planned(seed=5, steps_first=8, candidates=4)
    request = cold(plan, on_step=lambda at: stop.set() if at.step == 3 else None, should_stop=stop.is_set)
    (found,) = renderer.render_together([request])
    assert isinstance(found, Stopped)


def test_the_exam_is_no_worse_over_seeds(renderer: FrameRenderer, planned: Planner) -> None:
    gains = []
    for seed in range(8):
        choice = choice_of(first(renderer, planned(seed=seed, steps_first=4, candidates=4)))
        gains.append(choice["scores"][0] - choice["scores"][choice["chosen"]])
    assert min(gains) >= 0
    assert np.mean(gains) > 0


class TestPlan:
    @pytest.mark.parametrize(("share", "steps", "expected"), [
        (0.25, 300, 75), (0.25, 3, 1), (0.9, 2, 1), (0.99, 5, 4), (0.01, 300, 3),
    ])  # fmt: skip
    def test_the_exam_is_after_a_share_of_the_steps(
        self, planned: Planner, share: float, steps: int, expected: int
    ) -> None:
        assert exam_step(planned(candidates=2, candidates_share=share, steps_first=steps).row) == expected

    def test_a_share_says_nothing_of_one_candidate(self, planned: Planner) -> None:
        plain = tuple(planned().digests)
        assert planned(candidates=1, candidates_share=0.7).digests == plain
        several = {
            tuple(planned(candidates=n, candidates_share=share).digests) for n in (2, 3) for share in (0.25, 0.5)
        }
        assert len({*several, plain}) == 5

    def test_the_time_of_all_is_planned(self, planned: Planner) -> None:
        row = {"frames": 3, "steps_first": 40, "steps": 10}
        one, several = planned(**row), planned(**row, candidates=5)
        assert several.all_seconds() / one.all_seconds() == pytest.approx((40 + 4 * 10 + 20) / 60)
        assert several.seconds(1, 3) == one.seconds(1, 3)

    def test_candidates_that_would_be_alike_are_refused(self, planned: Planner) -> None:
        with pytest.raises(BadInput, match=r"candidates 3 of .*: all of them would start from the same picture"):
            planned(IMAGES, candidates=3, init_image="a.png")
        planned(IMAGES, candidates=3, init_image="a.png", optimiser={"latent_noise": 0.1})


def test_a_retake_draws_other_candidates(renderer: FrameRenderer, planned: Planner) -> None:
    plan = planned(seed=5, steps_first=6, candidates=3)
    frame = next(plan.walk())
    (again,) = renderer.render_together([FrameRequest(plan, dataclasses.replace(frame, seed=77), None, IMAGES)])
    other = first(renderer, planned(seed=77, steps_first=6, candidates=3))
    assert isinstance(again, RenderedFrame)
    assert choice_of(again) == choice_of(other)
    assert again.frame.provenance["seed"] == 77
