"""One long video on many actors: how much faster, and how its seams score.

    python -m tests.benchmarks.bench_handoff speed [--frames 480] [--actors 1 2 4 8] [--step-seconds 0.02]
    python -m tests.benchmarks.bench_handoff seams [--frames 97] [--every 8] [--seeds 1 2]
    python -m tests.benchmarks.bench_handoff loops [--frames 72] [--every 8] [--seeds 1 2]

`speed` renders a video with keyframes on actors whose steps only sleep (see tests/benchmarks/simulated.py), through the
real flow and its Prefect server, and one chain of as many frames on one actor. Two ratios: against one actor with
the same keyframes, and against the chain, which has fewer steps to do (far keyframes have three times as many). The
first frame has as many steps as the others: 300, which one actor alone can render, would be counted against every
number of actors.

`seams` renders chains and videos with keyframes with the embedded pair at 64 px, for real, and prints the seam scores:
the change at a seam (after the camera's move is undone) over the median change of all other pairs of that video, and
over that of the chain. For the chain the same pairs are scored, so that the figure says what no seam at all scores.
Beside them the pair's own similarity of picture and prompt, of all frames and of the last third: keyframes that leap
badly lose what they should show, and a video of nothing has no seams.

`loops` scores the one seam of a loop, from its last frame to its first, as a chain and with keyframes.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from manifests.schema import ManifestRow
from renderers.frame_plan.video_plan import VideoPlan
from renderers.frame_rendering.renderer import FrameRenderer, RenderedFrame
from renderers.frame_rendering.seams import seam_scores
from renderers.frame_rendering.warp import frame_change
from renderers.models import Models, load_models
from renderers.registry import Registry
from tests.benchmarks.machine import machine

STEPS = 10


def speed(frames: int, actors: list[int], step_seconds: float, every: int) -> None:
    """Print how many times as fast so many actors are as one."""
    from tests.benchmarks.simulated import run

    def seconds(handoff: str, number: int) -> float:
        columns: dict[str, Any] = {"frames": frames, "steps": STEPS, "steps_first": STEPS, "width": 64, "height": 64}
        row = ManifestRow(video_id="v", prompt="a reef", handoff=handoff, keyframe_every=every, upscale=1, **columns)  # type: ignore[arg-type]
        with tempfile.TemporaryDirectory(prefix="nightreel-bench-") as folder:
            return run([row], Path(folder), number, step_seconds, chunk_seconds=120).seconds

    chain = seconds("chain", 1)
    print(f"chain, 1 actor: {chain:.1f} s", flush=True)
    alone = seconds("keyframes", 1)
    for number in actors:
        took = alone if number == 1 else seconds("keyframes", number)
        print(f"keyframes, {number} actors: {took:.1f} s, {alone / took:.2f} times as fast as one actor, "
              f"{chain / took:.2f} times as fast as the chain", flush=True)  # fmt: skip


def render(renderer: FrameRenderer, plan: VideoPlan) -> list[np.ndarray]:
    """All pictures of a video, in order."""
    frames = {frame.index: frame for frame in plan.walk()}
    done: dict[int, RenderedFrame] = {}
    for place in plan.places():
        parent = None if place.start is None else done[place.start].frame.state
        towards = None if place.target_frame is None else done[place.target_frame].frame.state
        done[place.index] = renderer.render(plan, frames[place.index], parent, {}, target_state=towards)
    return [done[index].frame.picture for index in range(plan.frames)]


def similarities(models: Models, pictures: list[np.ndarray], prompt: str) -> list[float]:
    """The cosine of each picture and the prompt, to the perceptor that drew them, with no augmentation."""
    perceptor = models.perceptors[0]
    batch = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 255
    with torch.no_grad():
        seen = perceptor.embed_pictures(F.interpolate(batch, size=perceptor.side, mode="bilinear", antialias=True))
        return (seen @ perceptor.embed_texts([prompt])[0]).tolist()


def seams(frames: int, every: int, seeds: list[int], sheet: Path | None) -> None:
    """Print the scores of all seams."""
    renderer = FrameRenderer(load_models(Registry().entry("embedded"), device="cpu", threads=1))
    for seed, (prompt, camera) in zip(seeds, CAMERAS * len(seeds), strict=False):
        columns: dict[str, Any] = {
            "prompt": prompt,
            "frames": frames,
            "seed": seed,
            "width": 64,
            "height": 64,
            **camera,
        }
        columns |= {"steps": 8, "steps_first": 60, "keyframe_every": every}
        plans = {
            handoff: VideoPlan.of(
                ManifestRow(video_id="v", handoff=handoff, **columns),  # type: ignore[arg-type]
                entry=renderer.models.entry,
            )
            for handoff in ("chain", "keyframes")
        }
        places = {place.index: place for place in plans["keyframes"].places()}
        marked = {"far": [i for i, p in places.items() if p.level == 0 and i],
                  "near": [i for i, p in places.items() if p.level == 1]}  # fmt: skip
        usual = 0.0
        for handoff, plan in plans.items():
            began = time.perf_counter()
            pictures = render(renderer, plan)
            changes = {i: frame_change(pictures[i - 1], pictures[i], plan.camera(i)) for i in range(1, frames)}
            # the frames after a cold start still change much; what they do says nothing of seams
            changes = {index: change for index, change in changes.items() if index > every}
            every_seam = sorted({*marked["far"], *marked["near"]})
            scores = seam_scores(changes, every_seam)
            usual = usual or statistics.median(changes.values())
            text = ", ".join(_text(name, [scores[i] for i in some if i in scores]) for name, some in marked.items())
            over = [changes[i] / usual for i in every_seam if i in changes]
            seconds, alike = time.perf_counter() - began, similarities(renderer.models, pictures, prompt)
            print(f"'{prompt}', seed {seed}, {handoff}: {text}; over the chain's usual change "
                  f"{statistics.median(over):.2f}, at most {max(over):.2f}; similarity {statistics.mean(alike):.3f}, "
                  f"last third {statistics.mean(alike[-(frames // 3):]):.3f}; {seconds:.0f} s", flush=True)  # fmt: skip
            if sheet is not None:
                rows = [np.concatenate(pictures[i : i + 12], axis=1) for i in range(0, frames - frames % 12, 12)]
                Image.fromarray(np.concatenate(rows)).save(sheet.with_stem(f"{sheet.stem}-{handoff}-{seed}"))


def loops(frames: int, every: int, seeds: list[int]) -> None:
    """Print how the seams of loops score, and how much the frames change that lead there."""
    renderer = FrameRenderer(load_models(Registry().entry("embedded"), device="cpu", threads=1))
    for seed, (prompt, camera) in zip(seeds, CAMERAS * len(seeds), strict=False):
        for handoff in ("chain", "keyframes"):
            columns: dict[str, Any] = {
                "prompt": prompt,
                "frames": frames,
                "seed": seed,
                "keyframe_every": every,
                **camera,
            }
            columns |= {"width": 64, "height": 64, "steps": 8, "steps_first": 60, "handoff": handoff, "loop": True}
            plan = VideoPlan.of(ManifestRow(video_id="v", **columns), entry=renderer.models.entry)
            pictures = render(renderer, plan)
            changes = {
                index: frame_change(pictures[index - 1], pictures[index % frames], plan.camera(index))
                for index in range(every + 1, frames + 1)
            }
            score = seam_scores(changes, [frames])[frames]
            back = [changes[index] for index in range(frames - plan.closing + 1, frames)]
            median = statistics.median(back)
            print(f"'{prompt}', seed {seed}, {handoff}: seam {score:.2f}, {changes[frames]:.1f} levels; on the way "
                  f"back {median:.1f} in the median, at most {max(back):.1f}", flush=True)  # fmt: skip


CAMERAS: list[tuple[str, dict[str, str]]] = [
    ("a red apple", {"zoom": "1.02", "angle": "1"}),
    ("a green tree", {"zoom": "1.03", "angle": "-2"}),
    ("a fish", {"zoom": "0.99", "translate_x": "1"}),
]


def _text(name: str, scores: list[float]) -> str:
    return f"{name} seams {statistics.median(scores):.2f} (median), at most {max(scores):.2f}" if scores else name


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_subparsers(dest="what", required=True)
    fast, joins, rings = what.add_parser("speed"), what.add_parser("seams"), what.add_parser("loops")
    fast.add_argument("--frames", type=int, default=480)
    fast.add_argument("--actors", type=int, nargs="+", default=[1, 2, 4, 8])
    fast.add_argument("--step-seconds", type=float, default=0.02)
    joins.add_argument("--frames", type=int, default=97)
    joins.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    joins.add_argument("--sheet", type=Path, help="a picture of all frames, for each video")
    rings.add_argument("--frames", type=int, default=72)
    rings.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    for part in (fast, joins, rings):
        part.add_argument("--every", type=int, default=ManifestRow.model_fields["keyframe_every"].default)
    chosen = parser.parse_args()
    print(machine())
    if chosen.what == "speed":
        from flows.local.own_server import prefect_server

        with prefect_server("flows.orchestration.run"):
            speed(chosen.frames, chosen.actors, chosen.step_seconds, chosen.every)
    elif chosen.what == "loops":
        loops(chosen.frames, chosen.every, chosen.seeds)
    else:
        seams(chosen.frames, chosen.every, chosen.seeds, chosen.sheet)


if __name__ == "__main__":
    main()
