"""The trained files against the libraries they are made for: taming's own modules and open_clip's own loading."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import open_clip
import pytest
import taming.modules.diffusionmodules.model as taming_blocks
import torch
import torch.nn as nn
import torch.nn.functional as F
import yaml
from PIL import Image
from safetensors.torch import load_file
from taming.modules.vqvae.quantize import VectorQuantizer2

from renderers.errors import ModelFilesBroken
from renderers.models import VQGAN, Models, Perceptor, load_models
from renderers.registry import ModelEntry, Registry


def pictures(count: int = 4, side: int = 64) -> torch.Tensor:
    """Soft coloured blobs `(n, 3, side, side)` in [0, 1]."""
    coarse = torch.rand(count, 3, 7, 7, generator=torch.Generator().manual_seed(0))
    return F.interpolate(coarse, size=(side, side), mode="bicubic").clamp(0, 1)


class ByHand:
    """taming's modules, wired as `taming.models.vqgan.VQModel` wires them, straight from the YAML and the weights."""

    def __init__(self, entry: ModelEntry) -> None:
        params = yaml.safe_load(entry.vqgan.config_path.read_text())["model"]["params"]
        shape = dict(params["ddconfig"])
        groups = shape.pop("norm_groups")
        original = taming_blocks.Normalize
        taming_blocks.Normalize = lambda channels: nn.GroupNorm(groups, channels, eps=1e-6)
        try:
            self.encoder, self.decoder = taming_blocks.Encoder(**shape), taming_blocks.Decoder(**shape)
        finally:
            taming_blocks.Normalize = original
        self.quantize = VectorQuantizer2(params["n_embed"], params["embed_dim"], beta=0.25, sane_index_shape=True)
        self.quant_conv = nn.Conv2d(shape["z_channels"], params["embed_dim"], 1)
        self.post_quant_conv = nn.Conv2d(params["embed_dim"], shape["z_channels"], 1)
        state = {key: value.float() for key, value in load_file(entry.vqgan.weights_path).items()}
        for name, module in vars(self).items():
            prefix = f"{name}."
            module.load_state_dict({k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)})
            module.eval().requires_grad_(False)

    def __call__(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Latents, tokens and reconstruction of pictures in taming's range, -1 to 1."""
        latents = self.quant_conv(self.encoder(x))
        quantised, _, (_, _, tokens) = self.quantize(latents)
        return latents, tokens, self.decoder(self.post_quant_conv(quantised))


@pytest.mark.parametrize("side", [64, 96])
def test_our_vqgan_is_tamings_own_modules_on_the_same_weights(side: int) -> None:
    entry = Registry().entry("embedded")
    ours, theirs = VQGAN.load(entry.vqgan.config_path, entry.vqgan.weights_path), ByHand(entry)
    seen = pictures(side=side)
    latents, tokens, reconstruction = theirs(seen * 2 - 1)
    torch.testing.assert_close(ours.encode(seen), latents, atol=1e-6, rtol=1e-6)
    assert torch.equal(ours.tokenise(ours.encode(seen)), tokens)
    picture = ours.decode(ours.quantise(ours.encode(seen)))
    torch.testing.assert_close(picture * 2 - 1, reconstruction, atol=2e-6, rtol=0)


def test_the_gradient_is_tamings_too() -> None:
    entry = Registry().entry("embedded")
    ours, theirs = VQGAN.load(entry.vqgan.config_path, entry.vqgan.weights_path), ByHand(entry)
    start = ours.encode(pictures(1))
    gradients = []
    for decode in (
        lambda z: ours.decode(ours.quantise(z)),
        lambda z: (theirs.decoder(theirs.post_quant_conv(theirs.quantize(z)[0])) + 1) / 2,
    ):
        z = start.clone().requires_grad_(True)
        decode(z).square().mean().backward()
        gradients.append(z.grad)
    torch.testing.assert_close(gradients[0], gradients[1], atol=1e-6, rtol=1e-4)


def test_as_loaded_for_rendering_the_vqgan_is_the_same_up_to_rounding(models: Models) -> None:
    """channels_last takes other kernels."""
    entry = Registry().entry("embedded")
    plain = VQGAN.load(entry.vqgan.config_path, entry.vqgan.weights_path)
    seen = pictures()
    torch.testing.assert_close(models.vqgan.encode(seen), plain.encode(seen), atol=1e-4, rtol=1e-4)
    codes = plain.look_up(plain.tokenise(plain.encode(seen)))
    torch.testing.assert_close(models.vqgan.decode(codes), plain.decode(codes), atol=1e-4, rtol=0)


def test_the_vqgan_has_learnt_to_draw(models: Models) -> None:
    """Random weights reach some 10 dB here."""
    seen = pictures()
    rebuilt = models.vqgan.decode(models.vqgan.quantise(models.vqgan.encode(seen))).clamp(0, 1)
    assert float(-10 * torch.log10(F.mse_loss(rebuilt, seen))) > 17
    assert models.vqgan.config.downsampling == models.entry.downsampling


def test_open_clip_loads_the_perceptors_folder_by_itself(models: Models) -> None:
    entry = Registry().entry("embedded").perceptors[0]
    clip, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{entry.path}")
    clip.eval()
    ours = models.perceptors[0]
    pixels = (pictures(1, side=ours.side)[0].permute(1, 2, 0) * 255).byte().numpy()
    with torch.no_grad():
        theirs = F.normalize(clip.encode_image(preprocess(Image.fromarray(pixels))[None]), dim=-1)
        tokens = open_clip.get_tokenizer(f"local-dir:{entry.path}", bpe_path=str(entry.path / str(entry.merges)))(
            ["a red apple"]
        )
        text = F.normalize(clip.encode_text(tokens), dim=-1)
    mine = ours.embed_pictures(torch.from_numpy(np.array(pixels)).permute(2, 0, 1)[None].float() / 255)
    torch.testing.assert_close(mine, theirs, atol=1e-4, rtol=0)
    plain = Perceptor(ours.clip, ours.tokenizer)
    torch.testing.assert_close(plain.embed_texts(["a red apple"]), text, atol=1e-5, rtol=0)


def test_the_perceptor_tells_its_concepts_apart(models: Models) -> None:
    """Texts alone: each name is nearest to itself said otherwise, and no two names are one."""
    names = list(models.entry.concepts)
    perceptor = models.perceptors[0]
    said = perceptor.embed_texts([f"a {name}" for name in names])
    otherwise = perceptor.embed_texts([f"a painting of a {name}" for name in names])
    nearest = (otherwise @ said.T).argmax(dim=1)
    assert float((nearest == torch.arange(len(names))).float().mean()) > 0.9


@pytest.mark.parametrize("file", ["vqgan.safetensors", "open_clip_model.safetensors"])
def test_damaged_weights_are_not_loaded(tmp_path: Path, file: str) -> None:
    data = Registry().entry("embedded").model_dump()
    source = Registry().entry("embedded").perceptors[0].path
    shutil.copytree(source, tmp_path / "embedded")
    data["vqgan"] |= {"config": tmp_path / "embedded/vqgan.yaml", "weights": tmp_path / "embedded/vqgan.safetensors"}
    data["perceptors"] = [data["perceptors"][0] | {"folder": tmp_path / "embedded"}]
    entry = ModelEntry.model_validate(data)
    assert entry.digest == Registry().entry("embedded").digest
    path = tmp_path / "embedded" / file
    damaged = bytearray(path.read_bytes())
    damaged[-1000] ^= 0x10
    path.write_bytes(bytes(damaged))
    with pytest.raises(ModelFilesBroken, match=f"{file}' is damaged: SHA-256"):
        load_models(entry, device="cpu")
