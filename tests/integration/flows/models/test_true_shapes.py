"""The shapes of the published models, random weights in them, from a Lightning checkpoint to a picture.

What a small model can't show: that taming's keys of the big ones are those that we build, that ViT-B/32 is the judge
that we take it for, and that it all fits into the memory of a small machine.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from safetensors.torch import save_file

from manifests.schema import ManifestRow
from renderers.frame_plan.video_plan import VideoPlan
from renderers.frame_rendering.renderer import FrameRenderer
from renderers.models import VQGAN, load_models
from renderers.models.adding import add_model
from renderers.registry import Registry, shipped_configs
from tests.helpers.checkpoints import save_lightning

ARCHITECTURE = "ViT-B-32-quickgelu"


@pytest.fixture
def clip_weights(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    path = tmp_path / "clip.safetensors"
    save_file(open_clip.create_model(ARCHITECTURE).state_dict(), path)
    return path


@pytest.mark.parametrize(
    ("config", "kind", "unit", "codes"),
    [("vqgan-f16-16384", "vqgan", 16, 16384), ("gumbel-f8-8192", "gumbel", 8, 8192)],
)
def test_a_model_of_the_true_shapes_renders(
    tmp_path: Path, clip_weights: Path, config: str, kind: str, unit: int, codes: int
) -> None:
    torch.manual_seed(0)
    state = VQGAN.build(shipped_configs()[config]).state_dict()
    checkpoint = tmp_path / "last.ckpt"
    save_lightning(checkpoint, state | {"loss.discriminator.main.0.weight": torch.zeros(64, 3, 4, 4)})
    del state

    perceptor = f"{ARCHITECTURE}:{clip_weights}"
    entry = add_model(Registry(tmp_path / "models"), "big", config=config, weights=checkpoint, perceptors=[perceptor])
    checkpoint.unlink()
    models = load_models(entry, device="cpu")

    assert (entry.vqgan.kind, entry.downsampling) == (kind, unit)
    assert models.vqgan.codebook.shape == (codes, 256)
    assert (models.perceptors[0].side, models.perceptors[0].dimensions) == (224, 512)
    row = ManifestRow.model_validate({
        "video_id": "big", "prompt": "a red apple", "model": "big", "width": 64, "height": 64, "steps_first": 2,
        "cutouts": {"number": 4},
    })  # fmt: skip
    plan = VideoPlan.of(row, entry=entry)
    rendered = FrameRenderer(models).render(plan, next(plan.walk()), None, {})
    assert len(rendered.losses) == 2
    assert np.isfinite(rendered.losses).all()
    assert rendered.frame.picture.shape == (64, 64, 3)
    # Linux counts kibibytes, macOS bytes
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    assert peak < 6e9
