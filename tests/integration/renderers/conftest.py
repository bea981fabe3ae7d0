"""The trained pair that ships with the package, loaded once, on one thread."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from manifests.schema import ManifestRow
from renderers.frame_renderer import FrameRenderer, RenderedFrame
from renderers.models import Models, load_models
from renderers.plan import VideoPlan
from renderers.registry import model_entry


@pytest.fixture(scope="session")
def models() -> Models:
    return load_models(model_entry("embedded"), device="cpu")


@pytest.fixture(scope="session")
def renderer(models: Models) -> FrameRenderer:
    return FrameRenderer(models)


def planned(images: dict[str, bytes] | None = None, **columns: Any) -> VideoPlan:
    digests = {uri: hashlib.sha256(data).hexdigest() for uri, data in (images or {}).items()}
    return VideoPlan.of(ManifestRow.model_validate({"video_id": "reef", **columns}), digests)


def render_all(renderer: FrameRenderer, plan: VideoPlan, images: dict[str, bytes] | None = None) -> list[RenderedFrame]:
    """Every frame of `plan`, in this process, none of them ever stored."""
    rendered: list[RenderedFrame] = []
    for frame in plan.walk():
        rendered.append(renderer.render(plan, frame, rendered[-1].frame.state if rendered else None, images or {}))
    return rendered
