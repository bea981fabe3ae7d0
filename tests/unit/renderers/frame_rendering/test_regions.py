"""Regions of frames: each is drawn by its own prompts, alone, together, again, and wherever the camera takes it."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from manifests.schema import ManifestRow
from renderers.errors import BadInput, Stopped
from renderers.frame_plan.video_plan import VideoPlan
from renderers.frame_rendering.renderer import FrameRenderer, FrameRequest, RenderedFrame
from renderers.models import Models
from tests.helpers.frames import IMAGES as PICTURES
from tests.helpers.frames import chain, encoded, first
from tests.helpers.random_model import Planner


def half(*, left: bool, side: int = 32) -> bytes:
    grey = np.zeros((side, side, 3), np.uint8)
    grey[:, : side // 2 if left else side] = 255
    if not left:
        grey[:, : side // 2] = 0
    return encoded(grey)


IMAGES = {**PICTURES, "left.png": half(left=True), "right.png": half(left=False)}
HALVES: list[dict[str, Any]] = [
    {"mask": "left.png", "prompts": "an apple"},
    {"mask": "right.png", "prompts": "0: a dog | 2: a cat:(t/4)"},
]
COLUMNS: dict[str, Any] = {"regions": HALVES, "cutouts": {"number": 13}, "frames": 4, "crossfade": 0}


def test_crops_are_no_more_than_before_and_at_least_four_of_each(renderer: FrameRenderer, planned: Planner) -> None:
    plan = planned(IMAGES, **COLUMNS)
    frame = next(plan.walk())
    (running,) = renderer._start(FrameRequest(plan, frame, None, IMAGES))
    assert running.counts(0) == [4, 5, 4]
    seen = running.cutouts(0, 32, torch.rand(1, 3, 32, 32))
    assert len(seen) == 13
    assert planned(IMAGES, regions=HALVES[:1] * 2).row.cutouts.number == 12  # the random model's own number is 4
    with pytest.raises(BadInput, match=r"cutouts.number 11 .* is too small for its 2 regions: .* give it 12 or more"):
        planned(IMAGES, regions=HALVES[:1] * 2, cutouts={"number": 11})


def test_each_is_drawn_by_its_own_prompts(renderer: FrameRenderer, planned: Planner) -> None:
    def gradient(left: str, right: str) -> torch.Tensor:
        """Of what a step's picture is like."""
        regions = [{"mask": "left.png", "prompts": left}, {"mask": "right.png", "prompts": right}]
        plan = planned(IMAGES, regions=regions)
        (frame,) = renderer._start(FrameRequest(plan, next(plan.walk()), None, IMAGES))
        picture = torch.full((1, 3, 32, 32), 0.5, requires_grad=True)
        cutouts = frame.cutouts(0, 32, picture)
        (loss,) = renderer._embedding_losses(0, renderer._guides[0], [frame], [cutouts], [[]])
        return torch.autograd.grad(loss, picture)[0].abs().sum(dim=(0, 1, 2))

    one, other, both = gradient("an apple", "a dog"), gradient("an apple", "a cat"), gradient("a bird", "a dog")
    torch.testing.assert_close(one[:16], other[:16])
    torch.testing.assert_close(one[16:], both[16:])
    assert not torch.isclose(one[16:], other[16:]).any()
    assert not torch.isclose(one[:16], both[:16]).any()


@pytest.mark.parametrize("handoff", ["chain", "keyframes"])
def test_frames_are_the_same_the_second_time(renderer: FrameRenderer, planned: Planner, handoff: str) -> None:
    regions = [HALVES[0] | {"moves": True}, HALVES[1]]
    plan = planned(IMAGES, **COLUMNS | {"regions": regions, "translate_x": "2"}, handoff=handoff, keyframe_every=2)
    states: dict[int, RenderedFrame] = {}
    for frame in plan.as_placed():
        parent = None if frame.start is None else states[frame.start].frame.state
        ahead = None if frame.target_frame is None else states[frame.target_frame].frame.state
        asked = iter(range(100))
        with pytest.raises(Stopped):
            renderer.render(plan, frame, parent, IMAGES, target_state=ahead, should_stop=lambda n=asked: next(n) == 1)  # type: ignore[misc]
        states[frame.index] = renderer.render(plan, frame, parent, IMAGES, target_state=ahead)
        again = renderer.render(plan, frame, parent, IMAGES, target_state=ahead)
        assert again.frame.to_bytes() == states[frame.index].frame.to_bytes()
    assert states[3].frame.provenance["row"]["regions"][1]["mask"] == "right.png"


def test_together_they_are_what_they_are_alone(renderer: FrameRenderer, planned: Planner) -> None:
    plans = [planned(IMAGES, **COLUMNS, seed=seed) for seed in range(2)]
    plans.append(planned(IMAGES, cutouts={"number": 13}))  # one without regions among them
    requests = [FrameRequest(plan, next(plan.walk()), None, IMAGES) for plan in plans]
    for request, one in zip(requests, renderer.render_together(requests), strict=True):
        (other,) = renderer.render_together([request])
        assert isinstance(one, RenderedFrame)
        assert isinstance(other, RenderedFrame)
        np.testing.assert_allclose(one.losses, other.losses, rtol=1e-3)


@pytest.mark.parametrize("at_once", [1, 3, 12])
def test_fewer_crops_at_once_make_the_same_frame(renderer: FrameRenderer, planned: Planner, at_once: int) -> None:
    columns = {**COLUMNS, "image_prompts": [{"image": "a.png", "aligned": True}], "loss": {"contrast": 0.5}}
    plan = planned(IMAGES, **columns)
    frame = next(plan.walk())
    one, other = (renderer.render(plan, frame, None, IMAGES, cutouts_at_once=number) for number in (None, at_once))
    np.testing.assert_allclose(one.losses, other.losses, rtol=1e-4)


def test_several_perceptors_see_them_and_candidates_are_chosen_by_them(models: Models, planned: Planner) -> None:
    two = FrameRenderer(dataclasses.replace(models, perceptors=models.perceptors * 2))
    plan = planned(IMAGES, **COLUMNS, candidates=3)
    done = first(two, plan, IMAGES)
    assert len(done.frame.provenance["candidates"]["scores"]) == 3
    assert "fit" in done.frame.provenance["scores"]
    # where the whole is drawn towards nothing, what the regions are drawn towards is scored
    plan = planned(IMAGES, **COLUMNS | {"prompt": "fog:-1"})
    assert "fit" in first(two, plan, IMAGES).frame.provenance["scores"]


def test_the_sum_of_parts_that_ask_the_same_is_the_loss_of_the_whole(renderer: FrameRenderer, planned: Planner) -> None:
    """Without augmentation each part's crops of an even picture are all alike."""
    still = dict.fromkeys(("affine", "perspective", "jitter", "erase"), 0)
    cutouts = {f"{name}_probability": 0 for name in still} | {"noise": 0, "number": 12}
    white = {**IMAGES, "left.png": encoded(np.full((32, 32, 3), 255, np.uint8))}
    regions = [{"mask": "left.png", "prompts": "a reef"}]
    parts = planned(white, prompt="a reef", regions=regions, cutouts=cutouts, steps_first=1)
    whole = planned(white, prompt="a reef:2", cutouts=cutouts, steps_first=1)
    np.testing.assert_allclose(first(renderer, parts, white).losses, first(renderer, whole, white).losses, rtol=1e-4)


def test_they_stand_in_the_frame_or_go_with_the_camera(renderer: FrameRenderer, planned: Planner) -> None:
    def columns(index: int, *, moves: bool) -> list[float] | None:
        regions = [HALVES[0] | {"moves": moves}]
        plan = planned(IMAGES, **COLUMNS | {"regions": regions, "frames": 9}, translate_x="-4")
        found = renderer.starts.regions(plan, list(plan.walk())[index], IMAGES)
        return None if found is None else found.views[0].white[0, 0, :, ::8].mean(dim=0).tolist()

    assert columns(0, moves=True) == columns(4, moves=False) == [1.0, 1.0, 0.0, 0.0]
    assert columns(2, moves=True) == [1.0, 0.0, 0.0, 0.0]
    assert columns(4, moves=True) is None  # it has left the frame


def test_what_decides_a_frame_is_in_its_digest(planned: Planner) -> None:
    def digests(*regions: dict[str, Any], images: dict[str, bytes] = IMAGES, **more: Any) -> tuple[str, ...]:
        return tuple(planned(images, **COLUMNS | {"regions": list(regions)} | more).digests)

    one, other = HALVES
    plain = tuple(planned(IMAGES, **COLUMNS | {"regions": None}).digests)
    assert digests() == plain == digests(regions=None)
    renamed = {**IMAGES, "x.png": IMAGES["left.png"]}
    assert digests(one) == digests(one | {"mask": "x.png"}, images=renamed) == digests(one | {"blind": 0.3})
    different = {
        plain, digests(one), digests(other), digests(one, other), digests(one | {"mask": "right.png"}),
        digests(one | {"blind": 0.4}), digests(one | {"moves": True}), digests(one | {"prompts": "an apple:2"}),
    }  # fmt: skip
    assert len(different) == 8
    assert len({it[0] for it in different}) == 8
    # what begins later leaves the frames before where they were
    late = digests(one | {"prompts": "an apple:(t/24*clamp(t-1,0,1))"})
    assert late[:2] == plain[:2]
    assert late[2] != plain[2]
    assert digests(one, one | {"prompts": "fog:0"}) == digests(one)


def test_what_a_row_adds_to_all_scenes_it_adds_to_those_of_regions(planned: Planner) -> None:
    plan = planned(IMAGES, **COLUMNS, prefix="a photo of", suffix="| blur:-1")
    texts = [[it.text for it in part.texts] for part in list(plan.walk())[3].regions]
    assert texts == [["a photo of, an apple", "blur"], ["a photo of, a cat", "blur"]]


def test_a_loop_leads_their_prompts_back(planned: Planner) -> None:
    row: dict[str, Any] = {"regions": [{"mask": "left.png", "prompts": "0: an apple | 20: a dog"}], "loop": True}
    plan: VideoPlan = planned(IMAGES, **row, frames=80, crossfade=0, handoff="chain")
    last = list(plan.walk())[79].regions[0].texts
    assert {it.text: round(it.weight, 2) for it in last} == {"an apple": 0.96, "a dog": 0.04}


@pytest.mark.parametrize(
    ("regions", "more", "message"),
    [
        ([{"mask": "a.png"}], {}, "regions"),
        ([{"prompts": "a"}], {}, "regions"),
        ([{"mask": "a.png", "prompts": "a | | b"}], {}, "nothing stands between the separators"),
        ([{"mask": "a.png", "prompts": "a", "blind": 2}], {}, "blind"),
        ([{"mask": "a.png", "prompts": "0: a | 9: b"}], {}, r"a scene of the region starts at frame 9, but the video"),
        ([{"mask": "a.png", "prompts": "a:(1/(t-2))"}], {}, r"weight of 'a' in region 1"),
        ([{"mask": "a.png", "prompts": "a", "moves": True}], {"depth": {"shape": "tunnel"}}, "camera before a plane"),
    ],
)  # fmt: skip
def test_what_can_not_be_is_said(regions: list[dict[str, Any]], more: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ManifestRow.model_validate({"video_id": "reef", "prompt": "a reef", "frames": 4, "regions": regions, **more})


def test_frames_of_a_chain_go_on_with_their_regions(renderer: FrameRenderer, planned: Planner) -> None:
    plan = planned(IMAGES, **COLUMNS)
    frames = chain(renderer, plan, IMAGES)
    other = planned(IMAGES, **COLUMNS | {"regions": [HALVES[0], HALVES[1] | {"prompts": "0: a dog | 2: a horse"}]})
    assert [one == two for one, two in zip(plan.digests, other.digests, strict=True)] == [True, True, False, False]
    again = chain(renderer, other, IMAGES)
    same = [torch.equal(one.frame.state.tokens, two.frame.state.tokens) for one, two in zip(frames, again, strict=True)]
    assert same[:2] == [True, True]
    assert frames[3].losses != again[3].losses


def test_they_are_shown_with_their_masks() -> None:
    row = ManifestRow.model_validate({"video_id": "reef", "prompt": "a reef", "frames": 4, "regions": HALVES})
    assert row.shown_prompts == "a reef [left.png: an apple] [right.png: 0: a dog | 2: a cat:(t/4)]"
