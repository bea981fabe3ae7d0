"""Regions by the trained pair: each half of a picture shows its own prompt rather than its neighbour's."""

from __future__ import annotations

import hashlib
import io

import numpy as np
import pytest
import torch
from PIL import Image

from manifests.schema import ManifestRow
from renderers.frame_plan.video_plan import VideoPlan
from renderers.frame_rendering.renderer import FrameRenderer
from renderers.registry import Registry

pytestmark = pytest.mark.minutes

LEFT, RIGHT = "a red apple", "a green tree"


def half(*, left: bool) -> bytes:
    grey = np.zeros((64, 64), np.uint8)
    grey[:, :32] = 255 * left
    grey[:, 32:] = 255 * (not left)
    target = io.BytesIO()
    Image.fromarray(grey).save(target, format="PNG")
    return target.getvalue()


IMAGES = {"left.png": half(left=True), "right.png": half(left=False)}


def likeness(renderer: FrameRenderer, part: np.ndarray, text: str) -> float:
    """The mean cosine of a text and the upper, the middle and the lower square of a half `(64, 32, 3)`."""
    perceptor = renderer.models.perceptors[0]
    squares = np.stack([part[top : top + 32] for top in (0, 16, 32)])
    pictures = torch.from_numpy(squares).permute(0, 3, 1, 2).float() / 255
    pictures = torch.nn.functional.interpolate(pictures, size=perceptor.side, mode="bilinear")
    return float((perceptor.embed_pictures(pictures) @ perceptor.embed_texts([text])[0]).mean())


@pytest.mark.parametrize("seed", range(8))
def test_each_half_scores_higher_for_its_own_prompt(renderer: FrameRenderer, seed: int) -> None:
    regions = [{"mask": "left.png", "prompts": LEFT}, {"mask": "right.png", "prompts": RIGHT}]
    row = ManifestRow.model_validate(
        {"video_id": "halves", "prompt": "fruit on white", "seed": seed, "regions": regions}
    )
    digests = {uri: hashlib.sha256(data).hexdigest() for uri, data in IMAGES.items()}
    plan = VideoPlan.of(row, digests, entry=Registry().entry(row.model))
    picture = renderer.render(plan, next(plan.walk()), None, IMAGES).frame.picture
    left, right = picture[:, :32], picture[:, 32:]
    assert likeness(renderer, left, LEFT) > likeness(renderer, left, RIGHT) + 0.1
    assert likeness(renderer, right, RIGHT) > likeness(renderer, right, LEFT) + 0.1
