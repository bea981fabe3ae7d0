"""What a frame says of itself: all that made it."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import torch

from renderers.frame_plan.documents import plan_document
from renderers.frame_plan.parallax import asked_depth
from renderers.frame_plan.video_plan import ALGORITHM
from renderers.frame_rendering.in_progress import FrameInProgress
from renderers.models import Models

__all__ = ["provenance_of"]


def provenance_of(done: FrameInProgress, models: Models, scores: Mapping[str, float | str]) -> dict[str, Any]:
    """Return what made a frame, enough to make it again, and its `scores`."""
    plan, frame, losses = done.plan, done.frame, done.losses
    return {
        "digest": frame.digest,
        "parent": frame.start_digest,
        **({"towards": frame.target_digest} if frame.target_digest else {}),
        "video_id": plan.video_id,
        "frame": frame.index,
        "frames": plan.frames,
        "steps": done.steps,
        **({} if done.covered is None else {"covered": round(done.covered, 4)}),
        "loss": losses[-1],
        "losses": [round(loss, 5) for loss in losses[:: max(1, len(losses) // 100)]],
        "scores": dict(scores),
        **plan_document(plan, heard=False),
        # of a retake, or of a try after a non-finite loss; the row's otherwise
        **({"seed": done.seed} if done.seed != plan.row.seed else {}),
        **({"candidates": done.choice.to_dict()} if done.choice else {}),
        "model": {"name": plan.entry.name, "digest": plan.entry.digest, **_depth_model(done)},
        "device": models.device.type,
        "precision": str(models.vqgan.dtype).removeprefix("torch."),
        "software": {"nightreel": version("nightreel"), "algorithm": ALGORITHM, "torch": torch.__version__},
    }


def _depth_model(done: FrameInProgress) -> dict[str, object]:
    """The depth model that the frame's camera went by, if it asked one."""
    depth = done.plan.entry.depth
    if depth is None or not asked_depth(done.frame.motion):
        return {}
    return {"depth": {"loader": depth.loader, "version": depth.version, "digest": depth.digest}}
