"""The value at which each setting changes nothing, frozen: a digest holds only what differs from it.

So a setting that is added later leaves every frame that was ever rendered where it is, as long as nobody uses it. The
table is no list of defaults. A default may change from one release to the next; a neutral value never does, or frames
of two meanings would have one address. What a new setting needs is one line here; a test tells whoever forgets it, and
until then it is part of every digest.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from manifests.schema import Keyframes, ManifestRow
from renderers.canonical import differing, fields_of

__all__ = ["CAMERA_AXES", "NEUTRAL", "NOT_IN_PICTURES", "PER_FRAME", "deviations", "root_deviations"]

NEUTRAL: Mapping[str, Any] = {
    "width": 512,
    "height": 512,
    "seed": 0,
    "init": "tokens",
    "init_image": None,
    "cutouts.number": 32,
    "cutouts.size_min": 1.0,
    "cutouts.size_max": 1.0,
    "cutouts.power": 1.0,
    "cutouts.degrees": 15.0,
    "cutouts.translate": 0.1,
    "cutouts.shear": 5.0,
    "cutouts.affine_probability": 0.7,
    "cutouts.perspective": 0.7,
    "cutouts.perspective_probability": 0.7,
    "cutouts.brightness": 0.1,
    "cutouts.contrast": 0.1,
    "cutouts.saturation": 0.1,
    "cutouts.hue": 0.1,
    "cutouts.jitter_probability": 0.7,
    "cutouts.erase_min": 0.1,
    "cutouts.erase_max": 0.4,
    "cutouts.erase_probability": 0.7,
    "cutouts.noise": 0.1,
    "cutouts.flip_probability": 0.0,
    "loss.tv": 0.0,
    "loss.z_decay": 0.0,
    "loss.contrast": 0.0,
    "loss.contrast_scale": 20.0,
    "optimiser.lr": 0.1,
    "optimiser.lr_final": 1.0,
    "optimiser.beta1": 0.9,
    "optimiser.beta2": 0.999,
    "optimiser.even": False,
    "optimiser.coarse": 0.0,
    "optimiser.latent_noise": 0.0,
    # what follows decides each frame by what it comes to there
    "prompt": None,
    "prompts": None,
    "crossfade": 12,
    "image_prompts": None,
    "noise_prompts": None,
    "prompt.weight": 1.0,
    "prompt.stop": -math.inf,
    "image_prompt.weight": 1.0,
    "image_prompt.stop": -math.inf,
    "noise_prompt.weight": 1.0,
    "zoom": 1.0,
    "angle": 0.0,
    "translate_x": 0.0,
    "translate_y": 0.0,
    "steps": 25,
    "steps_first": 300,
    "steps_keyframe": None,
    "handoff": "auto",
    "keyframe_every": 8,
    # constants of the code, see `renderers.frame_plan.handoff`
    "pull": 300.0,
    "hold": 2,
    "leap": 3,
}

# Columns that say how the camera moves from one frame to the next; a frame's motion is made of their values there.
CAMERA_AXES = ("zoom", "angle", "translate_x", "translate_y")

# What may change in time: not part of what all frames of a video share, but of each frame, as what it comes to there.
PER_FRAME = frozenset({
    *CAMERA_AXES, "prompt", "prompts", "crossfade", "image_prompts", "noise_prompts", "steps", "steps_first",
    "steps_keyframe", "handoff", "keyframe_every",
})  # fmt: skip

# What decides no picture: it names the video, or comes after its frames. The model does, by a digest of its own.
NOT_IN_PICTURES = frozenset({"video_id", "frames", "fps", "format", "upscale", "priority", "model"})


def root_deviations(row: ManifestRow) -> dict[str, Any]:
    """What of a resolved `row` decides all its frames alike and is not neutral, by the names of `NEUTRAL`."""
    return {name: value for name, value in _columns(row).items() if name not in PER_FRAME}


def deviations(row: ManifestRow) -> frozenset[str]:
    """The names of all settings of a resolved `row` that decide pictures and are not at their neutral value."""
    found = set(_columns(row)) - {*CAMERA_AXES}
    found |= {axis for axis in CAMERA_AXES if Keyframes.parse(getattr(row, axis)).constant != NEUTRAL[axis]}
    prompts = {
        "prompt": [prompt for scene in row.scenes for prompt in scene.prompts],
        "image_prompt": row.image_prompts or (),
        "noise_prompt": row.noise_prompts or (),
    }
    for kind, given in prompts.items():
        for prompt in given:
            found |= {f"{kind}.{name}" for name in differing(prompt, NEUTRAL, f"{kind}.")}
    return frozenset(found)


def _columns(row: ManifestRow) -> dict[str, Any]:
    """The columns that decide pictures and are not neutral; of nested settings each by itself."""
    found: dict[str, Any] = {}
    for column, value in fields_of(row).items():
        if isinstance(value, BaseModel):
            prefix = f"{column}."
            found |= {prefix + name: it for name, it in differing(value, NEUTRAL, prefix).items()}
        elif column not in NOT_IN_PICTURES and (column not in NEUTRAL or NEUTRAL[column] != value):
            found[column] = value
    return found
