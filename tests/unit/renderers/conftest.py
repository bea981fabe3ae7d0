"""The tiny random model of `tests.helpers.random_model`, written and loaded once."""

from __future__ import annotations

import pytest
import torch

from renderers.frame_rendering.renderer import FrameRenderer
from renderers.models import Models, load_models
from renderers.registry import ModelEntry
from tests.helpers.random_model import Planner, write_model


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """Threads that share a tiny network spend their time waiting for each other: minutes on a busy machine."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def entry(tmp_path_factory: pytest.TempPathFactory) -> ModelEntry:
    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def models(entry: ModelEntry) -> Models:
    return load_models(entry, device="cpu")


@pytest.fixture(scope="session")
def renderer(models: Models) -> FrameRenderer:
    return FrameRenderer(models)


@pytest.fixture(scope="session")
def planned(entry: ModelEntry) -> Planner:
    return Planner(entry)
