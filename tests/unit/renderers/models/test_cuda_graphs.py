"""Recording a network and playing it: the decisions about it on a CPU, CUDA's own graphs where there is a GPU."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from renderers.models import Models, load_models
from renderers.models.kernels.cuda_graphs import Graphed
from renderers.models.vqgan.vqgan import VQGAN
from renderers.registry import ModelEntry


def function(x: Tensor) -> Tensor:
    return (x * x).sum(dim=-1).sin()


class Recorder:
    """As CUDA's: one place for the input, one for the output, overwritten by every call."""

    def __init__(self, factor: float = 1.0) -> None:
        self.factor, self.recordings, self.plays = factor, 0, 0

    def __call__(self, recorded: Callable[[Tensor], Tensor], like: Tensor) -> Callable[[Tensor], Tensor]:
        self.recordings += 1
        recorder, inside, outside = self, torch.empty_like(like), recorded(like).detach()

        class Play(torch.autograd.Function):
            @staticmethod
            def forward(ctx: Any, x: Tensor) -> Tensor:
                recorder.plays += 1
                inside.copy_(x)
                outside.copy_(recorded(inside) * recorder.factor)
                return outside.detach()

            @staticmethod
            def backward(ctx: Any, pull: Tensor) -> Tensor:
                with torch.enable_grad():
                    leaf = inside.detach().requires_grad_(True)
                    return torch.autograd.grad(recorded(leaf), leaf, pull)[0]

        return Play.apply  # type: ignore[no-any-return]


def leaf(n: int = 3, seed: int = 0) -> Tensor:
    return torch.randn(n, 5, generator=torch.Generator().manual_seed(seed)).requires_grad_(True)


def gradient(way: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    return torch.autograd.grad(way(x).square().sum(), x)[0]


def test_a_shape_is_recorded_once_and_played_with_every_input() -> None:
    recorder = Recorder()
    graphed = Graphed(function, device="cpu", recorder=recorder)
    for seed in range(4):
        x = leaf(seed=seed)
        torch.testing.assert_close(graphed(x), function(x))
        torch.testing.assert_close(gradient(graphed, x), gradient(function, x))
    assert (recorder.recordings, recorder.plays) == (1, 9)  # one of them to check the recording


def test_the_shapes_used_last_are_kept() -> None:
    recorder = Recorder()
    graphed = Graphed(function, shapes=2, device="cpu", recorder=recorder)
    for n in (1, 2, 1, 3, 1):
        gradient(graphed, leaf(n))
    assert recorder.recordings == 3
    gradient(graphed, leaf(2))
    assert recorder.recordings == 4


def test_without_a_gradient_or_on_another_device_nothing_is_recorded() -> None:
    recorder = Recorder()
    graphed = Graphed(function, device="cpu", recorder=recorder)
    with torch.no_grad():
        graphed(leaf())
    graphed(leaf().detach())
    gradient(Graphed(function, recorder=recorder), leaf())  # recorded on CUDA only
    assert recorder.recordings == 0


def test_a_result_that_was_overwritten_has_no_gradient() -> None:
    graphed = Graphed(function, device="cpu", recorder=Recorder())
    x = leaf()
    first = graphed(x).sum()
    second = graphed(x).sum()
    with pytest.raises(RuntimeError, match="called again before the gradient"):
        torch.autograd.grad(first, x)
    torch.autograd.grad(second, x)


def test_a_recording_that_fails_leaves_the_function(caplog: pytest.LogCaptureFixture) -> None:
    attempts = []

    def refuse(recorded: Callable[[Tensor], Tensor], like: Tensor) -> Callable[[Tensor], Tensor]:
        attempts.append(like.shape)
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    graphed = Graphed(function, device="cpu", recorder=refuse)
    for n in (1, 2):
        torch.testing.assert_close(gradient(graphed, leaf(n)), gradient(function, leaf(n)))
    assert len(attempts) == 1
    assert "slower: operation not permitted when stream is capturing" in caplog.text


def test_a_recording_that_plays_something_else_is_not_used(caplog: pytest.LogCaptureFixture) -> None:
    graphed = Graphed(function, device="cpu", recorder=Recorder(factor=1.1))
    torch.testing.assert_close(gradient(graphed, leaf()), gradient(function, leaf()))
    assert "plays something else, off by 10.0%" in caplog.text


def test_decoder_and_perceptor_are_played_where_graphs_are_wanted(models: Models) -> None:
    vqgan, perceptor = models.vqgan, models.perceptors[0]
    tokens = torch.randint(8, (1, 4, 4), generator=torch.Generator().manual_seed(0))

    def pull(z: Tensor) -> Tensor:
        seen = perceptor.embed_pictures(F.interpolate(vqgan.decode(z), size=perceptor.side))
        return torch.autograd.grad(seen[:, 0].sum(), z)[0]

    z = vqgan.look_up(tokens).requires_grad_(True)
    plain, recorder = pull(z), Recorder()
    try:
        for model in (vqgan, perceptor):
            model.freeze_for_rendering(torch.float32, graphs=True)
            assert model.graphed is not None
            model.graphed._device, model.graphed._recorder = "cpu", recorder
        torch.testing.assert_close(pull(z), plain)
    finally:
        for model in (vqgan, perceptor):
            model.freeze_for_rendering(torch.float32)
    assert recorder.recordings == 2


def test_a_model_that_nobody_holds_is_gone_at_once(entry: ModelEntry) -> None:
    """Without waiting for the garbage collector: on a GPU the next model needs the room."""
    models = load_models(entry, device="cpu")
    for model in (models.vqgan, *models.perceptors):
        model.freeze_for_rendering(torch.float32, graphs=True)
    parts = [weakref.ref(models.vqgan.decoder), weakref.ref(models.perceptors[0].clip.visual)]
    del models, model
    assert [part() for part in parts] == [None, None]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_a_decoder_plays_what_it_computes(models: Models) -> None:
    vqgan = VQGAN(models.vqgan.config).cuda().eval().requires_grad_(False)
    vqgan.freeze_for_rendering(torch.float32, graphs=True)
    graphed = vqgan.graphed
    assert graphed is not None
    parts = torch.nn.Sequential(vqgan.post_quant_conv, vqgan.decoder)
    for seed in range(3):
        z = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(seed)).cuda().requires_grad_(True)
        torch.testing.assert_close(gradient(graphed, z), gradient(parts, z), rtol=1e-3, atol=1e-4)
    assert not graphed._off
