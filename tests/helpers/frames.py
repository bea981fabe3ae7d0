"""Frames of the random model, rendered in one line, and pictures to start them from."""

from __future__ import annotations

import dataclasses
import io
from typing import Any

import numpy as np
import torch
from PIL import Image

from renderers.frame_plan.video_plan import VideoPlan
from renderers.frame_rendering.renderer import FrameRenderer, RenderedFrame
from renderers.models import VQGAN, Models


def encoded(pixels: np.ndarray, format: str = "PNG", **options: Any) -> bytes:
    target = io.BytesIO()
    Image.fromarray(pixels).save(target, format=format, **options)
    return target.getvalue()


def picture_bytes(width: int = 32, height: int = 32, seed: int = 0) -> bytes:
    return encoded(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


IMAGES = {"a.png": picture_bytes(), "b.png": picture_bytes(seed=1)}


def chain(renderer: FrameRenderer, plan: VideoPlan, images: dict[str, bytes] | None = None) -> list[RenderedFrame]:
    rendered: list[RenderedFrame] = []
    for frame in plan.walk():
        parent = rendered[-1].frame.state if rendered else None
        rendered.append(renderer.render(plan, frame, parent, images or {}))
    return rendered


def first(renderer: FrameRenderer, plan: VideoPlan, images: dict[str, bytes] | None = None) -> RenderedFrame:
    return renderer.render(plan, next(plan.walk()), None, images or {})


def start(renderer: FrameRenderer, plan: VideoPlan, images: dict[str, bytes] | None = None) -> torch.Tensor:
    return renderer.starts.cold(plan, images or {}, plan.row.seed).latent


def with_vqgan(models: Models, vqgan: VQGAN) -> FrameRenderer:
    return FrameRenderer(dataclasses.replace(models, vqgan=vqgan))
