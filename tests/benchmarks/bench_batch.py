"""The batch curve: steps a second, summed over the frames that go through the networks together.

    python -m tests.benchmarks.bench_batch                                    # the embedded pair
    python -m tests.benchmarks.bench_batch --true-shapes [--size 512 512] [--cutouts 32] [--device cuda]

Stills of other prompts and seeds, 1, 2, 4, ... at a time. All numbers have a turn in each round, and each is set
against one at a time in the same round, so that a machine which others use too moves them all; the median over
`--rounds` is the result. True shapes are those of bench_step. Needs neither Ray nor Prefect.
"""

from __future__ import annotations

import statistics

import open_clip
import torch

from manifests.schema import ManifestRow
from renderers.frame_plan.video_plan import VideoPlan
from renderers.frame_rendering.renderer import FrameRenderer, FrameRequest
from renderers.models import VQGAN, load_models
from renderers.registry import Registry
from tests.benchmarks.clock import Clock
from tests.benchmarks.machine import machine
from tests.benchmarks.true_shapes import (
    ARCHITECTURE,
    F16_16384,
    default_size,
    embedded_shape,
    random_models,
    shape_options,
)

PROMPTS = ("a red apple", "a fish", "a green tree", "a house")


def requests(renderer: FrameRenderer, columns: dict[str, object], number: int) -> list[FrameRequest]:
    """So many stills, all different."""
    made = []
    for seed in range(number):
        row = ManifestRow.model_validate({"video_id": "bench", "prompt": PROMPTS[seed % 4], "seed": seed, **columns})
        plan = VideoPlan.of(row, entry=renderer.models.entry)
        made.append(FrameRequest(plan, next(plan.walk()), None, {}))
    return made


def curve(renderer: FrameRenderer, columns: dict[str, object], sizes: list[int], steps: int, rounds: int) -> None:
    """Measure and print."""
    device = renderer.models.device
    work = {size: requests(renderer, {**columns, "steps_first": steps}, size) for size in sizes}
    clocks = {size: Clock(device) for size in sizes}
    for number in range(rounds + 1):
        for size in sizes:
            clocks[size].start()
            for frame in renderer.render_together(work[size]):
                if isinstance(frame, Exception):
                    raise frame
            clocks[size].stop(steps * size)
            if not number:  # caches, and on a GPU the choice of kernels
                clocks[size] = Clock(device)
    alone = clocks[sizes[0]].seconds
    for size in sizes:
        seconds, memory = clocks[size].seconds, clocks[size].memory
        ratio = statistics.median(one / many for one, many in zip(alone, seconds, strict=True))
        held = f", at most {memory / 2**30:.2f} GiB" if memory else ""
        print(f"{size} together: {1 / statistics.median(seconds):.3g} steps/s in all, {ratio:.2f} times as many as "
              f"{sizes[0]} at a time (median of {rounds} rounds){held}", flush=True)  # fmt: skip


def main() -> None:
    parser = shape_options(__doc__)
    parser.add_argument("--together", type=int, nargs="+", default=[1, 2, 4, 8], help="frames at a time")
    parser.add_argument("--steps", type=int, default=10, help="of each frame")
    parser.add_argument("--rounds", type=int, default=5)
    chosen = parser.parse_args()
    device = torch.device(chosen.device)
    print(machine() + (f", {torch.cuda.get_device_name(device)}" if device.type == "cuda" else ""), flush=True)
    how = {"threads": chosen.threads, "precision": chosen.precision, "graphs": not chosen.no_graphs}
    columns: dict[str, object] = {}
    if chosen.true_shapes:
        torch.manual_seed(0)
        models = random_models(device, vqgan=VQGAN(F16_16384), clip=open_clip.create_model(ARCHITECTURE), **how)
        width, height = chosen.size or default_size(device)
        columns = {"width": width, "height": height, "init": "tokens", "cutouts": {"number": chosen.cutouts}}
        print(f"f16 16384 + ViT-B/32, {width}x{height}, {chosen.cutouts} cutouts, random weights")
    else:
        entry = Registry().entry("embedded")
        models = load_models(entry, device=chosen.device, **how)
        print(embedded_shape())
    curve(FrameRenderer(models), columns, chosen.together, chosen.steps, chosen.rounds)


if __name__ == "__main__":
    main()
