"""An animatic moves its card as a render moves its pictures, and says what holds at each frame."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from manifests.schema import ManifestRow
from renderers.animatic import animatic as module
from renderers.animatic.animatic import animatic
from renderers.animatic.card import numbered_card
from renderers.animatic.panel import Panel
from renderers.errors import BadInput
from renderers.frame_plan.motion import Homography
from renderers.frame_plan.parallax import Parallax
from renderers.frame_plan.video_plan import VideoPlan
from renderers.frame_rendering.warp import warp_of
from renderers.registry import Registry

SIDE = 96  # of a row; of an animatic five times that


def plan_of(images: dict[str, bytes] | None = None, **columns: Any) -> VideoPlan:
    row = {"video_id": "reef", "prompt": "a red apple", "frames": 6, "width": SIDE, "height": SIDE, **columns}
    digests = dict.fromkeys(images or {}, "0" * 64)
    return VideoPlan.of(ManifestRow.model_validate(row), digests, entry=Registry().entry("embedded"))


def pictures(plan: VideoPlan, images: dict[str, bytes] | None = None, frames: range | None = None) -> list[np.ndarray]:
    """Those of an animatic without its panel."""
    return [it[: SIDE * 5] for it in animatic(plan, images or {}, frames)]


def test_frames_have_one_size_with_even_sides_and_a_panel_below() -> None:
    plan = plan_of(zoom="1+.1*sin(t)", width=48, height=32)
    drawn = list(animatic(plan, {}))
    panel = Panel(plan, 480).height
    assert {it.shape for it in drawn} == {(320 + panel, 480, 3)}
    assert panel % 2 == 0
    assert np.array_equal(drawn[0][:320], numbered_card(480, 320, 1))


def test_a_card_is_moved_by_the_motions_of_the_plan_at_their_size() -> None:
    plan = plan_of(angle="3", translate_x="4", zoom="1.05")
    drawn = pictures(plan)
    card = torch.tensor(numbered_card(SIDE * 5, SIDE * 5, 1)).permute(2, 0, 1)[None].float()
    motion = plan.camera_path.through(0, 3)
    assert isinstance(motion, Homography)
    moved = warp_of(motion.enlarged(5), card).move(card)[0].permute(1, 2, 0).clamp(0, 255)
    assert np.abs(moved.numpy() - drawn[3]).max() <= 1
    # a pixel of the row is five of the card
    still = pictures(plan_of(translate_x="4"))
    assert np.array_equal(still[1][:, 20:], still[0][:, :-20])


def test_a_card_that_is_lost_from_view_is_followed_by_another() -> None:
    drawn = pictures(plan_of(translate_x="4", frames=24))
    first, second = (numbered_card(SIDE * 5, SIDE * 5, number) for number in (1, 2))
    gone = 13  # the last frame that shows 0.4 of it: it lies 4 pixels of 96 further at each, and its edge is soft
    assert np.array_equal(drawn[gone][:, gone * 20 :], first[:, : -gone * 20])
    since = module.FADE  # frames that the next one takes to come
    assert np.array_equal(drawn[gone + 1 + since][:, since * 20 :], second[:, : -since * 20])


def test_the_row_s_picture_takes_the_place_of_the_card() -> None:
    data = io.BytesIO()
    Image.new("RGB", (32, 32), (200, 30, 60)).save(data, format="PNG")
    images = {"a.png": data.getvalue()}
    drawn = pictures(plan_of(images, init_image="a.png", zoom="1.1"), images)
    assert {tuple(it[100, 100]) for it in drawn} == {(200, 30, 60)}


def test_frames_beyond_the_end_and_values_that_are_none_are_refused_by_name() -> None:
    with pytest.raises(BadInput, match="frames 4-9 of video 'reef': it has the frames 0-5"):
        next(animatic(plan_of(), {}, range(4, 10)))


class TestPanel:
    def drawn(self, plan: VideoPlan, frame: int) -> np.ndarray:
        return Panel(plan, 480).draw(frame)

    def test_it_has_a_strip_for_each_setting_that_changes_and_no_more_than_eight(self) -> None:
        still, moving = plan_of(zoom="1.1"), plan_of(zoom="1+.1*t/6", angle="0:(1), 5:(2)")
        weighted = plan_of(prompt=" | ".join(f"apple {i}:(t/{i + 9})" for i in range(12)))
        heights = [Panel(it, 480).height for it in (still, moving, weighted)]
        assert heights[1] - heights[0] == 2 * 36
        assert heights[2] - heights[0] == 8 * 36 + 18  # and a line that says how many more

    def test_the_sign_of_the_frame_goes_from_left_to_right(self) -> None:
        plan = plan_of(zoom="1+.1*t/6")
        first, last = self.drawn(plan, 0), self.drawn(plan, 5)
        now = np.array((245, 190, 90))
        places = [np.flatnonzero((it[-30] == now).all(axis=-1)) for it in (first, last)]
        assert list(places[0]) == [144]
        assert list(places[1]) == [474]

    def test_what_holds_is_not_what_held(self) -> None:
        plan = plan_of(prompt="0: a lake | 3: a fox", crossfade=2, frames=8)
        drawn = [self.drawn(plan, i).tobytes() for i in range(8)]
        assert len(set(drawn)) == 8
        secret = plan_of(prompt=r"a reef https\://me\:Pl4nted@host/x")
        masked = plan_of(prompt=r"a reef https\://***@host/x")
        assert np.array_equal(self.drawn(secret, 0), self.drawn(masked, 0))


def test_a_card_among_near_and_far_is_moved_step_by_step_and_replaced_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_STEPS", 3)
    monkeypatch.setattr(module, "FADE", 0)
    plan = plan_of(dolly="4", depth={"shape": "tunnel"}, frames=8)
    drawn = pictures(plan)
    first, second = (numbered_card(SIDE * 5, SIDE * 5, number) for number in (1, 2))
    card = torch.tensor(first).permute(2, 0, 1)[None] / 255
    for index in (1, 2):
        motion = plan.camera_path.at(index)
        assert isinstance(motion, Parallax)
        card = warp_of(motion.enlarged(5), card).move(card)
        shown = (card[0].permute(1, 2, 0).clamp(0, 1) * 255).round()
        assert np.abs(shown.numpy() - drawn[index]).max() <= 1
    assert np.array_equal(drawn[0], first)
    assert np.array_equal(drawn[3], second)


def test_borders_are_those_of_a_render_and_painted_ground_is_grain() -> None:
    columns = {"zoom": ".75", "frames": 2}
    card = torch.tensor(numbered_card(SIDE * 5, SIDE * 5, 1)).permute(2, 0, 1)[None] / 255
    for border in ("replicate", "wrap", "black"):
        warp = warp_of(Homography.of(0.75), card)
        moved = warp.move(card, border=border)[0].permute(1, 2, 0).clamp(0, 1) * 255
        assert np.abs(moved.numpy() - pictures(plan_of(border=border, **columns))[1]).max() <= 1
    painted = pictures(plan_of(border="paint", **columns))[1]
    inner = slice(SIDE * 5 // 8 + 2, -SIDE * 5 // 8 - 2)
    assert np.array_equal(painted[inner, inner], pictures(plan_of(**columns))[1][inner, inner])
    outside = painted[: SIDE * 5 // 8 - 2].astype(int)
    assert np.ptp(outside, axis=-1).max() == 0  # grey
    assert outside.std() > 10
