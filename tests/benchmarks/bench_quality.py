"""Time to equal judged quality: the embedded model's own way of drawing against VQGAN-CLIP's with its defaults.

    python -m tests.benchmarks.bench_quality SPRITES WORK [--skip 40] [--prompts 20] [--seeds 0] [--times 1 4]

Both draw `--prompts` of the fixed evaluation prompts, after the first `--skip`, with the same weights, size and
renderer, on one thread a process. "Ours" are the defaults of the registry's entry. "Theirs" are the defaults of
nerdyrodent/VQGAN-CLIP, which are the schema's: 32 cutouts of its augmentations, Adam at a constant 0.1, random tokens
to begin with, no noise and no contrast; with as many steps as take 1, 4, ... times as long as ours (measured
beforehand, in the same process), and with its own 500 if asked for (`--whole`). The pictures are judged by the judge of
`nightreel models eval embedded --sprites SPRITES --work WORK`, which has no part in making them.

The claim "n times less time to equal quality" holds where theirs at n times the time is not judged better than ours.
Shares of first places are coarse; the mean place (geometric, among the judge's concepts) tells more of each picture,
and is compared prompt by prompt.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import statistics
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch

from renderers.evaluation.evaluation import EvaluationSettings, fitted_judge
from renderers.evaluation.prompts import load_prompts
from renderers.evaluation.recognition import Variant, read_pictures, render_picture, start_rendering
from renderers.evaluation.results import Recognition, judged, recognition
from renderers.registry import ModelEntry, Registry
from tests.benchmarks.machine import machine

TRIAL_STEPS = 10
PEER_STEPS = 500


def theirs(entry: ModelEntry, steps: int) -> ModelEntry:
    """`entry` drawing as VQGAN-CLIP does: whatever the schema's defaults are, but for the size."""
    size = {column: entry.defaults[column] for column in ("width", "height")}
    return entry.model_copy(update={"defaults": {**size, "steps_first": steps}})


def steps_for(entry: ModelEntry, folder: Path) -> tuple[float, float]:
    """Processor seconds of a picture of ours, and of a step of theirs (one thread, so that on an idle machine these are
    the clock's, and on a busy one still the same); each the second one of its kind."""
    own = Variant("trial of ours", entry)
    other = Variant("trial of theirs", theirs(entry, TRIAL_STEPS))
    prompt = load_prompts()[0].prompt

    def seconds(variant: Variant, seed: int) -> float:
        began = time.process_time()
        render_picture(variant, prompt, seed, folder / f"{variant.name}-{seed}.png")
        return time.process_time() - began

    ours, peer = ([seconds(variant, seed) for seed in (1001, 1002)][-1] for variant in (own, other))
    return ours, peer / TRIAL_STEPS


def log_places(found: Recognition) -> list[float]:
    """For each prompt, the mean logarithm of its pictures' places in the judge's list."""
    by_prompt: dict[int, list[float]] = {}
    for result in found.results:
        by_prompt.setdefault(result.number, []).append(math.log(result.rank))
    return [statistics.fmean(by_prompt[number]) for number in sorted(by_prompt)]


def compared(ours: list[float], theirs: list[float]) -> str:
    """Our mean place over theirs, with an interval over prompts (1.96 standard errors)."""
    differences = [mine - other for mine, other in zip(ours, theirs, strict=True)]
    mean, error = statistics.fmean(differences), statistics.stdev(differences) / math.sqrt(len(differences))
    low, high = math.exp(mean - 1.96 * error), math.exp(mean + 1.96 * error)
    return f"our mean place is {math.exp(mean):.2f} of theirs ({low:.2f} to {high:.2f}, prompt by prompt)"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sprites", type=Path, help="what `nightreel models sprites` made")
    parser.add_argument("work", type=Path, help="work folder of an evaluation; its judge is fitted if it is not there")
    parser.add_argument("--prompts", type=int, default=20)
    parser.add_argument("--skip", type=int, default=0, help="so many first prompts: our settings were chosen on 40")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--times", type=float, nargs="+", default=[1, 4], help="of our time, given to them")
    parser.add_argument("--whole", action="store_true", help=f"theirs with {PEER_STEPS} steps, too")
    parser.add_argument("--jobs", type=int, default=1, help="processes that draw side by side")
    parser.add_argument("--keep", type=Path, help="folder for the pictures")
    chosen = parser.parse_args()
    print(machine())
    torch.set_num_threads(1)
    entry, prompts = Registry().entry("embedded"), load_prompts()[chosen.skip :][: chosen.prompts]
    judge = fitted_judge(entry, chosen.sprites, chosen.work, EvaluationSettings())
    with tempfile.TemporaryDirectory(prefix="nightreel-bench-") as folder:
        ours, step = steps_for(entry, Path(folder))
        print(f"ours: {ours:.2f} s a picture; theirs: {step:.3f} s a step", flush=True)
        budgets = [max(1, round(times * ours / step)) for times in chosen.times]
        variants = [
            (Variant("ours", entry), entry.defaults["steps_first"]),
            *(
                (Variant(f"theirs, {steps} steps", theirs(entry, steps)), steps)
                for steps in [*budgets, *([PEER_STEPS] if chosen.whole else [])]
            ),
        ]
        context = multiprocessing.get_context("spawn")
        our_places: list[float] = []
        with ProcessPoolExecutor(chosen.jobs, mp_context=context) as pool:
            begun = [
                start_rendering(pool, variant, prompts, chosen.seeds, chosen.keep or Path(folder))
                for variant, _ in variants
            ]
            for (variant, steps), (paths, futures) in zip(variants, begun, strict=True):
                seconds = [future.result() for future in futures]
                pictures = read_pictures(list(paths.values()))
                ranks = judge.ranks(pictures, torch.tensor([chosen.skip + number for number, _ in paths]))
                found = recognition(variant.name, judged(list(paths), pictures, ranks, prompts))
                low, high = found.top5_interval
                took = f"{statistics.median(seconds):.1f} s a picture" if seconds else "drawn before"
                print(f"{variant.name} ({steps} steps): {took}, top-1 {found.top1:.0%}, top-5 {found.top5:.0%} "
                      f"({low:.0%} to {high:.0%}), mean place {math.exp(statistics.fmean(log_places(found))):.2f}, "
                      f"{found.pictures} pictures", flush=True)  # fmt: skip
                if our_places:
                    print(f"  {compared(our_places, log_places(found))}", flush=True)
                our_places = our_places or log_places(found)


if __name__ == "__main__":
    main()
