"""Nets that enlarge finished frames: real architectures with random weights, read safely, tile by tile."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from renderers.errors import BadInput, CheckpointUnsafe, ModelFilesBroken
from renderers.models.upscaler import OVERLAP, TILE, add_upscaler, load_upscaler
from renderers.registry import Registry
from renderers.registry.upscalers import upscaler_digest, upscalers
from tests.helpers.upscalers import compact, write_upscaler

pytest.importorskip("spandrel")


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "models")


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_tiles_are_the_whole(registry: Registry, tmp_path: Path) -> None:
    """A net that sees 4 pixels far: tiles that share 32 give what one pass gives."""
    add_upscaler(registry, write_upscaler(tmp_path / "x2.safetensors"), "x2")
    upscaler = load_upscaler(registry, "x2", upscaler_digest(registry, "x2"), "cpu")
    image = picture(2 * TILE - OVERLAP + 7, TILE + 1)
    found = upscaler.enlarge(image, 2)
    with torch.inference_mode():
        whole = upscaler._net(torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255)
    expected = (whole * 255).round().clamp(0, 255)[0].permute(1, 2, 0).numpy()
    assert found.shape == (2 * image.shape[0], 2 * image.shape[1], 3)
    assert np.abs(found - expected).max() <= 1
    assert upscalers(registry) == ("x2",)


@pytest.mark.parametrize("factor", [1, 2, 3, 4, 8])
def test_another_factor_than_the_nets(registry: Registry, tmp_path: Path, factor: int) -> None:
    upscaler = add_upscaler(registry, write_upscaler(tmp_path / "x4.safetensors", 4), "x4")
    assert upscaler.scale == 4
    assert upscaler.enlarge(picture(17, 33), factor).shape == (17 * factor, 33 * factor, 3)


@pytest.mark.parametrize("at", ["params_ema", "params", None])
def test_checkpoints_of_trainers(registry: Registry, tmp_path: Path, at: str | None) -> None:
    path = tmp_path / "net.pth"
    state = compact(2)
    torch.save({at: state, "params_other": 3} if at else state, path)
    assert add_upscaler(registry, path, "net").scale == 2
    assert load_upscaler(registry, "net", upscaler_digest(registry, "net"), "cpu").scale == 2


class Hostile:
    def __reduce__(self) -> object:
        return print, ("it ran",)


def test_what_is_no_upscaler_is_told(registry: Registry, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def refused(name: str, kind: type[Exception] = ModelFilesBroken) -> str:
        with pytest.raises(kind) as caught:
            add_upscaler(registry, tmp_path / name, "net")
        return str(caught.value)

    torch.save({"params": compact(2), "more": Hostile()}, tmp_path / "hostile.pth")
    refused("hostile.pth", CheckpointUnsafe)
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(Hostile()))
    refused("plain.pth", Exception)
    (tmp_path / "torn.safetensors").write_bytes(b"\x10" + bytes(40))
    assert "can't be read" in refused("torn.safetensors")
    assert "can't be read" in refused("nowhere.safetensors")
    save_file({"a": torch.zeros(3)}, tmp_path / "other.safetensors")
    assert "holds no net that spandrel knows" in refused("other.safetensors")
    assert "it ran" not in capsys.readouterr().out
    assert upscalers(registry) == ()
    add_upscaler(registry, write_upscaler(tmp_path / "x2.safetensors"), "net")
    assert "has an upscaler 'net' already" in refused("x2.safetensors", BadInput)
    add_upscaler(registry, write_upscaler(tmp_path / "x4.safetensors", 4), "net", replace=True)
    with pytest.raises(ModelFilesBroken, match="another upscaler 'net'"):
        load_upscaler(registry, "net", "0" * 64)
    with pytest.raises(BadInput, match=r"'nett' is not in the models folder.*did you mean 'net'"):
        upscaler_digest(registry, "nett")
