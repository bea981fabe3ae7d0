"""Seconds per step, and the share of this machine's matrix rate that a step reaches.

    python -m tests.benchmarks.bench_step [--true-shapes] [--steps N] [--runs N]

FLOPs are counted by PyTorch's own counter over a step (forward and backward); the limit is a large float32 matrix
product on the same threads, in the same run. `--true-shapes` adds imagenet f16 16384 with ViT-B/32 at 256x256 and 32
cutouts, random weights, some ten seconds a step and two minutes in all on two cores. The embedded pair runs on one
thread, as in an actor, the true shapes on all cores.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from itertools import pairwise

import open_clip
import torch
from torch.utils.flop_counter import FlopCounterMode

from manifests.schema import ManifestRow
from renderers.frame_renderer import FrameRenderer, StepProgress
from renderers.models import VQGAN, Models, Perceptor, VQGANConfig, load_models
from renderers.plan import VideoPlan
from renderers.registry import model_entry
from tests.benchmarks.machine import machine


def matrix_rate(device: torch.device) -> float:
    """FLOP/s of a large float32 matrix product, the best of five."""
    side = 2048
    a = torch.randn(side, side, device=device)
    best = float("inf")
    for _ in range(5):
        began = time.perf_counter()
        (a @ a)[0, 0].item()
        best = min(best, time.perf_counter() - began)
    return 2 * side**3 / best


def measure(name: str, renderer: FrameRenderer, plan: VideoPlan, runs: int) -> float:
    """Print the figures of one model; returns the median seconds per step.

    A step is timed from one report of progress to the next, so what a frame costs besides its steps (the start, the
    last decode) is left out; the first step of a run, which warms caches, is left out too.
    """
    frame = next(plan.walk())
    reached: list[tuple[int, float]] = []
    with FlopCounterMode(display=False) as counter:
        renderer.render(plan, frame, None, {}, on_step=lambda at: reached.append((at.step, counter.get_total_flops())))
    flops = (reached[-1][1] - reached[0][1]) / (reached[-1][0] - reached[0][0])
    seconds: list[float] = []
    for _ in range(runs):
        told: list[StepProgress] = []
        renderer.render(plan, frame, None, {}, on_step=told.append)
        seconds += [(after.seconds - before.seconds) / (after.step - before.step) for before, after in pairwise(told)]
    median = statistics.median(seconds)
    rate = matrix_rate(renderer.models.device)
    threads = torch.get_num_threads()
    print(
        f"{name}: {median:.3f} s a step (median of {len(seconds)} steps in {runs} runs, {min(seconds):.3f} to "
        f"{max(seconds):.3f}; {threads} threads), {flops / 1e9:.1f} GFLOP a step, {flops / median / 1e9:.1f} GFLOP/s = "
        f"{flops / median / rate:.0%} of the {rate / 1e9:.0f} GFLOP/s of a matrix product on the same threads",
        flush=True,
    )
    return median


def embedded(steps: int, runs: int) -> float:
    """The embedded pair at its defaults."""
    renderer = FrameRenderer(load_models(model_entry("embedded")))
    row = ManifestRow(video_id="bench", prompt="a red apple", steps_first=steps)
    return measure("embedded, 64x64, 16 cutouts", renderer, VideoPlan.of(row), runs)


def true_shapes(steps: int, runs: int) -> float:
    """imagenet f16 16384 and ViT-B/32 with random weights, 256x256, 32 cutouts (PEERS: 10.4-10.7 s a step)."""
    shape = {
        "z_channels": 256, "resolution": 256, "ch": 128, "ch_mult": (1, 1, 2, 2, 4), "num_res_blocks": 2,
        "attn_resolutions": (16,),
    }  # fmt: skip
    config = VQGANConfig.model_validate({"embed_dim": 256, "n_embed": 16384, "ddconfig": shape})
    vqgan = VQGAN(config).eval().requires_grad_(False)
    clip = open_clip.create_model("ViT-B-32-quickgelu")
    perceptor = Perceptor(clip, open_clip.get_tokenizer("ViT-B-32-quickgelu")).eval().requires_grad_(False)
    entry = model_entry("embedded").model_copy(update={"concepts": (), "downsampling": 16, "defaults": {}})
    threads = torch.get_num_threads()
    renderer = FrameRenderer(Models(entry, vqgan, (perceptor,), torch.device("cpu"), threads))
    row = ManifestRow(video_id="bench", prompt="a red apple", width=256, height=256, steps_first=steps)
    plan = VideoPlan(row, entry, {})
    return measure("f16 16384 + ViT-B/32, 256x256, 32 cutouts, random weights", renderer, plan, runs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--true-shapes", action="store_true", help="the big shapes too")
    parser.add_argument("--steps", type=int, default=20, help="of each run, at least 2 (11 on a GPU)")
    parser.add_argument("--runs", type=int, default=5)
    chosen = parser.parse_args()
    print(machine())
    embedded(chosen.steps, chosen.runs)
    if chosen.true_shapes:
        torch.set_num_threads(os.cpu_count() or 1)
        true_shapes(3, 2)


def test_step() -> None:
    """For `make bench`."""
    print(f"\n{machine()}")
    assert embedded(20, 5) > 0


if __name__ == "__main__":
    main()
