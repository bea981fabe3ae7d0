"""What a finished frame scores: none of it may hang on what is rendered beside it, nor change what is rendered."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from manifests.schema import ManifestRow
from renderers.errors import BadInput
from renderers.frame_plan.motion import Homography
from renderers.frame_rendering.renderer import FrameRenderer, FrameRequest
from renderers.frame_rendering.scores import luma_of, sharpness_of
from renderers.frame_rendering.warp import frame_change
from renderers.models import Models
from renderers.registry import ModelEntry, judges_of
from tests.helpers.frames import IMAGES, chain, first
from tests.helpers.random_model import Planner


def test_sharpness_is_the_variance_of_the_laplacian_of_the_luma() -> None:
    picture = torch.rand(1, 3, 9, 7, generator=torch.Generator().manual_seed(0))
    grey = (picture[0] * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(dim=0).double().numpy() * 255
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4 * grey[1:-1, 1:-1]
    assert sharpness_of(picture) == pytest.approx(laplacian.var(), rel=1e-4)
    assert luma_of(picture) == pytest.approx(grey.mean(), rel=1e-5)


def test_blur_takes_sharpness_and_a_sheet_has_none() -> None:
    picture = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    blurred = torch.nn.functional.avg_pool2d(picture, 3, 1, 1)
    assert sharpness_of(blurred) < sharpness_of(picture) / 10
    assert sharpness_of(torch.full((1, 3, 8, 8), 0.3)) < 1e-3


@pytest.mark.parametrize("columns", [{}, {"zoom": "1.1", "angle": "3"}, {"border": "wrap", "translate_x": "5"}])
def test_flicker_is_the_change_from_the_frame_before_moved_by_the_camera(
    renderer: FrameRenderer, planned: Planner, columns: dict[str, Any]
) -> None:
    plan = planned(frames=3, seed=2, **columns)
    frames = [done.frame for done in chain(renderer, plan)]
    scores = [frame.provenance["scores"] for frame in frames]
    assert "flicker" not in scores[0]
    for index in (1, 2):
        change = frame_change(frames[index - 1].picture, frames[index].picture, plan.camera(index))
        # of pictures before they are rounded to 8 bits
        assert scores[index]["flicker"] == pytest.approx(change, abs=0.5)


def test_a_keyframes_flicker_is_from_the_keyframe_that_it_starts_from_by_all_moves_between(
    renderer: FrameRenderer, planned: Planner
) -> None:
    plan = planned(frames=9, zoom="1.02", handoff="keyframes", keyframe_every=4)
    leap = next(it for it in plan.frame_plans if it.start == 0 and it.index > 1 and it.target_frame is None)
    assert leap.start is not None
    start = plan.frame_plans[leap.start]
    assert start.start is None
    before = renderer.render(plan, start, None, {}).frame
    found = renderer.render(plan, leap, before.state, {}).frame
    move = Homography.through([Homography.of(zoom=1.02)] * (leap.index - leap.start))
    change = frame_change(before.picture, found.picture, move)
    assert found.provenance["scores"]["flicker"] == pytest.approx(change, abs=0.5)


def test_scores_are_the_same_again_and_beside_others(renderer: FrameRenderer, planned: Planner) -> None:
    plans = [planned(seed=seed, video_id=f"v{seed}", prompt=f"a fish {seed}") for seed in range(3)]
    alone = [first(renderer, plan).frame for plan in plans]
    together = renderer.render_together([FrameRequest(plan, next(plan.walk()), None, {}) for plan in plans])
    for one, done in zip(alone, together, strict=True):
        assert not isinstance(done, Exception)
        for name, value in one.provenance["scores"].items():
            assert done.frame.provenance["scores"][name] == pytest.approx(value, abs=2e-3, rel=1e-3)
    assert [first(renderer, plan).frame.to_bytes() for plan in plans] == [it.to_bytes() for it in alone]


def test_what_nothing_draws_fits_nothing(renderer: FrameRenderer, planned: Planner) -> None:
    plan = planned(prompts=[{"at": 0, "prompts": [{"text": "mud", "weight": -1}]}], noise_prompts=[{"seed": 1}])
    scores = first(renderer, plan).frame.provenance["scores"]
    assert scores.keys() == {"sharpness", "luma"}


def test_pictures_count_as_texts_do_and_noise_does_not(renderer: FrameRenderer, planned: Planner) -> None:
    def fit(**columns: Any) -> float:
        plan = planned(IMAGES, **columns)
        done = first(renderer, plan, IMAGES).frame
        return float(done.provenance["scores"]["fit"])

    # of what draws with next to no weight the picture is the same
    text = fit()
    assert fit(noise_prompts=[{"seed": 1, "weight": 1e-9}]) == pytest.approx(text, abs=1e-3)
    only = [{"at": 0, "prompts": [{"text": "a coral reef", "weight": 1e-9}]}]
    aligned = fit(prompts=only, image_prompts=[{"image": "a.png", "aligned": True}])
    plain = fit(prompts=only, image_prompts=[{"image": "a.png"}])
    assert -1 <= aligned <= 1
    assert -1 <= plain <= 1


def test_a_judges_word_is_the_likeness_and_changes_no_pixel(
    models: Models, planned: Planner, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(5)
    (drawing,) = models.perceptors
    judge = type(drawing)(_shaken(drawing.clip), drawing.tokenizer).eval().requires_grad_(False)
    asked = list[str]()

    def judges(name: str) -> tuple[Any, ...]:
        asked.append(name)
        return judging

    judging = (judge,)
    renderer = FrameRenderer(models, judges=judges)
    plain = first(renderer, planned()).frame
    judged = first(renderer, planned(review={"judge": "other", "likeness_below": 0.5})).frame
    assert asked == ["other"]
    assert np.array_equal(judged.picture, plain.picture)
    assert judged.state.to_bytes() == plain.state.to_bytes()
    scores = judged.provenance["scores"]
    assert scores["judge"] == "other"
    assert "fit" not in scores
    assert scores["likeness"] != plain.provenance["scores"]["fit"]
    assert planned(review={"judge": "other"}).digests == planned().digests


def _shaken(clip: torch.nn.Module) -> torch.nn.Module:
    import copy

    other = copy.deepcopy(clip)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return other


def test_nobody_judges_what_pleased_it(entry: ModelEntry) -> None:
    with pytest.raises(BadInput, match="model 'random' can't judge what model 'random' draws"):
        judges_of(entry, entry)
    (own,) = entry.perceptors
    other = own.model_copy(update={"sha256": "0" * 64})
    both = entry.model_copy(update={"name": "both", "perceptors": (own, other)})
    assert judges_of(both, entry) == (other,)


def test_a_review_that_is_asked_of_nobody_is_in_no_document(planned: Planner, renderer: FrameRenderer) -> None:
    assert "review" not in first(renderer, planned()).frame.provenance["row"]
    limited = first(renderer, planned(review={"sharpness_below": 3})).frame.provenance["row"]
    assert limited["review"] == {"sharpness_below": 3.0}


def test_limits_out_of_range_name_their_column() -> None:
    with pytest.raises(ValueError, match="flicker_above"):
        ManifestRow.model_validate({"video_id": "a", "prompt": "b", "review": {"flicker_above": 256}})
