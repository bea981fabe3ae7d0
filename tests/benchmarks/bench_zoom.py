"""What a long zoom does to a video, with `renew` and without.

    python -m tests.benchmarks.bench_zoom [--frames 500] [--zoom 1.02] [--steps 4] [--seeds 1 2] [--size 64]
        [--renew colours=1 noise=0.02] [--only] [--sheet zoom.png]

Chains of the embedded pair. Printed for each video, and for each fifth of it: the mean luma (BT.709, levels of 0 to
255), the sharpness (the mean length of luma's gradient, levels a pixel), and what is left of likeness (the pair's own
cosine of picture and prompt); and how far luma and sharpness go from those of the first frames, as means of 25 frames.
The first frame itself is left out: it has the steps of a still. `--sheet` writes some frames of all videos beside each
other.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from manifests.schema import ManifestRow
from renderers.frame_plan.video_plan import VideoPlan
from renderers.frame_rendering.renderer import FrameRenderer
from renderers.frame_rendering.video import render_video
from renderers.models import load_models
from renderers.registry import Registry
from tests.benchmarks.bench_handoff import similarities
from tests.benchmarks.machine import machine

PROMPTS = ("a green tree", "a red apple", "a fish", "a birthday cake")
WINDOW = 25  # frames
LUMA = np.array([0.2126, 0.7152, 0.0722])
RENEW = {"colours": "1", "colours_from": "first", "contrast": "1.04", "detail": "1"}


def luma(picture: np.ndarray) -> np.ndarray:
    """`(h, w, 3)` uint8 to `(h, w)`, in levels."""
    return picture.astype(np.float64) @ LUMA


def sharpness(picture: np.ndarray) -> float:
    """The mean length of luma's gradient, in levels a pixel."""
    down, right = np.gradient(luma(picture))
    return float(np.hypot(down, right).mean())


def windows(values: Sequence[float]) -> np.ndarray:
    """The mean of each `WINDOW` values, one after the other; what is left over at the end is left out."""
    whole = len(values) // WINDOW * WINDOW
    return np.array(values[:whole]).reshape(-1, WINDOW).mean(axis=1)


def rendered(renderer: FrameRenderer, columns: Mapping[str, Any]) -> list[np.ndarray]:
    """The pictures of a chain."""
    plan = VideoPlan.of(ManifestRow.model_validate(columns), entry=renderer.models.entry)
    return [frame.rendered.frame.picture for frame in render_video(renderer, plan, {})]


def tell(label: str, pictures: list[np.ndarray], likeness: list[float], seconds: float) -> tuple[float, float]:
    """Print what became of a video; gives how far luma went, in levels, and sharpness, as a share."""
    brightness, sharp = ([measure(it) for it in pictures[1:]] for measure in (lambda it: luma(it).mean(), sharpness))
    lumas, edges = windows(brightness), windows(sharp)
    far_luma, far_edges = np.abs(lumas - lumas[0]).max(), np.abs(edges / edges[0] - 1).max()
    fifths = np.array_split(np.arange(1, len(pictures)), 5)
    parts = "; ".join(
        f"{np.mean([brightness[i - 1] for i in part]):5.1f} {np.mean([sharp[i - 1] for i in part]):5.2f} "
        f"{np.mean([likeness[i] for i in part]):.3f}"
        for part in fifths
    )
    print(f"  {label:<8} luma, sharpness, likeness by fifths: {parts}", flush=True)
    print(f"  {'':<8} farthest from the first {WINDOW} frames: luma {far_luma:.1f} levels, sharpness {far_edges:.0%}; "
          f"{seconds:.0f} s", flush=True)  # fmt: skip
    return float(far_luma), float(far_edges)


def main() -> None:
    """Read the arguments and print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=500)
    parser.add_argument("--zoom", type=float, default=1.02)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--renew", nargs="*", default=[f"{name}={value}" for name, value in RENEW.items()])
    parser.add_argument("--only", action="store_true", help="with renew alone")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--sheet", type=Path)
    given = parser.parse_args()
    renew = dict(item.split("=", 1) for item in given.renew)
    print(machine())
    print(
        f"{given.frames} frames, zoom {given.zoom:g}, {given.steps} steps, {given.size} px; renew {renew}", flush=True
    )
    renderer = FrameRenderer(load_models(Registry().entry("embedded"), device=given.device, threads=1))
    rows: list[np.ndarray] = []
    far: dict[str, list[tuple[float, float]]] = {}
    for seed, prompt in zip(given.seeds, PROMPTS * len(given.seeds), strict=False):
        print(f"'{prompt}', seed {seed}")
        columns = {
            "video_id": "v", "prompt": prompt, "frames": given.frames, "seed": seed, "width": given.size,
            "height": given.size, "zoom": given.zoom, "steps": given.steps, "handoff": "chain", "upscale": 1,
        }  # fmt: skip
        for label, more in (("without", {}), ("with", {"renew": renew})):
            if given.only and label == "without":
                continue
            began = time.perf_counter()
            pictures = rendered(renderer, columns | more)
            likeness = similarities(renderer.models, pictures, prompt)
            far.setdefault(label, []).append(tell(label, pictures, likeness, time.perf_counter() - began))
            shown = np.linspace(0, given.frames - 1, 11).round().astype(int)
            rows.append(np.concatenate([pictures[index] for index in shown], axis=1))
    for label, found in far.items():
        lumas, edges = zip(*found, strict=True)
        print(f"{label}: at most {max(lumas):.1f} levels of luma and {max(edges):.0%} of sharpness; "
              f"means {np.mean(lumas):.1f}, {np.mean(edges):.0%}", flush=True)  # fmt: skip
    if given.sheet is not None:
        sheet = Image.fromarray(np.concatenate(rows))
        sheet.resize((sheet.width * 2, sheet.height * 2), Image.Resampling.NEAREST).save(given.sheet)


if __name__ == "__main__":
    main()
