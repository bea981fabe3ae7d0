"""What the trained pair makes of holds and masks: a hard hold gives the picture back, a mask keeps its part."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from renderers.frame_rendering.pictures import read_picture
from renderers.frame_rendering.renderer import FrameRenderer
from renderers.models import Models, decode_tokens
from tests.helpers.frames import encoded
from tests.integration.renderers.test_trained_frames import drawing, planned, render_all


def mask() -> bytes:
    """The right half may change."""
    white = np.zeros((64, 64, 3), np.uint8)
    white[:, 32:] = 255
    return encoded(white)


IMAGES = {"disc.png": drawing("red"), "mask.png": mask()}
SIZE = {"width": 64, "height": 64}


def error(picture: np.ndarray, wanted: torch.Tensor) -> float:
    return float((torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255 - wanted).square().mean())


@pytest.mark.parametrize("kind", ["picture", "latent"])
def test_a_hard_hold_with_many_steps_gives_the_picture_back(renderer: FrameRenderer, models: Models, kind: str) -> None:
    """As near as the VQGAN itself comes to it, whatever the prompt says."""
    columns = {"prompt": "a green tree", "init_image": "disc.png", "steps_first": 40, **SIZE}
    wanted = read_picture(IMAGES, "disc.png", 64, 64)
    with torch.no_grad():
        own = decode_tokens(models.vqgan, models.vqgan.tokenise(models.vqgan.encode(wanted)))
    round_trip = float((own - wanted).square().mean())
    hold = {"init": 1000, "init_as": kind}
    held = render_all(renderer, planned(IMAGES, **columns, optimiser={"lr": 0.02}, hold=hold), IMAGES)[0]
    assert error(held.frame.picture, wanted) <= 1.05 * round_trip + 1e-4
    if kind == "picture":
        free = render_all(renderer, planned(IMAGES, **columns, optimiser={"lr": 0.3}), IMAGES)[0]
        assert error(free.frame.picture, wanted) > 2 * round_trip


def test_a_mask_keeps_its_part_and_what_the_decoder_blends_is_little(renderer: FrameRenderer, models: Models) -> None:
    plan = planned(
        IMAGES, prompt="a green tree", init_image="disc.png", mask="mask.png", steps_first=40, frames=2, steps=8, **SIZE
    )
    first, second = render_all(renderer, plan, IMAGES)
    with torch.no_grad():
        init = models.vqgan.tokenise(models.vqgan.encode(read_picture(IMAGES, "disc.png", 64, 64)))
        own = decode_tokens(models.vqgan, init)
    for frame in (first.frame, second.frame):
        assert torch.equal(frame.state.tokens[..., :8].long(), init[..., :8])
    assert not torch.equal(first.frame.state.tokens[..., 8:].long(), init[..., 8:])
    away = np.abs(first.frame.picture / 255 - own[0].permute(1, 2, 0).numpy()).mean(axis=(0, 2))  # by column
    # the decoder's normalisation looks at the whole picture: what is kept shifts a little in tone everywhere
    assert away[:16].mean() < min(0.05, away[32:].mean() / 2)
