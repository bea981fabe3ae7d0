"""What guides a frame: pictures seen whole, once for all frames, and those whose things have their places."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from renderers.frame_plan.addressing import ALGORITHM, ONE_CROP
from renderers.frame_plan.video_plan import VideoPlan
from renderers.frame_rendering import pictures
from renderers.frame_rendering.in_progress import FrameInProgress, FrameRequest
from renderers.frame_rendering.pictures import FittedPictures, read_picture
from renderers.frame_rendering.renderer import FrameRenderer, RenderedFrame
from renderers.models import Models
from renderers.step.guidance import Guide, Targets
from tests.helpers.frames import IMAGES, chain, encoded, first, picture_bytes
from tests.helpers.random_model import Planner


def guide_of(models: Models) -> Guide:
    return Guide(models.perceptors[0], (), models.device, FittedPictures(models.device))


def targets_of(guide: Guide, plan: VideoPlan, images: dict[str, bytes]) -> Targets:
    return guide.targets(plan, next(plan.walk()), images)


def wide(middle: int, sides: int) -> bytes:
    """Noise side by side, by the seeds of what is in the middle, a bit more than a square, and of what is beside it."""
    parts = (np.random.default_rng(seed).integers(0, 256, (40, width, 3), dtype=np.uint8)
             for seed, width in ((sides, 40), (middle, 60), (sides + 1, 40)))  # fmt: skip
    return encoded(np.concatenate(list(parts), axis=1))


# --- seen whole -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("algorithm", "whole"), [(ALGORITHM, True), (ONE_CROP, False), (4, False)])
def test_a_wide_picture_is_seen_with_its_sides(models: Models, planned: Planner, algorithm: int, whole: bool) -> None:
    vectors = []
    for data in (wide(0, 1), wide(0, 5), wide(9, 1)):
        images = {"a.png": data}
        plan = dataclasses.replace(planned(images, image_prompts=[{"image": "a.png"}]), algorithm=algorithm)
        (target,) = targets_of(guide_of(models), plan, images).others
        assert float(target.vector.norm()) == pytest.approx(1, abs=1e-5)
        vectors.append(target.vector)
    assert torch.equal(vectors[0], vectors[1]) is not whole
    assert not torch.equal(vectors[0], vectors[2])


def test_what_was_begun_with_one_crop_is_drawn_as_it_was(models: Models, planned: Planner) -> None:
    """To the last bit: its frames have the addresses of such."""
    images = {"a.png": wide(0, 1)}
    plan = dataclasses.replace(planned(images, image_prompts=[{"image": "a.png"}]), algorithm=ONE_CROP)
    perceptor = models.perceptors[0]
    seen = read_picture(images, "a.png", perceptor.side, perceptor.side)
    (target,) = targets_of(guide_of(models), plan, images).others
    assert torch.equal(target.vector, perceptor.embed_pictures(seen)[0])


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the pictures that are read, in order."""
    names: list[str] = []
    real = pictures.read_rgb

    def reading(data: bytes, name: str) -> Image.Image:
        names.append(name)
        return real(data, name)

    monkeypatch.setattr(pictures, "read_rgb", reading)
    return names


def test_a_picture_is_read_once_for_all_frames(models: Models, planned: Planner, read: list[str]) -> None:
    images = {"x.png": picture_bytes(seed=11), "copy.png": picture_bytes(seed=11), "y.png": picture_bytes(seed=12)}
    prompts = [{"image": "x.png"}, {"image": "copy.png", "weight": 2}, {"image": "y.png", "aligned": True}]
    chain(FrameRenderer(models), planned(images, frames=3, image_prompts=prompts), images)
    assert sorted(read) == ["x.png", "y.png"]


def test_the_fitted_pictures_that_were_used_last_are_remembered(
    monkeypatch: pytest.MonkeyPatch, read: list[str]
) -> None:
    monkeypatch.setattr(pictures, "REMEMBERED_PIXELS", 2 * 16 * 16)
    images = {name: picture_bytes(seed=seed) for seed, name in enumerate("abc")}
    expected = {name: (read_picture(images, name, 16, 16) * 255).round() / 255 for name in images}
    read.clear()
    fitted = FittedPictures(torch.device("cpu"))
    for name in "aabacab":
        assert torch.equal(fitted.read(images, name, name * 64, 16, 16), expected[name])
    assert read == ["a", "b", "c", "b"]


# --- aligned ----------------------------------------------------------------------------------------------------------


def in_progress(renderer: FrameRenderer, plan: VideoPlan, images: dict[str, bytes]) -> FrameInProgress:
    request = FrameRequest(plan, next(plan.walk()), None, images)
    return FrameInProgress(
        request, renderer.models, renderer.starts, [targets_of(guide_of(renderer.models), plan, images)]
    )


@pytest.mark.parametrize("method", ["crops", "pooled", "lanczos"])
def test_an_aligned_picture_is_cut_as_the_frame_is(renderer: FrameRenderer, planned: Planner, method: str) -> None:
    cutouts = {"noise": 0, "size_min": 0.4, "size_max": 0.9, "number": 6, "method": method}
    plan = planned(IMAGES, width=48, cutouts=cutouts, image_prompts=[{"image": "a.png", "aligned": True}] * 2)
    frame = in_progress(renderer, plan, IMAGES)
    picture = (read_picture(IMAGES, "a.png", 48, 32) * 255).round() / 255
    cut = frame.cutouts(0, 32, picture)
    assert [torch.equal(it, cut) for it in frame.aligned_cutouts(0, 32, picture)] == [True, True]
    # the noise is the frame's alone
    noisy = in_progress(renderer, planned(IMAGES, width=48, cutouts=cutouts | {"noise": 0.5},
                                          image_prompts=[{"image": "a.png", "aligned": True}]), IMAGES)  # fmt: skip
    assert torch.equal(noisy.aligned_cutouts(0, 32, picture)[0], cut)
    assert not torch.equal(noisy.cutouts(0, 32, picture), cut)


def test_a_frame_that_is_its_aligned_picture_has_no_loss(renderer: FrameRenderer, planned: Planner) -> None:
    plan = planned(IMAGES, cutouts={"noise": 0}, image_prompts=[{"image": "a.png", "aligned": True}], prompt="a:0",
                   loss={"contrast": 0})  # fmt: skip
    frame, perceptor = in_progress(renderer, plan, IMAGES), renderer.models.perceptors[0]
    picture = read_picture(IMAGES, "a.png", 32, 32)
    for shown, near in ((picture, True), (picture.flip(-1), False)):
        cut = perceptor.embed_pictures(frame.cutouts(0, perceptor.side, shown))
        (aligned,) = frame.aligned_cutouts(0, perceptor.side, shown)
        targets = frame.targets[0].with_aligned([perceptor.embed_pictures(aligned)])
        distance = float((cut - targets.others[-1].vector).norm(dim=-1).mean())
        assert (distance < 0.01) is near
    assert frame.targets[0].others == ()


def render(renderer: FrameRenderer, plan: VideoPlan, **how: Any) -> RenderedFrame:
    return renderer.render(plan, next(plan.walk()), None, IMAGES, **how)


def test_place_matters_to_an_aligned_picture_only(models: Models, renderer: FrameRenderer, planned: Planner) -> None:
    """A frame towards a picture whose left half is white: it becomes lighter there."""
    half = np.zeros((32, 32, 3), np.uint8)
    half[:, :16] = 255
    images = {"a.png": encoded(half)}
    light = {}
    for aligned in (False, True):
        plan = planned(
            images, prompt="a:0", steps_first=60, optimiser={"lr": 0.2}, cutouts={"number": 16, "erase_probability": 0},
            image_prompts=[{"image": "a.png", "aligned": aligned}],
        )  # fmt: skip
        done = renderer.render(plan, next(plan.walk()), None, images)
        picture = torch.from_numpy(done.frame.picture).float().mean(dim=-1)
        light[aligned] = float(picture[:, :16].mean() - picture[:, 16:].mean())
    assert light[True] > light[False] + 10, light


def test_fewer_cutouts_at_once_compare_each_with_its_own(renderer: FrameRenderer, planned: Planner) -> None:
    prompts = [{"image": "a.png", "aligned": True}, {"image": "b.png", "aligned": True, "weight": -2}]
    plan = planned(IMAGES, loss={"contrast": 0.5}, cutouts={"number": 5, "size_min": 0.3}, image_prompts=prompts)
    whole, parts = render(renderer, plan), render(renderer, plan, cutouts_at_once=2)
    assert parts.losses == pytest.approx(whole.losses, rel=1e-4)


def test_frames_with_aligned_pictures_are_drawn_together_as_one_by_one(
    renderer: FrameRenderer, planned: Planner
) -> None:
    prompts = [[{"image": "a.png", "aligned": True}], [], [{"image": "b.png", "aligned": True}, {"image": "a.png"}]]
    plans = [planned(IMAGES, seed=seed, image_prompts=it) for seed, it in enumerate(prompts)]
    alone = [render(renderer, plan) for plan in plans]
    together = renderer.render_together([FrameRequest(plan, next(plan.walk()), None, IMAGES) for plan in plans])
    for one, other in zip(alone, together, strict=True):
        assert isinstance(other, RenderedFrame)
        assert other.losses == pytest.approx(one.losses, rel=1e-4)


def test_an_exam_of_candidates_compares_with_aligned_pictures_too(renderer: FrameRenderer, planned: Planner) -> None:
    plan = planned(IMAGES, prompts=[{"images": [{"image": "a.png", "aligned": True}]}], candidates=3, steps_first=4)
    choice = first(renderer, plan, IMAGES).frame.provenance["candidates"]
    assert isinstance(choice, dict)
    assert min(choice["scores"]) > 0
    assert len(set(choice["scores"])) == 3


def test_a_coarse_start_is_compared_with_the_same_places(renderer: FrameRenderer, planned: Planner) -> None:
    plan = planned(IMAGES, width=64, height=64, steps_first=4, optimiser={"coarse": 0.5},
                   image_prompts=[{"image": "a.png", "aligned": True}])  # fmt: skip
    assert len(first(renderer, plan, IMAGES).losses) == 4


def test_vectors_of_cutouts_are_others_after_those_that_there_are(models: Models, planned: Planner) -> None:
    prompts = [{"image": "a.png", "aligned": True, "weight": 3, "stop": 0.2}, {"image": "b.png"}]
    plan = planned(IMAGES, image_prompts=prompts, noise_prompts=[{"seed": 3}])
    targets = targets_of(guide_of(models), plan, IMAGES)
    assert (len(targets.prompts), len(targets.others), len(targets.aligned)) == (1, 2, 1)
    vectors = F.normalize(torch.ones(4, 16), dim=-1)
    placed = targets.with_aligned([vectors])
    assert placed.others[:2] == targets.others
    assert (placed.others[2].weight, placed.others[2].stop) == (3, 0.2)
    assert placed.others[2].vector is vectors
    plain = targets_of(guide_of(models), planned(IMAGES), IMAGES)
    assert plain.with_aligned([]) is plain
