"""taming's blocks and open_clip's towers, computed in fewer passes: equal to their own code within rounding."""

from __future__ import annotations

import copy
import io
from collections.abc import Callable
from contextlib import redirect_stdout
from functools import partial
from typing import Any

import open_clip
import open_clip.transformer as towers
import pytest
import taming.modules.diffusionmodules.model as taming_blocks
import timm
import torch
from torch import Tensor, nn

from renderers.models import Models
from renderers.models.kernels.folding import fold_batch_norms
from renderers.models.perceptor.towers import is_plain_vit, picture_features, quick_gelu
from renderers.models.vqgan.blocks import AttnBlock, Decoder, Encoder, ResnetBlock, Upsample, our_blocks

SHAPE: dict[str, Any] = {
    "ch": 32, "out_ch": 3, "ch_mult": (1, 2), "num_res_blocks": 1, "attn_resolutions": (8,), "in_channels": 3,
    "resolution": 16, "z_channels": 8, "double_z": False,
}  # fmt: skip
LAYOUTS = [torch.contiguous_format, torch.channels_last]


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def stir(module: nn.Module) -> nn.Module:
    """Weights at which nothing is 0 or 1, frozen: a fresh norm would hide a forgotten weight."""
    for index, parameter in enumerate(module.parameters()):
        parameter.data.add_(0.1 * noise(*parameter.shape, seed=index))
    return module.eval().requires_grad_(False)


def same(theirs: Callable[[Tensor], Tensor], ours: Callable[[Tensor], Tensor], x: Tensor, tolerance: float) -> None:
    """Equal values and equal gradients."""
    results = []
    for function in (theirs, ours):
        leaf = x.clone().requires_grad_(True)
        out = function(leaf)
        (gradient,) = torch.autograd.grad((out * noise(*out.shape, seed=1)).sum(), leaf)
        results.append((out.detach(), gradient))
    for theirs_, ours_ in zip(*results, strict=True):
        scale = float(theirs_.abs().max())
        assert scale > 0.01
        torch.testing.assert_close(ours_ / scale, theirs_ / scale, atol=tolerance, rtol=0)


def twin(kind: Callable[[], nn.Module], ours: Callable[[], nn.Module], groups: int = 32) -> tuple[nn.Module, nn.Module]:
    """taming's module and ours, of the same weights under the same keys."""
    with redirect_stdout(io.StringIO()):
        first = stir(kind())
        with our_blocks(groups):
            second = ours().eval().requires_grad_(False)
    assert list(first.state_dict()) == list(second.state_dict())
    second.load_state_dict(first.state_dict())
    return first, second


PAIRS: dict[str, tuple[Callable[[], nn.Module], Callable[[], nn.Module], tuple[int, ...]]] = {
    "resnet": (
        lambda: taming_blocks.ResnetBlock(in_channels=32, dropout=0.0, temb_channels=0),
        lambda: ResnetBlock(in_channels=32, dropout=0.0, temb_channels=0),
        (2, 32, 6, 10),
    ),
    "resnet to more channels": (
        lambda: taming_blocks.ResnetBlock(in_channels=32, out_channels=64, dropout=0.0, temb_channels=0),
        lambda: ResnetBlock(in_channels=32, out_channels=64, dropout=0.0, temb_channels=0),
        (2, 32, 6, 10),
    ),
    "attention": (lambda: taming_blocks.AttnBlock(64), lambda: AttnBlock(64), (2, 64, 6, 10)),
    "upsample": (lambda: taming_blocks.Upsample(32, True), lambda: Upsample(32, True), (2, 32, 5, 7)),
    "upsample of one pixel": (lambda: taming_blocks.Upsample(32, True), lambda: Upsample(32, True), (1, 32, 1, 1)),
    "decoder": (lambda: taming_blocks.Decoder(**SHAPE), lambda: Decoder(**SHAPE), (2, 8, 8, 12)),
    "encoder": (lambda: taming_blocks.Encoder(**SHAPE), lambda: Encoder(**SHAPE), (2, 3, 16, 24)),
}


@pytest.mark.parametrize("layout", LAYOUTS, ids=["contiguous", "channels_last"])
@pytest.mark.parametrize("name", PAIRS)
def test_a_block_computes_what_tamings_computes(name: str, layout: torch.memory_format) -> None:
    kind, ours, shape = PAIRS[name]
    first, second = twin(kind, ours)
    for module in (first, second):
        module.to(memory_format=layout)  # type: ignore[call-overload]  # torch's stubs lack it
    # taming's wants to know that there is no time embedding
    same(partial(first, temb=None) if isinstance(second, ResnetBlock) else first, second, noise(*shape), 1e-5)


def test_tamings_own_names_are_back_after_a_build() -> None:
    before = {name: getattr(taming_blocks, name) for name in ("Normalize", "ResnetBlock", "AttnBlock", "Upsample")}
    with our_blocks(2):
        assert taming_blocks.AttnBlock is AttnBlock
    with pytest.raises(ZeroDivisionError), our_blocks(0):
        Decoder(**SHAPE)
    assert {name: getattr(taming_blocks, name) for name in before} == before


def test_channels_last_stays_channels_last_through_the_decoder() -> None:
    _, decoder = twin(lambda: taming_blocks.Decoder(**SHAPE), lambda: Decoder(**SHAPE))
    decoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    out = decoder(noise(1, 8, 8, 8).contiguous(memory_format=torch.channels_last))
    assert out.is_contiguous(memory_format=torch.channels_last)


def test_a_merged_kernel_follows_its_weight() -> None:
    first, second = twin(lambda: taming_blocks.Upsample(32, True), lambda: Upsample(32, True))
    x = noise(1, 32, 4, 4)
    second(x)
    for module in (first, second):
        module.load_state_dict({key: value + 1 for key, value in module.state_dict().items()})
    same(first, second, x, 1e-5)
    for module in (first, second):
        module.double()
    same(first, second, x.double(), 1e-6)  # float32 sums of the weights
    assert list(second.state_dict()) == ["conv.weight", "conv.bias"]


def test_weights_that_are_trained_get_tamings_own_gradients() -> None:
    first, second = twin(lambda: taming_blocks.Decoder(**SHAPE), lambda: Decoder(**SHAPE))
    gradients = []
    for module in (first, second):
        module.requires_grad_(True)
        out = module(noise(2, 8, 8, 8))
        gradients.append(torch.autograd.grad((out * noise(*out.shape, seed=1)).sum(), list(module.parameters())))
    # against the largest of all: that of a bias before a norm of one channel a group is nothing but rounding
    scale = max(float(gradient.abs().max()) for gradient in gradients[0])
    for theirs, ours in zip(*gradients, strict=True):
        torch.testing.assert_close(ours / scale, theirs / scale, atol=2e-5, rtol=0)


def test_a_loaded_vqgan_is_built_of_these_blocks(models: Models) -> None:
    kinds = {type(module) for module in models.vqgan.decoder.modules()}
    assert {AttnBlock, ResnetBlock, Upsample} <= kinds
    assert not kinds & {taming_blocks.AttnBlock, taming_blocks.ResnetBlock, taming_blocks.Upsample}


# --- picture towers ---------------------------------------------------------------------------------------------------


def tower(**changes: Any) -> Any:
    torch.manual_seed(0)
    made: dict[str, Any] = {
        "image_size": 32, "patch_size": 8, "width": 48, "layers": 3, "heads": 4, "mlp_ratio": 2.0, "output_dim": 24,
        "act_layer": towers.QuickGELU,
    } | changes  # fmt: skip
    return stir(towers.VisionTransformer(**made))


@pytest.mark.parametrize("changes", [
    {}, {"act_layer": nn.GELU}, {"final_ln_after_pool": True}, {"ls_init_value": 0.5}, {"no_ln_pre": True},
    {"layers": 1}, {"image_size": (16, 32)},
], ids=str)  # fmt: skip
def test_a_vision_transformer_sees_what_open_clips_sees(changes: dict[str, Any]) -> None:
    visual = tower(**changes)
    assert is_plain_vit(visual)
    same(visual, lambda x: picture_features(visual, x), noise(3, 3, *visual.image_size), 1e-5)


@pytest.mark.parametrize("changes", [
    {"pool_type": "avg"}, {"attentional_pool": True, "attn_pooler_queries": 4}, {"output_tokens": True},
    {"block_type": "custom"}, {"patch_dropout": 0.5},
], ids=str)  # fmt: skip
def test_a_tower_of_another_kind_runs_its_own_code(changes: dict[str, Any]) -> None:
    visual = tower(**changes)
    assert not is_plain_vit(visual)
    pictures = noise(2, 3, 32, 32)
    torch.testing.assert_close(picture_features(visual, pictures), visual(pictures), atol=0, rtol=0)


def test_quick_gelu_is_open_clips() -> None:
    same(towers.QuickGELU(), quick_gelu, 4 * noise(5, 7), 1e-6)


def test_the_published_vit_is_a_known_tower() -> None:
    with torch.device("meta"):  # its shapes without its 350 MB
        clip = open_clip.CLIP(**open_clip.get_model_config("ViT-B-32-quickgelu"))
    assert is_plain_vit(clip.visual)


def test_folded_batch_norms_change_nothing_but_the_rounding() -> None:
    torch.manual_seed(0)
    network = timm.create_model("tf_efficientnet_lite0", pretrained=False, num_classes=0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.copy_(0.1 * noise(module.num_features, seed=1))
            module.running_var.copy_(0.5 + noise(module.num_features, seed=2).square())
            module.bias.data.copy_(0.1 * noise(module.num_features, seed=3))
    network.eval().requires_grad_(False)
    folded = copy.deepcopy(network)
    assert fold_batch_norms(folded) == 49
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    same(network, folded, noise(2, 3, 40, 40), 1e-4)


def test_nothing_is_folded_in_a_network_that_learns() -> None:
    network = timm.create_model("tf_efficientnet_lite0", pretrained=False, num_classes=0)
    assert fold_batch_norms(network.eval()) == 0
    assert fold_batch_norms(network.requires_grad_(False).train()) == 0
