"""Frames that are drawn over a film, on the random model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from renderers.errors import OpenCVMissing
from renderers.frame_plan.frame_plan import FramePlan
from renderers.frame_plan.source import SourcePictures
from renderers.frame_plan.video_plan import VideoPlan
from renderers.frame_rendering import optical_flow
from renderers.frame_rendering.film_starts import FilmStarts
from renderers.frame_rendering.renderer import FrameRenderer, FrameRequest, RenderedFrame
from renderers.frame_rendering.starts import Start
from renderers.frame_rendering.state import FrameState
from renderers.models import decode_tokens
from renderers.step.goals import Goal, edge_distance, picture_distance
from tests.helpers.frames import encoded
from tests.helpers.random_model import Planner

SIDE = 32


def shot(seed: int, left: int = 0) -> NDArray[np.uint8]:
    """What a camera sees of smooth ground, `left` pixels from its edge."""
    coarse = torch.rand(1, 3, 8, 16, generator=torch.Generator().manual_seed(seed))
    wide = torch.nn.functional.interpolate(coarse, size=(SIDE, 2 * SIDE), mode="bicubic").clamp(0, 1)[0]
    return (wide[:, :, left : left + SIDE].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()


FILM = [shot(1, 0), shot(1, 2), shot(1, 4), shot(2, 0)]
"""A pan to the right, and a cut."""
COLUMNS = {"width": SIDE, "height": SIDE, "steps": 2, "steps_first": 5}


def film(**source: Any) -> dict[str, Any]:
    hashes = "".join(f"{number:016x}" for number in range(len(FILM)))
    return COLUMNS | {"source": {"video": "film.mp4", "found": {"fps": 12, "frames": hashes}, **source}}


def pictures(frame: FramePlan) -> SourcePictures:
    assert frame.source is not None
    return SourcePictures(FILM[frame.index], FILM[frame.index - 1] if frame.source.before else None)


def rendered(renderer: FrameRenderer, plan: VideoPlan) -> list[RenderedFrame]:
    done: list[RenderedFrame] = []
    for frame in plan.walk():
        state = None if frame.start is None else done[frame.start].frame.state
        done.append(renderer.render(plan, frame, state, {}, source=pictures(frame)))
    return done


def begun(renderer: FrameRenderer, plan: VideoPlan, index: int, state: FrameState | None = None) -> Start:
    frame = plan.frame_plans[index]
    return FilmStarts(renderer.models, renderer.starts).of(plan, frame, pictures(frame), state, {}, 0)


def seen(renderer: FrameRenderer, picture: NDArray[np.uint8]) -> torch.Tensor:
    tensor = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
    with torch.no_grad():
        return renderer.models.vqgan.encode(tensor)


def test_the_first_frame_and_each_alone_start_from_the_films_own(renderer: FrameRenderer, planned: Planner) -> None:
    for plan, index in ((planned(**film()), 0), (planned(**film(mode="each")), 2)):
        start = begun(renderer, plan, index)
        assert start.cold
        assert start.memory is None
        torch.testing.assert_close(start.latent, seen(renderer, FILM[index]))


def test_along_the_flow_it_starts_from_the_frame_before_moved(renderer: FrameRenderer, planned: Planner) -> None:
    plan = planned(**film(blend="0"))
    state = rendered(renderer, plan)[0].frame.state
    start = begun(renderer, plan, 1, state)
    assert not start.cold
    assert start.memory is not None
    assert start.covered is not None
    assert start.covered > 0.5
    own = begun(renderer, planned(**film(blend="1")), 1, state)  # all of the film, nothing of the frame before
    torch.testing.assert_close(own.latent, seen(renderer, FILM[1]))
    assert float((start.latent - own.latent).abs().mean()) > 0.01


def test_what_was_hidden_is_the_films_own_unless_it_is_to_be_moved(renderer: FrameRenderer, planned: Planner) -> None:
    state = rendered(renderer, planned(**film()))[0].frame.state
    source = begun(renderer, planned(**film(blend="0")), 1, state)
    moved = begun(renderer, planned(**film(blend="0", occluded="moved")), 1, state)
    assert source.covered == moved.covered
    assert not torch.equal(source.latent, moved.latent)


def test_a_cut_starts_anew_with_the_steps_of_a_first_frame(
    renderer: FrameRenderer, planned: Planner, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = planned(**film())
    # whatever the threshold, on a film of so few pixels
    monkeypatch.setattr("renderers.frame_rendering.film_starts.CUT", 0.5)
    frames = rendered(renderer, plan)
    assert [len(frame.losses) for frame in frames] == [5, 2, 2, 5]
    covered = [frame.frame.provenance.get("covered") for frame in frames]
    assert covered[0] is None
    assert covered[3] < 0.5 < min(covered[1], covered[2])
    assert [frame.frame.provenance["steps"] for frame in frames] == [5, 2, 2, 5]


def test_frames_of_each_come_out_alike_in_any_order_and_together(renderer: FrameRenderer, planned: Planner) -> None:
    plan = planned(**film(mode="each"))
    alone = [frame.frame.to_bytes() for frame in rendered(renderer, plan)]
    frames = [plan.frame_plans[index] for index in (3, 0, 2, 1)]
    requests = [FrameRequest(plan, frame, None, {}, source=pictures(frame)) for frame in frames]
    together = renderer.render_together(requests)
    for frame, done in zip(frames, together, strict=True):
        assert isinstance(done, RenderedFrame)
        assert (done.frame.picture == rendered_picture(alone[frame.index])).mean() > 0.99


def rendered_picture(data: bytes) -> NDArray[np.uint8]:
    from renderers.frame_rendering.frame_object import FrameObject

    return FrameObject.from_bytes(data).picture


def test_a_chain_that_was_interrupted_goes_on_to_the_same_bytes(renderer: FrameRenderer, planned: Planner) -> None:
    from renderers.frame_rendering.frame_object import FrameObject

    plan = planned(**film())
    whole = rendered(renderer, plan)
    stored = FrameObject.from_bytes(whole[1].frame.to_bytes()).state
    frame = plan.frame_plans[2]
    again = renderer.render(plan, frame, stored, {}, source=pictures(frame))
    assert again.frame.to_bytes() == whole[2].frame.to_bytes()


def test_weights_of_0_leave_frames_as_they_are(renderer: FrameRenderer, planned: Planner) -> None:
    plain, at_rest = (rendered(renderer, planned(**film(**it))) for it in ({}, {"picture": "t*0", "edges": 0}))
    for one, other in zip(plain, at_rest, strict=True):
        assert np.array_equal(one.frame.picture, other.frame.picture)
        assert one.losses == other.losses
        assert one.frame.state.to_bytes() == other.frame.state.to_bytes()


WEIGHTS: dict[str, Any] = {"picture": "3", "edges": "20*t", "meaning": ".5"}


@pytest.mark.parametrize("mode", ["flow", "follow", "each"])
def test_every_frame_is_held_to_its_own_of_the_film(renderer: FrameRenderer, planned: Planner, mode: str) -> None:
    plan = planned(**film(mode=mode, **WEIGHTS))
    for index in (0, 2):
        frame = plan.frame_plans[index]
        state = None if frame.start is None else rendered(renderer, plan)[index - 1].frame.state
        goals = begun(renderer, plan, index, state).goals
        wanted = [("picture", 3), ("edges", 40), ("meaning", 0.5)]
        assert [(it.kind, it.weight) for it in goals] == [it for it in wanted if index or it[0] != "edges"]
        own = torch.from_numpy(FILM[index]).permute(2, 0, 1)[None].float() / 255
        for goal in goals:
            assert torch.equal(goal.picture, own)
            assert goal.coverage is None


def test_a_frame_that_follows_starts_from_the_frame_before_as_it_was(renderer: FrameRenderer, planned: Planner) -> None:
    plan = planned(**film(mode="follow", picture=300), hold={"picture": 2})
    state = rendered(renderer, plan)[0].frame.state
    start = begun(renderer, plan, 1, state)
    assert not start.cold
    assert torch.equal(start.latent, state.expand(renderer.starts.low, renderer.starts.high))
    own, film_goal = start.goals  # what it starts from, then the film
    assert (own.weight, film_goal.weight) == (2, 300)
    assert torch.equal(own.picture, decode_tokens(renderer.models.vqgan, state.tokens))
    assert start.memory is not None
    assert torch.equal(start.memory[0], state.moments.expand(renderer.models.device)[0])


@pytest.mark.parametrize("mode", ["flow", "follow"])
@pytest.mark.parametrize("name", ["picture", "edges"])
def test_a_hard_weight_brings_frames_near_to_the_film(
    renderer: FrameRenderer, planned: Planner, mode: str, name: str
) -> None:
    many = {"steps": 30, "steps_first": 30, "prompt": "a coral reef:20", "optimiser": {"lr": 0.05}}
    soft = rendered(renderer, planned(**film(mode=mode, **{name: 0.001}) | many))
    hard = rendered(renderer, planned(**film(mode=mode, **{name: 1000}) | many))

    def apart(frame: RenderedFrame, index: int) -> float:
        one, other = (
            torch.from_numpy(it).permute(2, 0, 1)[None].float() / 255 for it in (frame.frame.picture, FILM[index])
        )
        distance = picture_distance if name == "picture" else edge_distance
        return float(distance(one, Goal(name, other, 1.0)))  # type: ignore[arg-type]

    near, far = ([apart(frames[index], index) for index in range(len(FILM))] for frames in (hard, soft))
    assert all(one < other for one, other in zip(near, far, strict=True))
    assert sum(near) < 0.8 * sum(far)


@pytest.mark.parametrize("mode", ["flow", "follow"])
def test_held_frames_come_out_alike_together_and_after_an_interruption(
    renderer: FrameRenderer, planned: Planner, mode: str
) -> None:
    from renderers.frame_rendering.frame_object import FrameObject

    plan = planned(**film(mode=mode, **WEIGHTS))
    whole = rendered(renderer, plan)
    # each from the stored state of the one before: as after an interruption, alone and as a batch
    stored = [FrameObject.from_bytes(it.frame.to_bytes()).state for it in whole]
    for frame in plan.frame_plans[1:]:
        again = renderer.render(plan, frame, stored[frame.index - 1], {}, source=pictures(frame))
        assert again.frame.to_bytes() == whole[frame.index].frame.to_bytes()
    frames = [plan.frame_plans[index] for index in (2, 1)]
    requests = [FrameRequest(plan, it, stored[it.index - 1], {}, source=pictures(it)) for it in frames]
    for frame, done in zip(frames, renderer.render_together(requests), strict=True):
        assert isinstance(done, RenderedFrame)
        assert (done.frame.picture == whole[frame.index].frame.picture).mean() > 0.99
        assert done.losses == pytest.approx(whole[frame.index].losses, rel=1e-4)


@pytest.mark.parametrize("mode", ["flow", "follow", "each"])
def test_what_a_mask_keeps_is_the_films_own_in_every_frame(
    renderer: FrameRenderer, planned: Planner, mode: str
) -> None:
    white = np.zeros((SIDE, SIDE), np.uint8)
    white[:, SIDE // 2 :] = 255
    images = {"m.png": encoded(white)}
    plan = planned(images, **film(mode=mode, picture="3"), mask="m.png", optimiser={"lr": 0.5})
    assert list(plan.digests) != list(planned(**film(mode=mode, picture="3"), optimiser={"lr": 0.5}).digests)
    tokens: list[torch.Tensor] = []
    state: FrameState | None = None
    for frame in plan.walk():
        given = state if frame.start is not None else None
        state = renderer.render(plan, frame, given, images, source=pictures(frame)).frame.state
        tokens.append(state.tokens.long())
    for found, picture in zip(tokens, FILM, strict=True):
        own = renderer.models.vqgan.tokenise(seen(renderer, picture))
        assert torch.equal(found[..., :4], own[..., :4])
        assert not torch.equal(found[..., 4:], own[..., 4:])


def test_a_film_has_regions_too(renderer: FrameRenderer, planned: Planner) -> None:
    white = np.zeros((SIDE, SIDE), np.uint8)
    white[:, SIDE // 2 :] = 255
    images = {"m.png": encoded(white)}
    plan = planned(images, **film(mode="each"), regions=[{"mask": "m.png", "prompts": "a dog"}])
    (frame, *_) = plan.walk()
    done = renderer.render(plan, frame, None, images, source=pictures(frame))
    again = renderer.render(plan, frame, None, images, source=pictures(frame))
    assert done.frame.to_bytes() == again.frame.to_bytes()
    assert done.losses != rendered(renderer, planned(**film(mode="each"), cutouts={"number": 8}))[0].losses


def test_a_smaller_preview_takes_the_film_smaller(renderer: FrameRenderer, planned: Planner) -> None:
    plan = planned(**film() | {"width": 16, "height": 16})
    assert rendered(renderer, plan)[1].frame.picture.shape == (16, 16, 3)


def test_without_opencv_it_is_said_what_to_install(
    renderer: FrameRenderer, planned: Planner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "cv2", None)
    with pytest.raises(OpenCVMissing, match=r"pip install 'nightreel\[video\]'"):
        optical_flow.film_motion(FILM[0], FILM[1])
    for needs_none in ({"mode": "each"}, {"mode": "follow", "picture": 300}):
        assert len(rendered(renderer, planned(**film(**needs_none)))) == len(FILM)
