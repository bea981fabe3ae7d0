"""A models folder, a published checkpoint, and a real server that has it."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from infra.settings import load_settings
from renderers.models import VQGAN
from renderers.registry import Registry
from tests.helpers.checkpoints import save_lightning
from tests.helpers.command_line import Said, in_this_process
from tests.helpers.file_server import FileServer, file_server
from tests.helpers.random_model import VQGAN_PARAMS


@dataclass(frozen=True)
class Published:
    """What somebody put on the web: a Gumbel VQGAN as taming leaves it, and who serves it."""

    server: FileServer
    checkpoint: bytes
    config: bytes

    def source(self) -> dict[str, Any]:
        """The part of an entry that says where to get it."""

        def file(name: str, data: bytes) -> dict[str, Any]:
            sha256 = hashlib.sha256(data).hexdigest()
            return {"urls": [f"{self.server.url}/gone/{name}", f"{self.server.url}/{name}"], "sha256": sha256}

        return {"checkpoint": file("last.ckpt", self.checkpoint), "config": file("model.yaml", self.config)}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The models folder of the commands that a test calls."""
    monkeypatch.setenv("NIGHTREEL_MODELS_FOLDER", str(tmp_path / "models"))
    monkeypatch.setenv("COLUMNS", "300")
    load_settings.cache_clear()
    yield tmp_path / "models"
    load_settings.cache_clear()


@pytest.fixture
def registry(folder: Path) -> Registry:
    """The registry of the commands that a test calls."""
    return Registry(folder)


@pytest.fixture
def nightreel(folder: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    return in_this_process(capsys)


@pytest.fixture
def published(tmp_path: Path) -> Iterator[Published]:
    params = copy.deepcopy(VQGAN_PARAMS) | {"embed_dim": 8, "kl_weight": 1e-8}
    config = tmp_path / "model.yaml"
    config.write_text(yaml.safe_dump({"model": {"target": "taming.models.vqgan.GumbelVQ", "params": params}}))
    torch.manual_seed(3)
    state = VQGAN.build(config).state_dict() | {"loss.logvar": torch.zeros(())}
    save_lightning(tmp_path / "last.ckpt", state)
    made = (tmp_path / "last.ckpt").read_bytes(), config.read_bytes()
    with file_server(files={"/last.ckpt": made[0], "/model.yaml": made[1]}) as server:
        yield Published(server, *made)


@pytest.fixture
def entry_file(folder: Path, published: Published) -> Path:
    """An entry in the models folder of a model that is yet to be fetched; its perceptor is the embedded one."""
    folder.mkdir()
    entry = {
        "name": "reef", "like": "embedded", "summary": "a published model", "licence": "none", "downsampling": 4,
        "vqgan": {"kind": "gumbel", "source": published.source()},
        "defaults": {"width": 32, "height": 32, "steps_first": 2, "cutouts": {"number": 4}},
    }  # fmt: skip
    (folder / "reef.yaml").write_text(yaml.safe_dump(entry))
    return folder / "reef.yaml"
