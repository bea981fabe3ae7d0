"""The preset `nerdyrodent` against nerdyrodent/VQGAN-CLIP's own code: the same weights, start and prompt.

    python -m tests.benchmarks.bench_parity --peer CHECKOUT --peer-packages FOLDER                  # the embedded pair
    python -m tests.benchmarks.bench_parity --true-shapes --peer CHECKOUT --peer-packages FOLDER [--size 256 256]

CHECKOUT is one of github.com/nerdyrodent/VQGAN-CLIP, FOLDER has kornia (see bench_step). Three things are measured:

- **Steps without augmentation**: ten of its steps and ten of ours, all else equal. Loss and latent must agree within
  float32's rounding. How far rounding reaches the peer tells itself: its own run once more, whose codes are changed by
  the last bit of their numbers, up or down by chance. Where a value lies on an edge (of a clamp, between two greatest
  pixels or two nearest codes) the last bit decides which way it goes, on either side.
- **Cutouts**: one picture cut by its code and by ours many times. The mean distance to the prompt, and its deviation
  from cutout to cutout, must agree within the noise.
- **Steps with augmentation**: `--seeds` runs of either side from the same start each. The mean difference of the loss
  at each step must lie within the noise.

The peer's augmentation is switched off in its own object, before its first step; its start is put into its own latent.
The rest of it runs as it is. True shapes are imagenet f16 16384 with ViT-B/32 on random weights; the embedded pair is
trained, so that what a cutout shows matters to it. Results are kept in infra/docs/step.md.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import open_clip
import torch
from torch import Tensor, nn

from manifests.schema import ManifestRow
from renderers.frame_plan.video_plan import VideoPlan
from renderers.frame_rendering.in_progress import FrameInProgress
from renderers.frame_rendering.renderer import FrameRenderer, RenderedFrame
from renderers.models import VQGAN, Perceptor, VQGANConfig, load_models
from renderers.randomness import generator
from renderers.registry import Registry
from renderers.step.cutout_methods import make_cutouts, pooled
from renderers.step.losses import spherical_distance
from tests.benchmarks.machine import machine
from tests.benchmarks.peer import CLIP, PeerMissing, Script, run_peer
from tests.benchmarks.true_shapes import ARCHITECTURE, F16_16384, random_models

PROMPT = "a red apple"
OPENAI_MEAN, OPENAI_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
QUIET = {
    "affine_probability": 0, "perspective_probability": 0, "jitter_probability": 0, "erase_probability": 0, "noise": 0,
}  # fmt: skip


@dataclass(frozen=True)
class Course:
    """What a run came to: its `losses` and its `latents` after each step."""

    losses: tuple[float, ...]
    latents: tuple[Tensor, ...]


class Watched(FrameRenderer):
    """Ours, which keeps the latent after each step."""

    latents: list[Tensor]

    def _step(self, frames: Mapping[int, FrameInProgress]) -> dict[int, RenderedFrame | Exception]:
        results = super()._step(frames)
        self.latents += [frame.latent.detach().clone() for frame in frames.values()]
        return results


class EmbeddedCLIP(nn.Module):
    """OpenAI's interface over the embedded pair's perceptor, whose pictures are normalised otherwise."""

    def __init__(self, perceptor: Perceptor) -> None:
        super().__init__()
        self.perceptor = perceptor
        self.visual = SimpleNamespace(input_resolution=perceptor.side)

    def encode_image(self, pictures: Tensor) -> Tensor:
        mean, std = (torch.tensor(it).view(1, 3, 1, 1).to(pictures) for it in (OPENAI_MEAN, OPENAI_STD))
        return self.perceptor.embed_pictures(pictures * std + mean)

    def encode_text(self, tokens: Tensor) -> Tensor:
        return self.perceptor.embed_texts([PROMPT])


@dataclass(frozen=True)
class Sides:
    """Both sides with the same weights."""

    ours: Watched
    vqgan: tuple[VQGANConfig, Mapping[str, Tensor]]
    clip: Callable[[], nn.Module]
    size: tuple[int, int]
    cutouts: int
    checkout: Path
    device: torch.device

    def plan(self, steps: int, seed: int = 0, **cutouts: Any) -> VideoPlan:
        row = ManifestRow.model_validate({
            "video_id": "parity", "prompt": PROMPT, "preset": "nerdyrodent", "seed": seed, "steps_first": steps,
            "width": self.size[0], "height": self.size[1], "cutouts": {"number": self.cutouts, **cutouts},
        })  # fmt: skip
        return VideoPlan.of(row, entry=self.ours.models.entry)

    def run_ours(self, steps: int, seed: int = 0, *, augmented: bool) -> Course:
        plan = self.plan(steps, seed, **({} if augmented else QUIET))
        self.ours.latents = []
        rendered = self.ours.render(plan, next(plan.walk()), None, {})
        return Course(rendered.losses, tuple(self.ours.latents))

    def run_peer(
        self, steps: int, seed: int = 0, *, augmented: bool, nudged: bool = False,
        look: Callable[[Script], None] | None = None,
    ) -> Course:  # fmt: skip
        """The peer, from our start; `look` is given its variables before the first step."""
        start = self.ours.starts.cold(self.plan(steps, seed), {}, seed).latent
        script: Script = {}
        losses: list[float] = []
        latents: list[Tensor] = []
        pending: list[float] = []

        def on_start(variables: Script) -> None:
            script.update({"z": variables["z"]})
            with torch.no_grad():
                variables["z"].copy_(start)
            if not augmented:
                variables["make_cutouts"].augs, variables["make_cutouts"].noise_fac = nn.Sequential(), 0
            if nudged:
                codes = variables["model"].quantize.embedding.weight
                signs = torch.randn(codes.shape, generator=torch.Generator().manual_seed(seed)).sign()
                codes.copy_(torch.nextafter(codes, signs.to(codes) * math.inf))
            for prompt in variables["pMs"]:
                prompt.register_forward_hook(lambda _, given, loss: pending.append(float(loss)))
            if look is not None:
                look(variables)
                pending.clear()

        def on_step() -> None:
            if len(losses) < steps:
                losses.append(sum(pending))
                latents.append(script["z"].detach().clone())
            pending.clear()

        with tempfile.TemporaryDirectory() as scratch:
            run_peer(
                self.checkout, vqgan=self.vqgan, clip=self.clip(), device=self.device, size=self.size,
                cutouts=self.cutouts, steps=steps, prompt=PROMPT, output=Path(scratch, "output.png"), on_step=on_step,
                seed=seed, on_start=on_start,
            )  # fmt: skip
        return Course(tuple(losses), tuple(latents))


def embedded_pair(chosen: argparse.Namespace, device: torch.device) -> Sides:
    entry = Registry().entry("embedded").model_copy(update={"concepts": ()})
    models = load_models(entry, device=str(device), precision="float32", graphs=False)
    weights = VQGAN.load(entry.vqgan.config_path, entry.vqgan.weights_path)
    vqgan = VQGANConfig.read(entry.vqgan.config_path), weights.state_dict()
    size = tuple(chosen.size or (64, 64))
    perceptor = Perceptor.open(entry.perceptors[0]).to(device)
    return Sides(Watched(models), vqgan, lambda: EmbeddedCLIP(perceptor), size, chosen.cutouts, chosen.peer, device)


def true_shapes(chosen: argparse.Namespace, device: torch.device) -> Sides:
    torch.manual_seed(0)
    vqgan, clip = VQGAN(F16_16384), open_clip.create_model(ARCHITECTURE)
    with torch.no_grad():
        # codes between which a few steps lead: those of a new network lie so near to 0 that each step ends at their
        # range; and random networks draw grey on grey
        vqgan.codebook.normal_(std=0.25)
        vqgan.decoder.conv_out.weight *= 3
    states = [{key: value.clone() for key, value in model.state_dict().items()} for model in (vqgan, clip)]
    models = random_models(device, threads=1, precision="float32", graphs=False, vqgan=vqgan, clip=clip)
    size = tuple(chosen.size or (256, 256))
    judge = lambda: CLIP(ARCHITECTURE, states[1], device)  # noqa: E731
    return Sides(Watched(models), (F16_16384, states[0]), judge, size, chosen.cutouts, chosen.peer, device)


def without_augmentation(sides: Sides, steps: int, seed: int) -> str:
    """Ten steps of either, and of the peer with the last bits of its codes changed."""
    peer, ours = sides.run_peer(steps, seed, augmented=False), sides.run_ours(steps, seed, augmented=False)
    again = sides.run_peer(steps, seed, augmented=False, nudged=True)
    lines = [
        f"without augmentation, start {seed}: what differs after each step, ours from the peer's, and in brackets the "
        "peer's from its own with other last bits"
    ]
    tokenise = sides.ours.models.vqgan.tokenise
    for step in range(steps):
        loss, latent = peer.losses[step], peer.latents[step]
        off = [abs(it.losses[step] - loss) / abs(loss) for it in (ours, again)]
        gaps = [it.latents[step] - latent for it in (ours, again)]
        most, mean = [float(it.abs().max()) for it in gaps], [float(it.square().mean().sqrt()) for it in gaps]
        codes = [int((tokenise(it.latents[step]) != tokenise(latent)).sum()) for it in (ours, again)]
        lines.append(
            f"  step {step + 1}: loss {loss:.7f}, relative {off[0]:.1e} ({off[1]:.1e}); latent at most {most[0]:.1e} "
            f"({most[1]:.1e}), root mean square {mean[0]:.1e} ({mean[1]:.1e}); codes {codes[0]} ({codes[1]})"
        )
    moved = float((peer.latents[-1] - peer.latents[0]).square().mean().sqrt())
    lines.append(f"  the latent moved by {moved:.3f} (root mean square) from step 1 to step {steps}")
    return "\n".join(lines)


def cutouts_alone(sides: Sides, rounds: int) -> str:
    """One picture, cut by both."""
    plan, models = sides.plan(1), sides.ours.models
    picture = models.vqgan.decode(sides.ours.starts.cold(plan, {}, 0).latent).clamp(0, 1).detach()
    perceptor = models.perceptors[0]
    target = perceptor.embed_texts([PROMPT])[0]

    def distances(make: Callable[[int], Tensor]) -> tuple[list[float], list[float]]:
        by_round = [spherical_distance(perceptor.embed_pictures(make(it)), target).tolist() for it in range(rounds)]
        return [statistics.fmean(it) for it in by_round], [value for it in by_round for value in it]

    theirs: list[tuple[list[float], list[float]]] = []

    def look(script: Script) -> None:
        with torch.no_grad():
            theirs.append(distances(lambda _: script["make_cutouts"](picture)))

    sides.run_peer(1, augmented=True, look=look)
    with torch.no_grad():
        mine = distances(lambda it: make_cutouts(
            plan.row.cutouts, picture, perceptor.side, generator(0, 0, it, "cutouts 0"),
            generator(0, 0, it, "grain 0", sides.device),
        ))  # fmt: skip
        still = distances(lambda it: make_cutouts(
            plan.row.cutouts.model_copy(update=QUIET), picture, perceptor.side, generator(0, 0, 0, "x"),
            generator(0, 0, 0, "x", sides.device),
        ))[0][0]  # fmt: skip
    (ours, all_ours), (peers, all_peers) = mine, theirs[0]
    error = math.hypot(*(statistics.stdev(it) / math.sqrt(rounds) for it in (ours, peers)))
    gap = statistics.fmean(ours) - statistics.fmean(peers)
    means, spreads = (
        [function(it) for it in (all_ours, all_peers)] for function in (statistics.fmean, statistics.stdev)
    )
    return (
        f"cutouts of one picture, {rounds} times {sides.cutouts}: mean distance to the prompt {means[0]:.5f} ours, "
        f"{means[1]:.5f} the peer's: {gap:+.5f}, {gap / error:+.1f} standard errors; deviation from cutout to cutout "
        f"{spreads[0]:.5f}, {spreads[1]:.5f} (the picture itself, without augmentation: {still:.5f})"
    )


def judged(sides: Sides, latent: Tensor) -> float:
    """How far the picture of a latent is from the prompt, seen whole and without augmentation: a step's own loss is
    mostly what was erased in it."""
    models = sides.ours.models
    with torch.no_grad():
        picture = models.vqgan.decode(models.vqgan.quantise(latent)).clamp(0, 1)
        seen = models.perceptors[0].embed_pictures(pooled(picture, models.perceptors[0].side))
        return float(spherical_distance(seen, models.perceptors[0].embed_texts([PROMPT])[0]))


def with_augmentation(sides: Sides, steps: int, seeds: range) -> str:
    """Runs of either from the same starts."""
    pairs = []
    for seed in seeds:
        pairs.append((sides.run_ours(steps, seed, augmented=True), sides.run_peer(steps, seed, augmented=True)))
        print(
            f"  seed {seed}: {pairs[-1][0].losses[-1]:.5f}, {pairs[-1][1].losses[-1]:.5f}", file=sys.stderr, flush=True
        )
    lines = [f"with augmentation, {len(seeds)} seeds from {seeds.start}: mean loss at each step, ours, the peer's"]
    for step in range(steps):
        ours, peers = ([run.losses[step] for run in side] for side in zip(*pairs, strict=True))
        gaps = [mine - its for mine, its in zip(ours, peers, strict=True)]
        error = statistics.stdev(gaps) / math.sqrt(len(seeds))
        gap = statistics.fmean(gaps)
        lines.append(
            f"  step {step + 1}: {statistics.fmean(ours):.5f}, {statistics.fmean(peers):.5f}; {gap:+.5f}, "
            f"{gap / error:+.1f} standard errors"
        )
    means = [statistics.fmean(mine.losses) - statistics.fmean(its.losses) for mine, its in pairs]
    ends = [judged(sides, mine.latents[-1]) - judged(sides, its.latents[-1]) for mine, its in pairs]
    for name, found in (("the loss of all steps", means), ("the last picture, seen whole", ends)):
        error, gap = statistics.stdev(found) / math.sqrt(len(seeds)), statistics.fmean(found)
        lines.append(f"  {name}: {gap:+.6f}, {gap / error:+.1f} standard errors of {error:.6f}")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer", type=Path, required=True, metavar="CHECKOUT", help="of nerdyrodent/VQGAN-CLIP")
    parser.add_argument("--peer-packages", type=Path, metavar="FOLDER", help="where kornia is, if not installed")
    parser.add_argument("--true-shapes", action="store_true", help="f16 16384 and ViT-B/32, not the embedded pair")
    parser.add_argument(
        "--size", type=int, nargs=2, metavar=("WIDTH", "HEIGHT"), help="default 64 64; of true shapes 256 256"
    )
    parser.add_argument("--cutouts", type=int, default=32)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--starts", type=int, default=3, help="of the steps without augmentation")
    parser.add_argument("--seeds", type=int, default=10, help="of the steps with augmentation; 0 leaves them out")
    parser.add_argument("--first-seed", type=int, default=0, help="of those")
    parser.add_argument("--rounds", type=int, default=100, help="of the cutouts; 0 leaves them out")
    parser.add_argument("--device", default="cpu")
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)
    if chosen.peer_packages:
        sys.path.append(str(chosen.peer_packages))
    device = torch.device(chosen.device)
    print(machine(), flush=True)
    sides = (true_shapes if chosen.true_shapes else embedded_pair)(chosen, device)
    try:
        for seed in range(chosen.starts):
            print(without_augmentation(sides, chosen.steps, seed), flush=True)
        if chosen.rounds:
            print(cutouts_alone(sides, chosen.rounds), flush=True)
        if chosen.seeds:
            print(
                with_augmentation(sides, chosen.steps, range(chosen.first_seed, chosen.first_seed + chosen.seeds)),
                flush=True,
            )
    except PeerMissing as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
