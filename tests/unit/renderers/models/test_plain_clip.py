"""CLIPs that are loaded without open_clip, against open_clip: the same numbers to the last bit, or none at all."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from renderers.models import Perceptor
from renderers.models.perceptor import perceptor as module
from renderers.models.perceptor.byte_pair_tokenizer import BytePairTokenizer
from renderers.models.perceptor.plain_clip import (
    PlainCLIP,
    architecture_config,
    load_plain,
    simple_tokenizer_merges,
)
from renderers.registry import Registry

TEXT = {"context_length": 12, "vocab_size": 49408, "width": 32, "heads": 4, "layers": 2}
VIT = {"image_size": 32, "layers": 3, "width": 48, "head_width": 12, "patch_size": 8}
LITE0 = {"timm_model_name": "tf_efficientnet_lite0", "timm_model_pretrained": False, "timm_pool": "avg",
         "timm_proj": "linear", "timm_proj_bias": True, "image_size": 48}  # fmt: skip
TEXTS = ["a red apple", "", "Äpfel & “co.” don't! 漢字 🎉 <end_of_text>", "word " * 50]


def write(folder: Path, model: dict[str, Any], *, half: bool = False, **others: Any) -> Path:
    """A folder as open_clip writes it, with random weights."""
    torch.manual_seed(1)
    clip = open_clip.CLIP(**copy.deepcopy(model))
    state = {}
    for key, value in clip.state_dict().items():
        drawn = torch.rand_like(value) + 0.5 if key.endswith("running_var") else 0.3 * torch.randn(value.shape)
        state[key] = (drawn.half() if half else drawn) if value.is_floating_point() else value
    save_file(state, folder / "open_clip_model.safetensors")
    preprocess = {"size": 32, "mode": "RGB", "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.25, 0.3]}
    (folder / "open_clip_config.json").write_text(
        json.dumps({"model_cfg": model, "preprocess_cfg": preprocess} | others)
    )
    return folder


def both(monkeypatch: pytest.MonkeyPatch, load: Any) -> tuple[Perceptor, Perceptor]:
    """What `load` makes without open_clip, and with it."""
    mine = load()
    assert type(mine.clip) is PlainCLIP
    monkeypatch.setattr(module, "load_plain", lambda *_, **__: None)
    theirs = load()
    assert type(theirs.clip).__module__ == "open_clip.model"
    return mine, theirs


def seen(perceptor: Perceptor, pictures: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Embeddings, and the gradient of a sum of them with weights."""
    pictures = pictures.clone().requires_grad_()
    found = perceptor.embed_pictures(pictures)
    (found * torch.linspace(-1, 1, found.shape[1])).sum().backward()
    assert pictures.grad is not None
    return found.detach(), pictures.grad


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(
    "model",
    [
        {"embed_dim": 16, "vision_cfg": VIT, "text_cfg": TEXT},
        {"embed_dim": 16, "vision_cfg": VIT, "text_cfg": TEXT, "quick_gelu": True},
        {"embed_dim": 16, "vision_cfg": VIT | {"image_size": 36}, "text_cfg": TEXT},  # a rest of half a patch
        {"embed_dim": 16, "vision_cfg": LITE0, "text_cfg": TEXT},
        {"embed_dim": 16, "vision_cfg": LITE0 | {"timm_proj_bias": False, "image_size": 50}, "text_cfg": TEXT},
    ],
    ids=["vit", "quick", "rest", "lite0", "unbiased"],
)
def test_the_same_numbers_as_open_clips(
    model: dict[str, Any], dtype: torch.dtype, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, model, half=dtype is torch.bfloat16)
    mine, theirs = both(monkeypatch, lambda: Perceptor.load(tmp_path))
    assert torch.equal(mine.tokenizer(TEXTS), theirs.tokenizer(TEXTS))
    assert torch.equal(mine.embed_texts(TEXTS), theirs.embed_texts(TEXTS))
    assert torch.equal(mine.mean, theirs.mean)
    assert torch.equal(mine.std, theirs.std)
    assert mine.side == theirs.side
    side = mine.side - mine.side % 8 if "patch_size" in model["vision_cfg"] else mine.side
    pictures = torch.rand(3, 3, side, side)
    for perceptor in (mine, theirs):
        perceptor.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub leaves it out
    for _ in ("as loaded", "ready to render"):
        for ours, others in zip(seen(mine, pictures), seen(theirs, pictures), strict=True):
            assert torch.equal(ours, others)
        mine.freeze_for_rendering(dtype)
        theirs.freeze_for_rendering(dtype)


def test_the_same_numbers_with_a_head_of_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"embed_dim": 16, "vision_cfg": LITE0, "text_cfg": TEXT}, grid_head=2)
    weights = tmp_path / "open_clip_model.safetensors"
    state = module.load_file(weights)
    state["visual.head.proj.weight"] = torch.randn(16, 4 * 1280)
    save_file(state, weights)
    mine, theirs = both(monkeypatch, lambda: Perceptor.load(tmp_path))
    pictures = torch.rand(2, 3, 48, 48)
    for ours, others in zip(seen(mine, pictures), seen(theirs, pictures), strict=True):
        assert torch.equal(ours, others)


def test_the_same_numbers_of_the_embedded_one(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = Registry().entry("embedded").perceptors[0]
    mine, theirs = both(monkeypatch, lambda: Perceptor.open(entry))
    assert torch.equal(mine.tokenizer(TEXTS), theirs.tokenizer(TEXTS))
    assert torch.equal(mine.embed_texts(TEXTS), theirs.embed_texts(TEXTS))


def test_an_architecture_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = {"embed_dim": 16, "vision_cfg": VIT, "text_cfg": TEXT}
    config = open_clip.get_model_config("ViT-B-32")
    assert architecture_config("ViT-B-32") == config
    assert all(architecture_config(name) is None for name in ("", "..", "no-such", "../model_configs/ViT-B-32"))
    weights = write(tmp_path, small) / "open_clip_model.safetensors"
    (tmp_path / "small.json").write_text(json.dumps(small))
    open_clip.add_model_config(tmp_path / "small.json")
    monkeypatch.setattr(module, "architecture_config", lambda _: small)
    preprocess = {"mean": (0.1, 0.2, 0.3), "std": (0.4, 0.5, 0.6)}
    for how in ({}, {"preprocess": preprocess}):
        with monkeypatch.context() as patched:
            mine, theirs = both(patched, lambda how=how: Perceptor.load_architecture("small", weights, **how))
        assert torch.equal(mine.mean, theirs.mean)
        assert torch.equal(mine.std, theirs.std)
        assert torch.equal(mine.embed_texts(TEXTS), theirs.embed_texts(TEXTS))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("embed_dim",), 8), (("embed_dim",), "16"), (("embed_dim",), True), (("embed_dim",), 2**40),
        (("custom_text",), True), (("quick_gelu",), 1), (("multimodal_cfg",), {}), (("text_cfg",), None),
        (("text_cfg", "layers"), 3), (("text_cfg", "layers"), 10**6), (("text_cfg", "heads"), 5),
        (("text_cfg", "heads"), 0), (("text_cfg", "width"), -32), (("text_cfg", "mlp_ratio"), 4.0),
        (("text_cfg", "hf_model_name"), "a/b"), (("text_cfg", "tokenizer_kwargs"), {"clean": "lower"}),
        (("text_cfg", "pool_type"), "last"), (("text_cfg", "no_causal_mask"), True),
        (("vision_cfg", "layers"), [1, 1, 1, 1]), (("vision_cfg", "pool_type"), "avg"),
        (("vision_cfg", "patch_size"), 64), (("vision_cfg", "image_size"), [32, 32]),
        (("vision_cfg", "head_width"), 96), (("vision_cfg", "ls_init_value"), 0.1),
        (("vision_cfg", "timm_model_name"), "resnet18"),
        (("vision_cfg",), LITE0 | {"timm_model_pretrained": True}), (("vision_cfg",), LITE0 | {"timm_pool": ""}),
        (("vision_cfg",), LITE0 | {"timm_model_name": "hf_hub:a/b"}), (("vision_cfg",), LITE0),
    ],
    ids=str,
)  # fmt: skip
def test_what_is_not_known_word_for_word_is_left_to_open_clip(
    place: tuple[str, ...], value: object, tmp_path: Path
) -> None:
    model = {"embed_dim": 16, "vision_cfg": dict(VIT), "text_cfg": dict(TEXT)}
    weights = write(tmp_path, model) / "open_clip_model.safetensors"
    assert load_plain(model, weights, {}) is not None
    inner: Any = model
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = value
    assert load_plain(model, weights, {}) is None


def test_weights_that_are_no_safetensors_are_left_to_open_clip(tmp_path: Path) -> None:
    assert load_plain({"embed_dim": 16, "vision_cfg": VIT, "text_cfg": TEXT}, tmp_path / "weights.bin", {}) is None


_BYTE_PAIRS = BytePairTokenizer(simple_tokenizer_merges(), 20)


@given(st.lists(st.text(max_size=60), min_size=1, max_size=3))
def test_any_text_is_read_as_by_open_clips_tokenizer(texts: list[str]) -> None:
    try:
        wanted = open_clip.tokenizer._tokenizer(texts, context_length=20)
    except UnicodeEncodeError:  # a half of a surrogate pair
        with pytest.raises(UnicodeEncodeError):
            _BYTE_PAIRS(texts)
    else:
        assert torch.equal(_BYTE_PAIRS(texts), wanted)


def test_a_worker_imports_no_training_no_open_clip_and_no_compiler() -> None:
    code = """
import sys
import infra.ray.worker
from infra.settings import InfraSettings
from infra.workers.renderers import LoadedModels
from renderers.models import load_models
from renderers.frame_rendering.renderer import FrameRenderer
from renderers.registry import Registry
models = load_models(Registry().entry("embedded"))
models.perceptors[0].embed_texts(["a red apple"])
print(*sorted(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    names = set(done.stdout.split())
    assert {"torch", "ray", "renderers.models.vqgan.vqgan"} <= names
    unwanted = {"open_clip", "timm", "torchvision", "torch._dynamo", "torch._inductor", "sympy", "transformers",
                "huggingface_hub", "prefect", "fastapi", "matplotlib", "renderers.training", "flows", "ray.train",
                "pandas", "scipy"}  # fmt: skip
    assert not names & unwanted
