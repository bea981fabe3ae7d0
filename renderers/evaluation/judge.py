"""The judge: names what a picture shows, and has nothing in common with the pair that made it.

A small residual network (after He et al. 2016, "Deep residual learning", figure 2), trained from nothing on sprite
styles that neither the VQGAN nor the perceptors have seen, half of them through the VQGAN: a judge that knows crisp
pictures only fails on blur (18 % of reconstructions, measured on the first pair).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn as nn
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from renderers.errors import ModelFilesBroken
from renderers.evaluation.judge_pictures import Sitters, blurred, compose_for_fitting, recoloured, reconstruct
from renderers.models.vqgan.vqgan import VQGAN
from renderers.models.weights_file import write_weights
from renderers.randomness import address, generator
from renderers.training.run import TrainingProgress, TrainingRun, trapezoid
from renderers.training.sprites import STYLES, Sprites

__all__ = ["Judge", "JudgeSettings", "fit_judge", "judge_key", "judge_styles", "sitters"]

SIDE = 48  # px: what the judge looks at, whatever the model's size; reconstructions hold no more


class JudgeSettings(BaseModel):
    """How the judge is fitted. Frozen before the first picture was judged."""

    model_config = ConfigDict(frozen=True)

    widths: tuple[int, ...] = (32, 64, 128, 192)
    blocks: tuple[int, ...] = (1, 1, 1, 1)
    steps_crisp: int = 2000  # of the first stage, which needs no VQGAN and serves all
    steps: int = 2000  # of the second, half of whose pictures are reconstructions
    batch: int = 64
    renewed: int = 5  # reconstructions made in each step; the others are shown again, in other colours
    pool: int = 2048
    lr: float = 3e-3
    weight_decay: float = 0.05
    smoothing: float = 0.1
    dropout: float = 0.1
    average: float = 0.995  # of the weights, over steps
    seed: int = 0
    checkpoint_every: int = 100
    log_every: int = 20


class _Block(nn.Module):
    def __init__(self, inner: int, outer: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inner, outer, 3, stride, 1, bias=False)
        self.norm_first = nn.BatchNorm2d(outer)
        self.second = nn.Conv2d(outer, outer, 3, 1, 1, bias=False)
        self.norm_second = nn.BatchNorm2d(outer)
        self.across = nn.Conv2d(inner, outer, 1, bias=False) if (inner, stride) != (outer, 1) else None
        nn.init.zeros_(self.norm_second.weight)

    def forward(self, x: Tensor) -> Tensor:
        y = F.relu(self.norm_first(self.first(x)))
        y = self.norm_second(self.second(y))
        if self.across is not None:
            x = self.across(F.avg_pool2d(x, 2) if self.first.stride[0] == 2 else x)
        return F.relu(x + y)


class Judge(nn.Module):
    """Pictures `(n, 3, h, w)` in [0, 1] to logits `(n, classes)`."""

    def __init__(self, classes: int, settings: JudgeSettings) -> None:
        super().__init__()
        self.settings = settings
        width = settings.widths[0]
        self.stem = nn.Conv2d(3, width, 5, 2, 2, bias=False)
        self.norm = nn.BatchNorm2d(width)
        layers: list[nn.Module] = []
        for stage, (outer, count) in enumerate(zip(settings.widths, settings.blocks, strict=True)):
            for number in range(count):
                layers.append(_Block(width, outer, 2 if stage and not number else 1))
                width = outer
        self.body = nn.Sequential(*layers)
        self.drop = nn.Dropout(settings.dropout)
        self.head = nn.Linear(width, classes)

    def forward(self, pictures: Tensor) -> Tensor:
        if pictures.shape[-1] != SIDE:
            pictures = F.interpolate(pictures, size=(SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False)
        x = ((pictures - 0.5) / 0.25).contiguous(memory_format=torch.channels_last)
        x = self.body(F.relu(self.norm(self.stem(x))))
        logits: Tensor = self.head(self.drop(x.mean(dim=(2, 3))))
        return logits

    @torch.no_grad()
    def ranks(self, pictures: Tensor, classes: Tensor) -> Tensor:
        """The place `(n,)`, from 1, of the true class among all, for pictures `(n, 3, h, w)` and `classes` `(n,)`."""
        # a picture and its mirror image show the same thing
        logits = torch.cat([self(p) + self(p.flip(3)) for p in torch.split(pictures, 64)])
        true = logits.gather(1, classes[:, None])
        return (logits > true).sum(dim=1) + 1

    @classmethod
    def load(cls, folder: Path) -> Judge:
        """The judge that `fit_judge` left in `folder`.

        Raises:
            ModelFilesBroken: it is missing or damaged.
        """
        try:
            about = json.loads((folder / "judge.json").read_text(encoding="utf-8"))
            state = load_file(folder / "judge.safetensors")
            judge = cls(about["classes"], JudgeSettings.model_validate(about["settings"]))
            judge.load_state_dict(state)
        except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
            raise ModelFilesBroken(f"'{folder}' holds no judge that can be read: {error}; delete it") from error
        return judge.eval().requires_grad_(False).to(memory_format=torch.channels_last)


def judge_styles() -> tuple[str, ...]:
    """The styles that the pair was not trained on."""
    return tuple(style for style, role in STYLES.items() if role != "training")


def sitters(sprites: Sprites, concepts: tuple[str, ...], *styles: str) -> Sitters:
    """Sprites of `concepts` in `styles`; a concept's place in the list is its class.

    Raises:
        ValueError: a concept has no sprite in these styles.
    """
    chosen = sprites.of_styles(*styles).with_concepts(*concepts)
    if missing := set(concepts) - set(chosen.concept):
        raise ValueError(f"no sprite in the styles {', '.join(styles)} for {', '.join(sorted(missing))}")
    pixels = torch.from_numpy(chosen.pixels).permute(0, 3, 1, 2).contiguous()
    return Sitters(pixels, torch.tensor([concepts.index(name) for name in chosen.concept]))


def fit_judge(
    folder: Path,
    people: Sitters,
    vqgan: VQGAN | None,
    side: int,
    settings: JudgeSettings,
    *,
    start: Path | None = None,
    on_progress: Callable[[TrainingProgress], None] | None = None,
) -> Judge:
    """The judge of `folder`: fitted if it is not there, resumed if it was stopped.

    `people` are the sprites; they are composed at `side` pixels, the model's own. Without a `vqgan` it is the first
    stage, on crisp pictures; with one the second, which goes on from the judge in the folder `start`.
    """
    if (folder / "judge.safetensors").exists():
        return Judge.load(folder)
    steps = settings.steps_crisp if vqgan is None else settings.steps
    classes = int(people.classes.max()) + 1
    torch.manual_seed(settings.seed)  # the first weights
    run = TrainingRun(folder, settings)
    judge = Judge(classes, settings)
    if start is not None:
        judge.load_state_dict(Judge.load(start).state_dict())
    judge = judge.to(memory_format=torch.channels_last)
    optimiser = _optimiser(judge, settings)
    average = {key: value.clone() for key, value in judge.state_dict().items()}
    pool = _Pool.empty(settings.pool if vqgan is not None else 0, side)
    first = 0
    if (kept := run.load()) is not None:
        judge.load_state_dict(kept["judge"])
        optimiser.load_state_dict(kept["optimiser"])
        average, pool, first = kept["average"], _Pool(*kept["pool"]), kept["step"]
    judge.train()
    hits = seen = 0
    for step in range(first, steps):
        chance = generator(settings.seed, 0, step, "judge" if vqgan is None else "judge reconstructed")
        torch.manual_seed(address(settings.seed, 0, step, "judge dropout"))  # so that a resumed fit drops the same
        pictures, wanted = _batch(people, vqgan, side, settings, pool, chance)
        for group in optimiser.param_groups:
            group["lr"] = settings.lr * trapezoid(step, steps, warm_up=50, cool_down=0.6)
        logits = judge(pictures)
        loss = F.cross_entropy(logits, wanted, label_smoothing=settings.smoothing)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(judge.parameters(), 5.0)
        optimiser.step()
        with torch.no_grad():
            decay = min(settings.average, (step + 1) / (step + 10))
            for key, value in judge.state_dict().items():
                if value.dtype.is_floating_point:
                    average[key].lerp_(value, 1 - decay)
                else:
                    average[key].copy_(value)
        hits, seen = hits + int((logits.argmax(1) == wanted).sum()), seen + len(wanted)
        if (step + 1) % settings.log_every == 0 or step + 1 == steps:
            run.log(step + 1, {"loss": float(loss.detach()), "training top-1": hits / seen})
            hits = seen = 0
            if on_progress is not None:
                on_progress(TrainingProgress(step + 1, steps, run.seconds, run.metrics))
        if (step + 1) % settings.checkpoint_every == 0:
            state = {"judge": judge.state_dict(), "optimiser": optimiser.state_dict(), "average": average}
            run.save(step + 1, {**state, "pool": (pool.pictures, pool.classes, pool.filled)})
    judge.load_state_dict(average)
    about = {
        "classes": classes,
        "settings": settings.model_dump(mode="json"),
        "seconds": round(run.seconds),
        "sprites": len(people.classes),
    }
    (folder / "judge.json").write_text(json.dumps(about, indent=1), encoding="utf-8")
    write_weights(judge.state_dict(), folder / "judge.safetensors")
    run.checkpoint.unlink(missing_ok=True)  # large, and of no more use
    return Judge.load(folder)


@dataclass
class _Pool:
    """Reconstructions, the newest in the place of the oldest: they cost more than all else of a step."""

    pictures: Tensor
    """`(n, 3, side, side)` uint8"""
    classes: Tensor
    filled: int

    @classmethod
    def empty(cls, size: int, side: int) -> _Pool:
        return cls(torch.zeros(size, 3, side, side, dtype=torch.uint8), torch.zeros(size, dtype=torch.long), 0)

    def add(self, pictures: Tensor, classes: Tensor) -> Tensor:
        """Keep `pictures` in [0, 1]; gives their places."""
        places = torch.arange(self.filled, self.filled + len(pictures)) % len(self.classes)
        self.pictures[places] = (pictures * 255).round().to(torch.uint8)
        self.classes[places] = classes
        self.filled += len(pictures)
        return places


def _optimiser(judge: Judge, settings: JudgeSettings) -> torch.optim.Optimizer:
    decayed = [p for p in judge.parameters() if p.ndim > 1]
    others = [p for p in judge.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": settings.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=settings.lr)


def _batch(
    people: Sitters, vqgan: VQGAN | None, side: int, settings: JudgeSettings, pool: _Pool, chance: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Pictures `(n, 3, side, side)` and their classes `(n,)`; half of them through the VQGAN, where there is one."""
    crisp = people.draw(settings.batch if vqgan is None else settings.batch // 2, chance)
    pictures, wanted = compose_for_fitting(people.pixels[crisp], side, chance), people.classes[crisp]
    if vqgan is not None:
        fresh = people.draw(settings.renewed if pool.filled else settings.batch * 4, chance)
        composed = compose_for_fitting(people.pixels[fresh], side, chance)
        places = pool.add(reconstruct(vqgan, composed, chance), people.classes[fresh])
        shown = torch.randint(min(pool.filled, len(pool.classes)), (settings.batch - len(crisp),), generator=chance)
        shown[: len(places)] = places[: len(shown)]  # what is new is seen at once
        pictures = torch.cat([pictures, pool.pictures[shown].float() / 255])
        wanted = torch.cat([wanted, pool.classes[shown]])
    mirrored = torch.rand(len(pictures), 1, 1, 1, generator=chance) < 0.5
    pictures = torch.where(mirrored, pictures.flip(3), pictures)
    return blurred(recoloured(pictures, chance, 0.12, 0.12), chance), wanted


def judge_key(vqgan_sha256: str | None, people: Sitters, side: int, settings: JudgeSettings) -> str:
    """A short name for all that decides a judge: settings, sprites, and the VQGAN whose pictures it knows."""
    # the second stage's length does not decide the first
    decides = settings if vqgan_sha256 else settings.model_copy(update={"steps": 0})
    digest = hashlib.sha256(decides.model_dump_json().encode())
    digest.update(f"{vqgan_sha256} {side}".encode())
    digest.update(people.pixels.numpy().tobytes())
    digest.update(people.classes.numpy().tobytes())
    return digest.hexdigest()[:12]
