"""The fused norm's kernels: by Triton's own interpreter where there is no GPU, and on the GPU where there is one."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from renderers.models.kernels.norms import fusable, kernels_work, normalise
from tests.helpers.root import ROOT

CASES = """
import torch, torch.nn.functional as F
from renderers.models.kernels.triton_norms import fused_norm
chance = torch.Generator().manual_seed(0)
def noise(*shape): return torch.randn(shape, generator=chance)
for dtype, tolerance in ((torch.float32, 2e-6), (torch.bfloat16, 6e-3)):
    for (b, c, h, w), groups in (((2, 32, 18, 16), 8), ((1, 64, 5, 3), 32), ((1, 16, 70, 70), 1)):
        for silu in (True, False):
            x = (noise(b, c, h, w) * 2 + 0.7).to(dtype).contiguous(memory_format=torch.channels_last).requires_grad_()
            weight, bias, pull = noise(c).to(dtype), noise(c).to(dtype), noise(b, c, h, w).to(dtype)
            y = fused_norm(x, weight, bias, groups, 1e-6, silu)
            assert y.is_contiguous(memory_format=torch.channels_last) and y.dtype == dtype
            (gradient,) = torch.autograd.grad(y, x, pull)
            exact = x.detach().double().requires_grad_()
            z = F.group_norm(exact, groups, weight.double(), bias.double(), 1e-6)
            z = F.silu(z) if silu else z
            (wanted,) = torch.autograd.grad(z, exact, pull.double())
            for name, found, right in (("value", y, z), ("gradient", gradient, wanted)):
                off = float((found - right).abs().max() / right.abs().max())
                assert off < tolerance, (name, dtype, c, silu, off)
print("all equal")
"""


def test_the_kernels_compute_norm_and_activation_and_their_gradient() -> None:
    pytest.importorskip("triton")
    # read when a kernel is defined, hence a process of its own
    environment = os.environ | {"TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", CASES], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "all equal", done.stderr


def test_only_what_the_kernels_know_goes_to_them() -> None:
    def case(channels: int = 32, groups: int = 8, *, last: bool = True, frozen: bool = True) -> bool:
        layout = torch.channels_last if last else torch.contiguous_format
        norm = nn.GroupNorm(groups, channels).requires_grad_(not frozen)
        return fusable(torch.zeros(2, channels, 4, 4).contiguous(memory_format=layout), norm)

    assert case()
    assert not case(channels=24)
    assert not case(channels=24, groups=3)
    assert not case(last=False)
    assert not case(frozen=False)


def test_where_the_kernels_do_not_run_the_plain_way_is_taken(caplog: pytest.LogCaptureFixture) -> None:
    kernels_work.cache_clear()
    assert not kernels_work(torch.device("cpu"))  # Triton has no CPU
    assert "PyTorch's own are slower" in caplog.text
    kernels_work.cache_clear()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("channels", [64, 128, 256, 512])
def test_on_a_gpu_the_fused_norm_is_pytorchs(channels: int) -> None:
    assert kernels_work(torch.device("cuda", torch.cuda.current_device()))
    norm = nn.GroupNorm(32, channels, eps=1e-6).cuda().requires_grad_(False)
    x = torch.randn(2, channels, 33, 47, device="cuda").contiguous(memory_format=torch.channels_last).requires_grad_()
    pull = torch.randn_like(x)
    ways = (normalise(x, norm), F.silu(norm(x)))
    results = [(y.detach(), *torch.autograd.grad((y * pull).sum(), x)) for y in ways]
    torch.testing.assert_close(results[0], results[1], atol=1e-4, rtol=1e-4)
