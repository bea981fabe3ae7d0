"""Frames between keyframes: digests, what they need, and that they come out the same in any order."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from renderers.frame_plan.frame_plan import FramePlan, Retake
from renderers.frame_plan.handoff import FAR, Place
from renderers.frame_plan.motion import STILL, Homography
from renderers.frame_plan.video_plan import VideoPlan
from renderers.frame_rendering import in_progress
from renderers.frame_rendering.in_progress import FrameInProgress, FrameRequest
from renderers.frame_rendering.renderer import FrameRenderer, RenderedFrame
from renderers.frame_rendering.seams import seam_scores
from renderers.frame_rendering.state import Moments
from renderers.frame_rendering.warp import frame_change, sampling_matrix, warp_of
from tests.helpers.random_model import Planner


def keyed(planned: Planner, **columns: object) -> VideoPlan:
    given = {"frames": 14, "keyframe_every": 3, "handoff": "keyframes", "zoom": "1.05", "angle": "2", "steps": 1}
    return planned(**given | columns)


def render_all(renderer: FrameRenderer, plan: VideoPlan, order: list[int]) -> dict[int, RenderedFrame]:
    frames = {frame.index: frame for frame in plan.walk()}
    done: dict[int, RenderedFrame] = {}
    while len(done) < len(frames):
        index = next(i for i in order if i not in done and done.keys() >= set(frames[i].needs))
        frame = frames[index]
        parent = None if frame.start is None else done[frame.start].frame.state
        ahead = None if frame.target_frame is None else done[frame.target_frame].frame.state
        done[index] = renderer.render(plan, frame, parent, {}, target_state=ahead)
    return done


def test_moves_compose_and_are_undone() -> None:
    def full(motion: Homography) -> torch.Tensor:
        return sampling_matrix(motion, 64, 48)

    one, other = Homography.of(1.2, 30, 5, -3), Homography.of(0.7, -50, 2, 9)
    # the matrices say where a point of the new picture lies in the old one: the later motion comes first
    assert torch.allclose(full(one.compose(other)), full(one) @ full(other), atol=1e-6)
    assert torch.allclose(full(one.inverse()) @ full(one), torch.eye(3), atol=1e-6)
    assert one.compose(one.inverse()).entries == pytest.approx(STILL.entries, abs=1e-10)


def test_one_picture_covers_another_as_far_as_it_is_in_view() -> None:
    picture = torch.zeros(1, 3, 40, 40)
    assert warp_of(STILL, picture).coverage(40, 40).min() == 1
    half = warp_of(Homography.of(zoom=0.5), picture).coverage(40, 40)[0, 0]
    assert half[20, 20] == 1
    assert half[5].max() == 0  # above the picture, which fills the middle half
    assert 0 < half[20, 10] < 1  # fading out towards its edge


def test_a_frame_of_a_gap_needs_both_its_neighbours_and_hangs_on_them(planned: Planner) -> None:
    plan = keyed(planned)
    frames = list(plan.walk())
    assert [frame.needs for frame in frames] == [
        (), (0, 3), (1, 3), (0, 12), (3, 6), (4, 6), (0, 12), (6, 9), (7, 9), (0, 12), (9, 12), (10, 12), (0,), (12,),
    ]  # fmt: skip
    assert [index for index in range(14) if frames[index].ahead] == [3, 6, 9, 12, 13]
    # another keyframe: the frames that are drawn to it or start from it are others, those of other gaps are not
    other = VideoPlan(plan.row, plan.entry, {}, (Retake(6, frames[6].digest, seed=9),))
    assert [i for i in range(14) if plan.digests[i] != other.digests[i]] == [4, 5, 6, 7, 8]


def test_a_chain_has_the_digests_that_it_always_had(planned: Planner) -> None:
    chain = planned(frames=3, handoff="chain")
    assert chain.digests == planned(frames=3, keyframe_every=5).digests
    assert not any(frame.ahead or frame.share for frame in chain.walk())


def test_auto_takes_keyframes_for_hours_of_work_only(planned: Planner) -> None:
    assert planned(frames=1000).handoff == "chain"
    assert planned(frames=1_000_000, steps=1000).handoff == "keyframes"
    assert planned(frames=8 * FAR, steps=10_000).handoff == "chain"  # no two far keyframes in it


def test_a_leap_goes_by_the_moves_of_all_frames_between(planned: Planner) -> None:
    (far,) = [frame for frame in keyed(planned, translate_x="2").walk() if frame.index == 12]
    whole = Homography.of()
    for _ in range(12):
        whole = whole.compose(Homography.of(1.05, 2, 2, 0))
    assert isinstance(far.motion, Homography)
    assert far.motion.entries == pytest.approx(whole.entries)
    a, b, _, d, e, *_ = far.motion.entries
    assert a * e - b * d == pytest.approx(1.05**24)


@pytest.mark.parametrize(("columns", "expected"), [
    ({}, [30, 10, 10, 30, 10]), ({"steps_keyframe": 50}, [50, 10, 10, 50, 10]), ({"steps_keyframe": 10}, [10] * 5),
])  # fmt: skip
def test_a_leap_has_steps_of_its_own_a_near_keyframe_and_a_frame_like_any_other_have_not(
    planned: Planner, columns: dict[str, object], expected: list[int]
) -> None:
    frames = list(keyed(planned, frames=66, keyframe_every=8, steps=10, steps_first=70, **columns).walk())
    assert frames[0].steps == 70
    assert [frames[index].steps for index in (32, 40, 41, 64, 65)] == expected
    assert [frames[index].leap for index in (0, 32, 40, 41, 64, 65)] == [0, 1, 0, 0, 1, 0]


def test_the_steps_of_leaps_decide_what_hangs_on_them_and_no_chain(planned: Planner) -> None:
    one, other = keyed(planned, frames=20), keyed(planned, frames=20, steps_keyframe=7)
    # the last is one leap from 12, and 13 to 18 are drawn to it
    assert [i for i in range(20) if one.digests[i] == other.digests[i]] == [0]
    assert planned(frames=5).digests == planned(frames=5, steps_keyframe=7).digests


def test_a_leap_begins_with_long_steps_which_get_shorter(renderer: FrameRenderer, planned: Planner) -> None:
    plan = keyed(planned, frames=66, keyframe_every=8, steps=4, optimiser={"lr": 0.01, "lr_final": 0.1})
    frames = list(plan.walk())
    state = renderer.render(plan, frames[0], None, {}).frame.state
    betas, ones = plan.row.optimiser, torch.ones_like(state.moments.first).float()
    # of a frame that went down an even slope for nine steps
    even = Moments.of(ones * (1 - betas.beta1**9), ones * (1 - betas.beta2**9), 9)
    state = dataclasses.replace(state, moments=even)

    def rates(index: int) -> list[float]:
        """How much of the learning rate each step of a frame goes on down that slope: to Adam it is all of it."""
        frame = FrameInProgress(FrameRequest(plan, frames[index], state, {}), renderer.models, renderer.starts, ())
        moves = []
        while len(moves) < frames[index].steps - 1:
            before = frame.latent.detach().clone()
            frame.apply_gradient(torch.tensor(1.0), torch.ones_like(before))
            moves.append(float((before - frame.latent.detach()).median()) / 0.01)
        return moves

    # three times the rate of a cold start at first, in twelve steps down to that of a frame
    assert rates(32) == pytest.approx([0.1 + 2.9 * left / 12 for left in range(12, 1, -1)], rel=0.01)
    assert rates(65) == pytest.approx([0.1] * 3, rel=0.01)  # one frame further, no leap


def test_frames_that_lie_alike_share_their_moves_and_others_have_their_own(planned: Planner) -> None:
    alike = {frame.index: frame for frame in keyed(planned, frames=60).walk()}
    assert alike[1].target_motion is alike[4].target_motion is alike[13].target_motion
    assert alike[1].share == alike[4].share
    turning = {frame.index: frame for frame in keyed(planned, frames=60, angle="t").walk()}
    for index, frame in turning.items():
        if frame.target_frame is not None:
            motions = [Homography.of(1.05, t, 0, 0) for t in range(index + 1, frame.target_frame + 1)]
            assert frame.target_motion == Homography.back_through(motions)
        if frame.start is not None and index - frame.start > 1:
            assert frame.motion == Homography.through(
                Homography.of(1.05, t, 0, 0) for t in range(frame.start + 1, index + 1)
            )


def test_a_keyframe_is_another_picture_than_the_frame_of_a_chain_at_its_place(planned: Planner) -> None:
    text = "0: a reef | 1: a storm"  # frames 0 and 1 are keyframes then, as no camera has leapt
    chain, keys = planned(frames=9, prompt=text), planned(frames=9, prompt=text, handoff="keyframes")
    assert chain.digests[0] == keys.digests[0]
    assert chain.digests[1] != keys.digests[1]


def test_frames_are_the_same_in_whatever_order_they_are_rendered(renderer: FrameRenderer, planned: Planner) -> None:
    plan = keyed(planned)
    one = render_all(renderer, plan, list(range(14)))
    other = render_all(renderer, plan, list(range(13, -1, -1)))
    assert all(one[i].frame.to_bytes() == other[i].frame.to_bytes() for i in range(14))
    assert one[11].frame.provenance["steps"] == len(one[11].losses) == 1
    assert one[12].frame.provenance["steps"] == len(one[12].losses) == 2  # a leap over 12 frames


def test_a_frame_is_drawn_to_its_keyframe_the_more_the_nearer_it_is(renderer: FrameRenderer, planned: Planner) -> None:
    plan = keyed(planned, zoom="1", angle="0")
    frames = list(plan.walk())
    start = renderer.render(plan, frames[0], None, {}).frame.state
    # a keyframe that has nothing to do with the start
    other = keyed(planned, zoom="1", angle="0", seed=7)
    ahead = renderer.render(other, next(other.walk()), None, {}).frame
    changes = []
    for index in (1, 5, 9):  # a tenth of the way, a half, nine tenths
        frame = FramePlan(
            place=Place(index, 0, 0, 10), prompts=frames[1].prompts, steps=1, motion=STILL, digest="d",
            start_digest=frames[1].start_digest, target_digest="x", target_motion=STILL,
        )  # fmt: skip
        (goal,) = renderer.starts.warm(plan, frame, start, ahead.state).goals
        shown = goal.picture[0].permute(1, 2, 0).numpy() * 255
        changes.append(float(np.abs(shown - ahead.picture).mean()))
    assert changes[0] > changes[1] > changes[2]
    # of what is shown, a tenth of the difference is left
    assert changes[2] == pytest.approx(changes[0] / 9, rel=0.05)


def test_a_keyframe_is_what_comes_out_of_the_encoder(
    renderer: FrameRenderer, planned: Planner, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, vqgan = keyed(planned), renderer.models.vqgan
    frames = list(plan.walk())
    first = renderer.render(plan, frames[0], None, {}).frame.state

    def tokens(index: int, times: int) -> torch.Tensor:
        monkeypatch.setattr(in_progress, "ENCODED_AGAIN", times)
        towards = first if frames[index].target_frame is not None else None
        return renderer.render(plan, frames[index], first, {}, target_state=towards).frame.state.tokens.long()

    again = tokens(12, 0)
    with torch.no_grad():
        for _ in range(2):
            again = vqgan.tokenise(vqgan.encode(vqgan.decode(vqgan.look_up(again)).clamp(0, 1)))
    assert torch.equal(tokens(12, 2), again)
    assert torch.equal(tokens(1, 2), tokens(1, 0))  # no keyframe


def test_a_frame_next_to_its_keyframe_takes_small_steps(renderer: FrameRenderer, planned: Planner) -> None:
    plan = keyed(planned, zoom="1", angle="0", optimiser={"lr": 0.5})
    frames = list(plan.walk())
    state = renderer.render(plan, frames[0], None, {}).frame.state
    moved = []
    for index in (1, 9):  # a tenth of the way, nine tenths
        frame = dataclasses.replace(frames[1], place=Place(index, 0, 0, 10))
        start = renderer.starts.warm(plan, frame, state, state).latent
        after = renderer.render(plan, frame, state, {}, target_state=state).frame.state
        moved.append(float((after.expand(renderer.starts.low, renderer.starts.high) - start).abs().mean()))
    assert moved[1] < 0.6 * moved[0]


def test_a_keyframe_too_many_or_too_few_is_a_mistake_of_the_caller(renderer: FrameRenderer, planned: Planner) -> None:
    plan = keyed(planned)
    frames = list(plan.walk())
    state = renderer.render(plan, frames[0], None, {}).frame.state
    with pytest.raises(ValueError, match="frame 1 needs state to be drawn to"):
        renderer.render(plan, frames[1], state, {})
    with pytest.raises(ValueError, match="frame 12 takes no state to be drawn to"):
        renderer.render(plan, frames[12], state, {}, target_state=state)


def test_a_seam_scores_its_change_over_the_usual_one() -> None:
    assert seam_scores({1: 2.0, 2: 4.0, 3: 2.0, 4: 2.2, 5: 1.8}, [2]) == {2: 2.0}
    assert seam_scores({1: 2.0}, [1, 7]) == {}


def test_a_move_by_the_camera_alone_is_no_change() -> None:
    chance = np.random.default_rng(0)
    coarse = torch.from_numpy(chance.random((1, 3, 5, 5), dtype=np.float32))
    smooth = torch.nn.functional.interpolate(coarse, size=(60, 60), mode="bicubic").clamp(0, 1)
    before = (smooth[0].permute(1, 2, 0) * 255).byte().numpy()
    camera = Homography.of(1.1, 5, 2, 1)
    old = torch.from_numpy(before).permute(2, 0, 1)[None].float()
    moved = warp_of(camera, old).move(old)
    after = moved[0].permute(1, 2, 0).clamp(0, 255).round().byte().numpy()
    assert frame_change(before, after, camera) < 1
    assert frame_change(before, after, STILL) > 5
