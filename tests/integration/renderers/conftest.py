"""The trained pair that ships with the package, loaded once, on one thread."""

from __future__ import annotations

import pytest

from renderers.frame_rendering.renderer import FrameRenderer
from renderers.models import Models, load_models
from renderers.registry import Registry


@pytest.fixture(scope="session")
def models() -> Models:
    return load_models(Registry().entry("embedded"), device="cpu")


@pytest.fixture(scope="session")
def renderer(models: Models) -> FrameRenderer:
    return FrameRenderer(models)
