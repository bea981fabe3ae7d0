"""Published checkpoints become safetensors: plain, Gumbel, a transformer's first stage. The rest is refused."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from renderers.errors import CheckpointUnsafe, ModelFilesBroken
from renderers.models import VQGAN, VQGANConfig
from renderers.models.checkpoint.conversion import convert_checkpoint, recorded
from tests.helpers.checkpoints import save_lightning, save_program, text
from tests.helpers.random_model import VQGAN_PARAMS, sha256

KINDS = {"vqgan": "taming.models.vqgan.VQModel", "gumbel": "taming.models.vqgan.GumbelVQ"}


def config_of(kind: str) -> dict[str, Any]:
    params = copy.deepcopy(VQGAN_PARAMS)
    if kind == "gumbel":
        params |= {"embed_dim": 8, "kl_weight": 1e-8, "temperature_scheduler_config": {"target": "x.LambdaWarmUp"}}
    return {"target": KINDS[kind], "params": params}


def write_config(path: Path, kind: str, *, net2net: bool = False) -> Path:
    model = config_of(kind)
    if net2net:
        parts = {"transformer_config": {"target": "taming.modules.transformer.mingpt.GPT"}, "first_stage_config": model}
        model = {"target": "taming.models.cond_transformer.Net2NetTransformer", "params": parts}
    path.write_text(yaml.safe_dump({"model": model, "data": {"target": "main.DataModuleFromConfig"}}))
    return path


def network(config: Path) -> VQGAN:
    torch.manual_seed(1)
    return VQGAN.build(config).eval()


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("net2net", [False, True], ids=["alone", "net2net"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_lightning_checkpoint_becomes_a_vqgan(tmp_path: Path, kind: str, net2net: bool, legacy: bool) -> None:
    config = write_config(tmp_path / "model.yaml", kind, net2net=net2net)
    vqgan = network(config)
    extra = {"loss.discriminator.main.0.weight": torch.ones(9), "loss.logvar": torch.zeros(())}
    state = vqgan.state_dict() | extra
    if net2net:
        state = {f"first_stage_model.{key}": value for key, value in state.items()}
        state |= {"transformer.head.weight": torch.ones(4), "cond_stage_model.quantize.embedding.weight": torch.ones(2)}
    save_lightning(tmp_path / "last.ckpt", state, legacy=legacy)

    made = convert_checkpoint(tmp_path / "last.ckpt", config, tmp_path / "vqgan.safetensors")

    stored = load_file(tmp_path / "vqgan.safetensors")
    assert stored.keys() == vqgan.state_dict().keys()
    assert ("quantize.embed.weight" in stored) == (kind == "gumbel")
    loaded = VQGAN.load(config, tmp_path / "vqgan.safetensors")
    assert loaded.config.kind == kind
    for key, value in vqgan.state_dict().items():
        assert torch.equal(loaded.state_dict()[key], value)
    assert made == sha256(tmp_path / "vqgan.safetensors")
    assert recorded(tmp_path / "vqgan.json", sha256(tmp_path / "last.ckpt")) == made
    assert recorded(tmp_path / "vqgan.json", "0" * 64) is None
    with safe_open(tmp_path / "vqgan.safetensors", framework="pt") as file:
        assert file.metadata() == {"source_sha256": sha256(tmp_path / "last.ckpt")}
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "last.ckpt", "model.yaml", "vqgan.json", "vqgan.safetensors",
    ]  # fmt: skip
    # the same bytes come out again, so that two machines agree
    assert convert_checkpoint(tmp_path / "last.ckpt", config, tmp_path / "again.safetensors") == made


def test_safetensors_are_taken_as_well(tmp_path: Path) -> None:
    config = write_config(tmp_path / "model.yaml", "vqgan")
    vqgan = network(config)
    save_file({key: value.half() for key, value in vqgan.state_dict().items()}, tmp_path / "half.safetensors")
    convert_checkpoint(tmp_path / "half.safetensors", config, tmp_path / "vqgan.safetensors")
    loaded = VQGAN.load(config, tmp_path / "vqgan.safetensors")
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}
    assert torch.equal(loaded.codebook, vqgan.codebook.half().float())


@pytest.mark.parametrize("name", ["last.ckpt", "last.safetensors"])
def test_what_does_not_fit_its_config_is_reported_and_leaves_nothing(tmp_path: Path, name: str) -> None:
    config = write_config(tmp_path / "model.yaml", "vqgan")
    state = network(config).state_dict()

    def refused(state: dict[str, torch.Tensor], message: str) -> None:
        if name.endswith("ckpt"):
            save_lightning(tmp_path / name, state)
        else:
            save_file(state, tmp_path / name)
        with pytest.raises(ModelFilesBroken, match=message):
            convert_checkpoint(tmp_path / name, config, tmp_path / "vqgan.safetensors")
        assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "model.yaml"])

    missing = {key: value for key, value in state.items() if not key.startswith("post_quant")}
    refused(missing, r"lacks post_quant_conv\.weight, post_quant_conv\.bias")
    refused(state | {"quantize.embedding.weight": torch.ones(31, 4)}, r"shape \(31, 4\), the config says \(32, 4\)")
    (tmp_path / name).write_bytes(b"damaged")
    with pytest.raises(ModelFilesBroken, match="can't be read"):
        convert_checkpoint(tmp_path / name, config, tmp_path / "vqgan.safetensors")
    (tmp_path / name).unlink()
    with pytest.raises(ModelFilesBroken, match="can't be read"):
        convert_checkpoint(tmp_path / name, config, tmp_path / "vqgan.safetensors")


def test_a_hostile_checkpoint_is_not_converted(tmp_path: Path) -> None:
    config = write_config(tmp_path / "model.yaml", "vqgan")
    marker = tmp_path / "marker"
    save_program(tmp_path / "last.ckpt", b"(" + text(f"touch {marker}") + b"iposix\nsystem\n.")
    with pytest.raises(CheckpointUnsafe, match=r"posix\.system"):
        convert_checkpoint(tmp_path / "last.ckpt", config, tmp_path / "vqgan.safetensors")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["last.ckpt", "model.yaml"]


def test_a_gumbel_checkpoint_does_not_pass_for_a_plain_one(tmp_path: Path) -> None:
    gumbel = write_config(tmp_path / "gumbel.yaml", "gumbel")
    save_lightning(tmp_path / "last.ckpt", network(gumbel).state_dict())
    plain = config_of("vqgan")
    plain["params"]["embed_dim"] = 8
    (tmp_path / "plain.yaml").write_text(yaml.safe_dump({"model": plain}))
    with pytest.raises(ModelFilesBroken, match=r"lacks quantize\.embedding\.weight"):
        convert_checkpoint(tmp_path / "last.ckpt", tmp_path / "plain.yaml", tmp_path / "vqgan.safetensors")


def test_a_record_that_is_damaged_vouches_for_nothing(tmp_path: Path) -> None:
    for content in ("", "{", "[]", "7", json.dumps({"sha256": "x"})):
        (tmp_path / "vqgan.json").write_text(content)
        assert recorded(tmp_path / "vqgan.json", "0" * 64) is None


# --- configs ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", [
    "os.system", "subprocess.Popen", "builtins.eval", "taming.models.vqgan.EMAVQ", "main.DataModuleFromConfig",
    "taming.models.vqgan.VQModel\n", " taming.models.vqgan.VQModel", "", 7, None, ["taming.models.vqgan.VQModel"],
    {"a": 1},
])  # fmt: skip
@pytest.mark.parametrize("nested", [False, True])
def test_a_config_that_names_another_class_is_refused(tmp_path: Path, target: Any, nested: bool) -> None:
    model = {"target": target, "params": {"_target_": "rm -rf", **VQGAN_PARAMS}}
    if nested:
        model = {"target": "taming.models.cond_transformer.Net2NetTransformer", "params": {"first_stage_config": model}}
    (tmp_path / "model.yaml").write_text(yaml.safe_dump({"model": model}))
    with pytest.raises(ModelFilesBroken, match=r"names the class .*known are taming"):
        VQGANConfig.read(tmp_path / "model.yaml")


@pytest.mark.parametrize("tag", [
    "!!python/object/apply:os.system ['touch {marker}']", "!!python/object/new:os.system ['touch {marker}']",
    "!!python/name:os.system", "!!python/module:os",
])  # fmt: skip
def test_a_config_that_tries_to_run_code_does_not(tmp_path: Path, tag: str) -> None:
    marker = tmp_path / "marker"
    (tmp_path / "model.yaml").write_text(f"model:\n  target: {tag.format(marker=marker)}\n  params: {{}}\n")
    with pytest.raises(ModelFilesBroken, match="is not a taming config"):
        VQGANConfig.read(tmp_path / "model.yaml")
    assert not marker.exists()


@pytest.mark.parametrize("change", [
    {"n_embed": 10**12}, {"n_embed": 0}, {"embed_dim": -1}, {"ddconfig": {**VQGAN_PARAMS["ddconfig"], "ch": 10**9}},
    {"ddconfig": {**VQGAN_PARAMS["ddconfig"], "ch_mult": []}},
    {"ddconfig": {**VQGAN_PARAMS["ddconfig"], "ch_mult": [1] * 40}},
    {"ddconfig": {**VQGAN_PARAMS["ddconfig"], "num_res_blocks": 10**6}},
    {"ddconfig": {**VQGAN_PARAMS["ddconfig"], "surprise": 1}},
])  # fmt: skip
def test_a_network_beyond_all_measure_is_not_built(tmp_path: Path, change: dict[str, Any]) -> None:
    document = {"model": {"target": KINDS["vqgan"], "params": VQGAN_PARAMS | change}}
    (tmp_path / "model.yaml").write_text(yaml.safe_dump(document))
    with pytest.raises(ModelFilesBroken, match="does not describe a VQModel"):
        VQGAN.build(tmp_path / "model.yaml")


def test_a_config_of_a_transformer_without_a_first_stage_is_reported(tmp_path: Path) -> None:
    document = {"model": {"target": "taming.models.cond_transformer.Net2NetTransformer", "params": {}}}
    (tmp_path / "model.yaml").write_text(yaml.safe_dump(document))
    with pytest.raises(ModelFilesBroken, match="is not a taming config"):
        VQGANConfig.read(tmp_path / "model.yaml")


# --- gumbel -----------------------------------------------------------------------------------------------------------


def test_a_gumbel_vqgan_has_the_interface_of_a_plain_one(tmp_path: Path) -> None:
    vqgan = network(write_config(tmp_path / "model.yaml", "gumbel"))
    with torch.no_grad():
        vqgan.codebook.normal_()
    pictures = torch.rand(2, 3, 24, 40)
    latents = vqgan.encode(pictures)
    assert latents.shape == (2, 8, 6, 10)
    assert vqgan.codebook.shape == (32, 8)
    tokens = vqgan.tokenise(latents)
    # what is encoded lies on codes already, those that taming's own projection holds likeliest
    logits = vqgan.quantize.proj(vqgan.quant_conv(vqgan.encoder(pictures * 2 - 1)))
    assert torch.equal(tokens, logits.argmax(dim=1))
    torch.testing.assert_close(vqgan.quantise(latents), latents)
    assert vqgan.decode(vqgan.look_up(tokens)).shape == (2, 3, 24, 40)
    # the gradient of a picture passes as with a plain one
    z = latents.detach() + 0.01 * torch.randn_like(latents)
    z.requires_grad_(True)
    vqgan.decode(vqgan.quantise(z)).square().sum().backward()
    assert z.grad is not None
    assert (z.grad != 0).all()


def test_the_codes_of_a_gumbel_vqgan_are_tamings(tmp_path: Path) -> None:
    vqgan = network(write_config(tmp_path / "model.yaml", "gumbel"))
    tokens = torch.arange(32).view(1, 4, 8)
    entry = vqgan.quantize.get_codebook_entry(tokens.flatten(), (1, 4, 8, 8))
    torch.testing.assert_close(vqgan.look_up(tokens), entry)
