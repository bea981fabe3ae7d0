"""Tiles of the trained pair: their seam is a line like any other."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from renderers.form import Form, Wrap
from renderers.frame_rendering.renderer import FrameRenderer
from renderers.models import Models, decode_tokens
from tests.integration.renderers.test_trained_frames import planned, render_all


def steepness(pictures: np.ndarray, axis: int) -> np.ndarray:
    """The mean difference across each line between two pixels of pictures `(b, h, w, 3)`, rolled by half: `(side,)`."""
    rolled = np.roll(pictures.astype(float), pictures.shape[axis] // 2, axis)
    others = tuple(it for it in range(4) if it != axis)
    return np.asarray(np.abs(np.roll(rolled, -1, axis) - rolled).mean(axis=others))


def test_the_seam_is_as_steep_as_the_joins_of_tokens_within(models: Models) -> None:
    """256 pictures of random tokens, whose joins are all alike: within 10 %."""
    tokens = torch.randint(len(models.vqgan.codebook), (256, 8, 8), generator=torch.Generator().manual_seed(0))
    unit = models.entry.downsampling
    ratios = {}
    for tiled in (False, True):
        vqgan = models.vqgan.formed(Form(Wrap(x=tiled, y=tiled)))
        with torch.no_grad():
            drawn = torch.cat([decode_tokens(vqgan, some) for some in tokens.split(32)])
        pictures = (drawn * 255).round().permute(0, 2, 3, 1).numpy()
        for axis in (1, 2):
            joins = steepness(pictures, axis)[unit - 1 :: unit]
            middle = len(joins) // 2 - 1
            ratios[tiled, axis] = joins[middle] / np.delete(joins, [middle, len(joins) - 1]).mean()
    for axis in (1, 2):
        assert ratios[True, axis] == pytest.approx(1, abs=0.1), ratios
        assert ratios[False, axis] > 1.3, ratios


def test_shifted_tiles_stay_tiles(renderer: FrameRenderer) -> None:
    """The mean over the frames of a video: single seams run through what is drawn."""
    columns = {
        "prompt": "red roses",
        "frames": 6,
        "steps_first": 32,
        "handoff": "chain",
        "translate_x": "3",
        "steps": 4,
    }
    seams = {}
    for tile in ("none", "xy"):
        plan = planned(**columns, tile=tile, border="wrap")
        pictures = np.stack([it.frame.picture for it in render_all(renderer, plan)])
        lines = steepness(pictures, 2)
        seams[tile] = lines[len(lines) // 2 - 1] / lines.mean()
    assert seams["xy"] < 1.5 < 2.5 < seams["none"], seams
