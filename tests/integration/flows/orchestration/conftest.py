"""A Prefect server and a Ray for the tests of one module, which all flow runs in it share."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from infra.environment import prepare_prefect, ray_environment
from infra.settings import load_settings
from tests.helpers.patient_ray import running_cluster


@pytest.fixture(scope="module")
def _settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Cut into small chunks, so that a tiny video has several task runs, and without the models of whoever runs the
    tests; the environment is put back at the end."""
    before = dict(os.environ)
    prepare_prefect(quiet=True)
    ray_environment()
    os.environ["NIGHTREEL_CHUNK_SECONDS"] = "0.1"
    os.environ["NIGHTREEL_MODELS_FOLDER"] = str(tmp_path_factory.mktemp("models"))
    load_settings.cache_clear()
    yield
    os.environ.clear()
    os.environ.update(before)
    load_settings.cache_clear()


@pytest.fixture(scope="module")
def prefect_server(_settings: None) -> Iterator[None]:
    from prefect.testing.utilities import prefect_test_harness

    with prefect_test_harness(server_startup_timeout=180):
        yield


@pytest.fixture(scope="module")
def ray_cluster(_settings: None) -> Iterator[None]:
    """A Ray that this process is connected to, so that all flow runs share it."""
    import ray

    if ray.is_initialized():
        yield
        return
    with running_cluster():
        yield
