"""Seconds per step, against the peer in the same run, and as a share of this machine's matrix rate.

    python -m tests.benchmarks.bench_step                                        # the embedded pair
    python -m tests.benchmarks.bench_step --true-shapes [--size 512 512] [--cutouts 32] [--device cuda]
    python -m tests.benchmarks.bench_step --true-shapes --peer CHECKOUT --peer-packages FOLDER

True shapes are imagenet f16 16384 with ViT-B/32 on random weights: 256x256 where there is no GPU, 512x512 where there
is one, as the peer chooses. With `--peer`, a checkout of github.com/nerdyrodent/VQGAN-CLIP, its own unmodified code
runs on the same weights in the same process, in turns with ours: some steps of it, some of ours, `--runs` times. Each
of our turns is set against the peer's before and after it, and the median of these ratios is the result, so that a
machine which others use too moves both sides. The peer needs kornia, which this project does without:

    pip install --target FOLDER --no-deps kornia kornia_rs

FLOPs are those that our step executes (forward and backward, counted by PyTorch), the limit is a large matrix product
in the step's own precision on the same threads, in the same run. Needs neither Ray nor Prefect. Results are kept in
infra/docs/step.md.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import open_clip
import torch
from torch.utils.flop_counter import FlopCounterMode

from manifests.schema import ManifestRow
from renderers.frame_plan.video_plan import VideoPlan
from renderers.frame_rendering.renderer import FrameRenderer, StepProgress
from renderers.models import VQGAN, Perceptor, load_models
from renderers.models.kernels.cuda_graphs import Graphed
from renderers.registry import Registry
from tests.benchmarks.clock import Clock, Measured, against_neighbours
from tests.benchmarks.machine import machine
from tests.benchmarks.peer import PeerMissing, run_peer
from tests.benchmarks.true_shapes import (
    ARCHITECTURE,
    F16_16384,
    default_size,
    embedded_shape,
    random_models,
    shape_options,
)

PROMPT = "a red apple"


class Ours:
    """Our renderer, `steps` of which are one turn. A turn is a frame's loop: what follows it (a last decode, the
    packing of the state) is left out, what precedes it (the look-up of random codes) is not."""

    class _LoopDone(Exception): ...

    def __init__(self, renderer: FrameRenderer, row: ManifestRow, steps: int) -> None:
        self.renderer, self.steps = renderer, steps
        self.plan = VideoPlan(row.model_copy(update={"steps_first": steps}), renderer.models.entry, {})
        self.clock = Clock(renderer.models.device)

    def loop(self) -> None:
        """The steps of a frame, and no more: the last one's report, which waits for the device, ends it."""

        def end(at: StepProgress) -> None:
            if at.step == self.steps:
                raise self._LoopDone

        with suppress(self._LoopDone):
            self.renderer.render(self.plan, next(self.plan.walk()), None, {}, on_step=end)

    def turn(self) -> None:
        self.clock.start()
        self.loop()
        self.clock.stop(self.steps)

    def flops(self) -> float:
        """FLOPs of one step; what a frame does before it (random codes are looked up, texts are known) has none."""
        one, models = Ours(self.renderer, self.plan.row, 1), self.renderer.models
        recorded: list[tuple[VQGAN | Perceptor, Graphed | None]] = [
            (model, model.graphed) for model in (models.vqgan, *models.perceptors)
        ]
        for model, _ in recorded:
            model.graphed = None  # nothing counts what a recording plays
        with FlopCounterMode(display=False) as counter:
            one.loop()
        for model, graphed in recorded:
            model.graphed = graphed
        return float(counter.get_total_flops())


def matrix_rate(device: torch.device, dtype: torch.dtype) -> float:
    """FLOP/s of a large matrix product in `dtype`, the best of five."""
    side, products = (2048, 1) if device.type == "cpu" else (8192, 10)
    a = torch.randn(side, side, device=device).to(dtype)
    best = float("inf")
    for _ in range(5):
        clock = Clock(device)
        clock.start()
        for _ in range(products):
            a @ a
        clock.stop(products)
        best = min(best, clock.seconds[0])
    return 2 * side**3 / best


def embedded(steps: int, runs: int) -> Ours:
    """The embedded pair at its defaults, measured."""
    row = VideoPlan.of(
        ManifestRow(video_id="bench", prompt=PROMPT, init="tokens"), entry=Registry().entry("embedded")
    ).row
    ours = Ours(FrameRenderer(load_models(Registry().entry("embedded"), device="cpu")), row, steps)
    ours.loop()
    for _ in range(runs):
        ours.turn()
    return ours


def true_shapes(chosen: argparse.Namespace, device: torch.device) -> tuple[Ours, Measured | None]:
    """f16 16384 and ViT-B/32 on random weights; the peer beside it, if one was given."""
    torch.manual_seed(0)
    vqgan, clip = VQGAN(F16_16384), open_clip.create_model(ARCHITECTURE)
    # copies: what we load is ours to lay out
    states = [{k: v.clone() for k, v in m.state_dict().items()} for m in (vqgan, clip)] if chosen.peer else []
    models = random_models(
        device, threads=chosen.threads, precision=chosen.precision, graphs=not chosen.no_graphs, vqgan=vqgan, clip=clip
    )
    width, height = chosen.size
    row = ManifestRow.model_validate({
        "video_id": "bench", "prompt": PROMPT, "width": width, "height": height, "init": "tokens",
        "cutouts": {"number": chosen.cutouts},
    })  # fmt: skip
    ours = Ours(FrameRenderer(models), row, chosen.steps)
    ours.loop()  # caches, and on a GPU the choice of kernels
    if not chosen.peer:
        for _ in range(chosen.runs):
            ours.turn()
        return ours, None

    theirs, done = Clock(device), 0

    def turns() -> None:
        """Called after each of the peer's steps: its first turn is not counted."""
        nonlocal done
        done += 1
        if done % chosen.steps:
            return
        if done > chosen.steps:
            theirs.stop(chosen.steps)
            text = f"{theirs.seconds[-1]:.4g} s the peer's step"
            if len(theirs.seconds) <= chosen.runs:
                ours.turn()
                text += f", {ours.clock.seconds[-1]:.4g} s ours"
            print(f"  turn {len(theirs.seconds)}: {text} (load {os.getloadavg()[0]:.1f})", file=sys.stderr, flush=True)
        theirs.start()

    with tempfile.TemporaryDirectory() as scratch:
        run_peer(
            chosen.peer, vqgan=(F16_16384, states[0]), clip=(ARCHITECTURE, states[1]), device=device,
            size=(width, height), cutouts=chosen.cutouts, steps=chosen.steps * (chosen.runs + 2), prompt=PROMPT,
            output=Path(scratch, "output.png"), on_step=turns,
        )  # fmt: skip
    return ours, theirs.measured()


def report(name: str, ours: Ours, peer: Measured | None) -> str:
    """What was measured, as text."""
    models, mine = ours.renderer.models, ours.clock.measured()
    flops, rate = ours.flops(), matrix_rate(models.device, models.vqgan.dtype)
    lines = [
        f"{name}, {str(models.vqgan.dtype).removeprefix('torch.')}, {ours.steps} steps a turn",
        f"ours: {mine}",
        f"ours: {flops / 1e12:.4g} TFLOP a step, {flops / mine.median / 1e9:,.1f} GFLOP/s = "
        f"{flops / mine.median / rate:.0%} of the {rate / 1e9:,.0f} GFLOP/s of a matrix product",
    ]
    if peer is not None:
        ratios = against_neighbours(peer.seconds, mine.seconds)
        lines += [
            f"peer: {peer}" + ("" if peer.memory is None else " (with our weights beside it)"),
            f"ratio: {statistics.median(ratios):.2f} times the peer's steps/s, median of {len(ratios)} turns "
            f"({', '.join(f'{ratio:.2f}' for ratio in ratios)})",
        ]
    if peer is not None and peer.memory is None:
        worked = against_neighbours(peer.worked, mine.worked)
        lines.append(
            f"ratio of processor time, which hardly minds what else runs: {statistics.median(worked):.2f} "
            f"({', '.join(f'{ratio:.2f}' for ratio in worked)})"
        )
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    parser = shape_options(__doc__)
    parser.add_argument("--steps", type=int, help="of each turn (default 20; of true shapes on a CPU 1)")
    parser.add_argument("--runs", type=int, default=5, help="turns of each side")
    parser.add_argument("--peer", type=Path, metavar="CHECKOUT", help="of nerdyrodent/VQGAN-CLIP, run beside ours")
    parser.add_argument("--peer-packages", type=Path, metavar="FOLDER", help="where kornia is, if not installed")
    parser.add_argument("--record", type=Path, metavar="FILE", help="add the result to this text file")
    chosen = parser.parse_args(arguments)
    device = torch.device(chosen.device)
    chosen.size = chosen.size or default_size(device)
    chosen.steps = chosen.steps or (1 if chosen.true_shapes and device.type == "cpu" else 20)
    torch.set_num_threads(chosen.threads)
    if chosen.peer_packages:
        sys.path.append(str(chosen.peer_packages))
    where = machine() + (f", {torch.cuda.get_device_name(device)}" if device.type == "cuda" else "")
    print(where, flush=True)
    try:
        if chosen.true_shapes:
            shape = f"f16 16384 + ViT-B/32, {chosen.size[0]}x{chosen.size[1]}, {chosen.cutouts} cutouts, random weights"
            ours, peer = true_shapes(chosen, device)
        else:
            shape, (ours, peer) = embedded_shape(), (embedded(chosen.steps, chosen.runs), None)
    except PeerMissing as error:
        parser.error(str(error))
    threads = f", {chosen.threads} threads" if device.type == "cpu" else ""
    text = report(f"{shape}, {device.type}{threads}", ours, peer)
    print(text)
    if chosen.record:
        with chosen.record.open("a", encoding="utf-8") as file:
            file.write(
                f"\n## {datetime.now(UTC):%Y-%m-%d %H:%M} UTC\n\n{where}; load at the end {os.getloadavg()[0]:.1f}\n\n"
            )
            file.write("".join(f"- {line}\n" for line in text.splitlines()))


def test_step() -> None:
    """For `make bench`."""
    print(f"\n{machine()}")
    ours = embedded(20, 5)
    print(report(embedded_shape(), ours, None))
    assert ours.clock.measured().median > 0


if __name__ == "__main__":
    main()
