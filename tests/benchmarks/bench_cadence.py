"""What a cadence would look like, which is not there yet: every second or third frame drawn, those between cross-faded.

    python -m tests.benchmarks.bench_cadence [--frames 31] [--zoom 1.02] [--angle 1]

A drawn frame starts from the drawn one before, moved in one leap; those between are frames of a gap between keyframes,
of 0 or 4 steps. `ripple` is the amplitude of the frames' sharpness at the cadence's frequency, over its mean. `settled`
frames went through the encoder once more, as keyframes do. Frames drawn one by one are the yardstick.
"""

from __future__ import annotations

import argparse
from dataclasses import replace

import numpy as np
import torch

from manifests.schema import ManifestRow
from renderers.frame_plan.frame_plan import FramePlan
from renderers.frame_plan.handoff import Place
from renderers.frame_plan.video_plan import VideoPlan
from renderers.frame_rendering.renderer import FrameRenderer
from renderers.frame_rendering.scores import sharpness_of
from renderers.frame_rendering.state import FrameState
from renderers.models import decode_tokens, load_models
from renderers.registry import Registry

VIDEOS = (("a birthday cake", 3), ("a red apple", 1))
BEGINNING = 6  # frames, which are still on their way from the first one's sharpness


def sharpnesses(renderer: FrameRenderer, plan: VideoPlan, cadence: int, steps: int, *, settled: bool) -> np.ndarray:
    """Of the frames of a video up to its last drawn one."""
    frames, path, states = plan.frame_plans, plan.camera_path, dict[int, FrameState]()
    for index in range(0, plan.frames, cadence):
        frame = frames[index]
        if index:
            place = Place(index, index - cadence, level=0 if settled else 2)
            frame = replace(frame, place=place, motion=path.through(index - cadence, index))
        states[index] = renderer.render(plan, frame, states.get(index - cadence), {}).frame.state
    last = max(states)
    for right in range(cadence, last + 1, cadence):
        for index in range(right - cadence + 1, right):
            frame = replace(
                frames[index], place=Place(index, index - 1, right - cadence, right), steps=max(1, steps),
                target_digest=frames[right].digest, target_motion=path.back(index, right),
            )  # fmt: skip
            states[index] = between(renderer, plan, frame, states, steps)
    vqgan = renderer.models.vqgan
    return np.array([sharpness_of(decode_tokens(vqgan, states[index].tokens)) for index in range(last + 1)])


def between(
    renderer: FrameRenderer, plan: VideoPlan, frame: FramePlan, states: dict[int, FrameState], steps: int
) -> FrameState:
    """A frame of a gap; of no steps it is what it starts from, the cross-fade of both moved pictures."""
    before, ahead = states[frame.index - 1], states[frame.target_frame or 0]
    if steps:
        return renderer.render(plan, frame, before, {}, target_state=ahead).frame.state
    with torch.no_grad():
        tokens = renderer.models.vqgan.tokenise(renderer.starts.warm(plan, frame, before, ahead).latent)
    return replace(before, tokens=tokens.to(before.tokens.dtype))


def ripple(values: np.ndarray, cadence: int) -> float:
    """The amplitude of `values` at the frequency of the cadence, over their mean."""
    values = values[: len(values) // cadence * cadence]
    turned = (values - values.mean()) * np.exp(-2j * np.pi * np.arange(len(values)) / cadence)
    return float((1 if cadence == 2 else 2) * abs(turned.mean()) / values.mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=31)
    parser.add_argument("--zoom", default="1.02")
    parser.add_argument("--angle", default="1")
    asked = parser.parse_args()
    entry = Registry().entry("embedded")
    renderer = FrameRenderer(load_models(entry, device="cpu"))
    print("video            cadence  steps  settled  ripple  sharpness")
    for prompt, seed in VIDEOS:
        row = ManifestRow(
            video_id="reef", prompt=prompt, seed=seed, frames=asked.frames, zoom=asked.zoom, angle=asked.angle,
            handoff="chain",
        )  # fmt: skip
        plan = VideoPlan.of(row, entry=entry)
        drawn = sharpnesses(renderer, plan, 1, 0, settled=False)[BEGINNING:]
        for cadence in (2, 3):
            print(f"{prompt:16} {cadence:7}  every frame drawn {ripple(drawn, cadence):7.1%} {drawn.mean():10.0f}")
            for steps, settled in ((0, False), (0, True), (4, True)):
                found = sharpnesses(renderer, plan, cadence, steps, settled=settled)[BEGINNING:]
                shown = f"{ripple(found, cadence):7.1%} {found.mean():10.0f}"
                print(f"{prompt:16} {cadence:7} {steps:6}  {settled!s:7} {shown}", flush=True)


if __name__ == "__main__":
    main()
