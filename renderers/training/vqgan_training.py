"""Training a VQGAN: from nothing (the embedded one) or from weights (fine-tuning), on one machine or many workers.

After Esser et al. 2021 ("Taming Transformers", section 3.1), with what small models need besides: an autoencoder phase
before anything is quantised, latents held at unit variance and apart from each other (Bardes et al. 2022, VICReg,
section 4.1), a codebook of running means with restarts, residual branches that begin at zero (Zhang et al. 2019,
Fixup), and a loss at low frequencies, without which a short training never learns colour.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, Self

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from taming.modules.diffusionmodules.model import ResnetBlock
from taming.modules.discriminator.model import NLayerDiscriminator, weights_init
from torch import Tensor, nn

from renderers.frame_plan.motion import STILL, Homography, Motion
from renderers.frame_rendering.warp import warp_of
from renderers.models.vqgan.vqgan import VQGAN
from renderers.randomness import generator
from renderers.training.codebook import RunningCodebook
from renderers.training.learning import average_weights, learn
from renderers.training.loop import train
from renderers.training.perceptual import PerceptualDistance
from renderers.training.run import TrainingProgress, TrainingRun, trapezoid
from renderers.training.workers import rank

__all__ = [
    "PictureSource",
    "VQGANTraining",
    "VQGANTrainingSettings",
    "begin_at_zero",
    "psnr",
    "reconstruct",
    "redrawn",
    "redrawn_figures",
    "train_vqgan",
]


class PictureSource(Protocol):
    """Where training pictures come from: addressed, so that a resumed training sees what it would have seen."""

    def batch(self, n: int, seed: int, step: int, worker: int) -> Tensor:
        """`n` pictures `(n, 3, side, side)` in [0, 1] for one step of one worker."""
        ...


# From one frame of a video to the next, as an ordinary camera goes: a zoom of 1.02 and a turn of 1 degree.
MOVED = Homography.of(1.02, 1.0, 0.0, 0.0)


class VQGANTrainingSettings(BaseModel):
    """How to train. The defaults made the embedded VQGAN; fine-tuning has its own, see `for_finetuning`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(0, ge=0, description="decides the weights at the start and every batch")
    steps: int = Field(12000, ge=1, description="steps altogether")
    batch: int = Field(16, ge=1, description="pictures per step and worker")
    lr: float = Field(1e-3, gt=0, description="learning rate")
    warm_up: int = Field(100, ge=0, description="steps over which the learning rate rises")
    cool_down: float = Field(0.3, ge=0, le=1, description="last share of the steps, over which it falls to 0")
    weight_decay: float = Field(1e-4, ge=0, description="AdamW's")
    autoencoder_steps: int = Field(400, ge=0, description="first steps, in which nothing is quantised")
    codebook: str = Field("running", pattern="^(running|fixed)$", description="codes move as running means, or stay")
    codebook_restarts: bool = Field(True, description="codes out of use move to where latents are")
    unquantised: float = Field(0.1, ge=0, le=1, description="share of pictures that skip the codebook in training")
    absolute: float = Field(0.5, ge=0, description="weight of the mean absolute error")
    squared: float = Field(4.0, ge=0, description="weight of the mean squared error")
    low: float = Field(3.0, ge=0, description="weight of the squared error at 1/2, 1/4 and 1/8 of the size")
    perceptual: float = Field(0.1, ge=0, description="weight of the perceptual distance")
    perceptual_batch: int = Field(8, ge=0, description="pictures of a batch that it looks at; it costs most of a step")
    perceptual_side: int = Field(0, ge=0, description="px of the random crop of them that it looks at; 0: all of them")
    commitment: float = Field(0.1, ge=0, description="weight of the latents' pull to their codes")
    spread: float = Field(0.05, ge=0, description="weight of unit variance and no covariance of the latents")
    calm: float = Field(0.0, ge=0, description="weight of drawn pictures' being read as what they were drawn from")
    calm_batch: int = Field(4, ge=0, description="pictures of a batch that are read again; 0: all of them")
    calm_moved: bool = Field(False, description="draw them again, too, moved as a camera moves them")
    calm_mixed: bool = Field(False, description="read mixtures of two pictures' codes again, drawn for this alone")
    discriminator: float = Field(0.0, ge=0, description="weight of a patch discriminator; 0 is none")
    discriminator_from: float = Field(0.5, ge=0, le=1, description="share of the steps after which it joins")
    average: float = Field(0.999, ge=0, lt=1, description="decay of the averaged weights, which are the result")
    log_every: int = Field(50, ge=1, description="steps between two lines of the curves")
    checkpoint_every: int = Field(250, ge=1, description="steps between two checkpoints")

    @classmethod
    def for_finetuning(cls, **changes: Any) -> Self:
        """Defaults for weights that are good already: small steps, no autoencoder phase, codes that only drift."""
        gentle = {
            "steps": 500, "batch": 4, "lr": 1e-4, "warm_up": 20, "autoencoder_steps": 0, "codebook_restarts": False,
            "unquantised": 0.0, "spread": 0.0, "average": 0.99, "log_every": 10, "checkpoint_every": 50,
        }  # fmt: skip
        return cls(**{**gentle, **changes})


def begin_at_zero(model: VQGAN) -> None:
    """Zero the last convolution of every residual and attention block, so that each begins as the identity."""
    for module in model.modules():
        last = module.conv2 if isinstance(module, ResnetBlock) else getattr(module, "proj_out", None)
        if last is not None:
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)


def psnr(made: Tensor, real: Tensor) -> Tensor:
    """Peak signal-to-noise ratio of each picture, in dB, `(b,)`, for pictures `(b, 3, h, w)` in [0, 1]."""
    return -10 * torch.log10(((made.clamp(0, 1) - real) ** 2).mean(dim=(1, 2, 3)).clamp(min=1e-10))


@torch.no_grad()
def reconstruct(model: VQGAN, pictures: Tensor, *, quantised: bool = True) -> Tensor:
    """Pictures `(m, 3, side, side)` through `model`, few at a time: a large one fills the memory with its features."""
    device = model.codebook.device
    made = []
    for part in torch.split(pictures, 8):
        latents = model.encode(part.to(device))
        made.append(model.decode(model.quantise(latents) if quantised else latents).clamp(0, 1))
    return torch.cat(made)


def redrawn(model: VQGAN, pictures: Tensor, motion: Motion = STILL) -> Tensor:
    """By how much the model's own output changes when it goes through the model again, in levels of 255, `(m,)`: the
    mean absolute difference for what `model` makes of pictures `(m, 3, side, side)`, kept as 8 bits like a frame, and
    moved by `motion`, over what that covers.

    A video warps each frame and encodes it again, so that this is what flickers before any step.
    """
    once = (reconstruct(model, pictures) * 255).round() / 255
    warp = warp_of(motion, once[:1])
    moved, weight = warp.move(once).clamp(0, 1), warp.coverage(*once.shape[-2:])
    difference = (reconstruct(model, moved) - moved).abs().mean(dim=1, keepdim=True) * weight
    return difference.sum(dim=(1, 2, 3)) / weight.sum() * 255


def redrawn_figures(model: VQGAN, pictures: Tensor) -> dict[str, float]:
    """The mean of `redrawn`, in levels of 255: for pictures as they are (`still`), and `moved` as `MOVED` says."""
    motions = {"still": STILL, "moved": MOVED}
    return {name: float(redrawn(model, pictures, motion).mean()) for name, motion in motions.items()}


class VQGANTraining:
    """The state of one training, and its step."""

    def __init__(
        self,
        model: VQGAN,
        settings: VQGANTrainingSettings,
        pictures: PictureSource,
        perceptual: PerceptualDistance | None,
    ) -> None:
        self.model, self.settings, self.pictures, self.perceptual = model, settings, pictures, perceptual
        self.device = next(model.parameters()).device
        model.train().requires_grad_(True)
        model.quantize.requires_grad_(False)  # running means move the codes, not gradients
        self.weights = [p for p in model.parameters() if p.requires_grad]
        self.adam = torch.optim.AdamW(
            self.weights, lr=settings.lr, betas=(0.9, 0.99), weight_decay=settings.weight_decay
        )
        self.codes = RunningCodebook(model.codebook.data)
        self.averaged = {key: value.clone() for key, value in model.state_dict().items()}
        self.critic: nn.Module | None = None
        if settings.discriminator:
            with torch.random.fork_rng():
                torch.manual_seed(settings.seed)
                self.critic = NLayerDiscriminator(n_layers=2, ndf=32).apply(weights_init).to(self.device)
            self.critic_adam = torch.optim.Adam(self.critic.parameters(), lr=settings.lr, betas=(0.5, 0.9))

    def step(self, step: int) -> dict[str, Tensor]:
        """Do step number `step` (from 0); gives the terms of the loss."""
        settings, model = self.settings, self.model
        factor = trapezoid(step, settings.steps, warm_up=settings.warm_up, cool_down=settings.cool_down)
        self.adam.param_groups[0]["lr"] = settings.lr * factor
        real = self._batch(step)
        latents = model.encode(real)
        flat = latents.permute(0, 2, 3, 1).reshape(-1, latents.shape[1])
        spread = _spread(flat)
        quantised = step >= settings.autoencoder_steps
        commitment = flat.new_zeros(())
        codes = latents
        if quantised:
            if step == settings.autoencoder_steps and settings.autoencoder_steps:
                self.codes.start(self._many_latents(step), generator(settings.seed, 0, step, "first codes"))
            tokens = model.tokenise(latents)
            nearest = model.look_up(tokens)
            commitment = F.mse_loss(latents, nearest)
            chance = generator(settings.seed, rank(), step, "unquantised")
            snaps = (torch.rand(len(real), 1, 1, 1, generator=chance) >= settings.unquantised).float().to(self.device)
            codes = latents + snaps * (nearest - latents).detach()
        made = model.decode(codes)
        absolute, squared = F.l1_loss(made, real), F.mse_loss(made, real)
        low = torch.stack([F.mse_loss(F.avg_pool2d(made, k), F.avg_pool2d(real, k)) for k in (2, 4, 8)]).sum()
        terms = {"absolute": absolute, "squared": squared, "low": low, "commitment": commitment, "spread": spread}
        if self.perceptual is not None and settings.perceptual:
            some = settings.perceptual_batch or len(real)
            top, left, side = self._crop(real.shape[-1], step)
            part = (slice(some), slice(None), slice(top, top + side), slice(left, left + side))
            terms["perceptual"] = self.perceptual(made[part], real[part])
        if settings.calm:
            terms["calm"] = self._calm(made, codes.detach(), step)
        if self.critic is not None and step >= settings.steps * settings.discriminator_from:
            # gradients of the picture that the critic likes; its own weights learn below.
            terms["discriminator"] = -self.critic(made * 2 - 1).mean()
        loss = torch.stack([getattr(settings, name) * term for name, term in terms.items()]).sum()
        learn(loss, self.weights, self.adam, clip=1.0)
        if "discriminator" in terms:
            terms["critic"] = self._teach_critic(made.detach(), real)
        if quantised and settings.codebook == "running":
            # restarts only while the rate is high: a code that moves late never finds its decoder.
            restart = settings.codebook_restarts and step % 20 == 0 and step < settings.steps * (1 - settings.cool_down)
            chance = generator(settings.seed, 0, step, "dead codes")
            self.codes.update(flat.detach(), tokens.flatten(), chance if restart else None)
        average_weights(self.averaged, self.model.state_dict(), settings.average, step)
        return {"loss": loss.detach(), **{name: term.detach() for name, term in terms.items()}}

    def result(self) -> VQGAN:
        """A VQGAN with the averaged weights, in eval mode, on the CPU."""
        model = VQGAN(self.model.config)
        model.load_state_dict({key: value.cpu() for key, value in self.averaged.items()})
        return model.eval().requires_grad_(False)

    @torch.no_grad()
    def reconstruct(self, pictures: Tensor, *, quantised: bool = True) -> Tensor:
        """Pictures through the averaged weights."""
        return reconstruct(self.result().to(self.device), pictures, quantised=quantised)

    def state_dict(self) -> dict[str, Any]:
        """All that the next step needs."""
        state = {
            "model": self.model.state_dict(),
            "averaged": self.averaged,
            "adam": self.adam.state_dict(),
            "codes": self.codes.state_dict(),
        }
        if self.critic is not None:
            state |= {"critic": self.critic.state_dict(), "critic_adam": self.critic_adam.state_dict()}
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.model.load_state_dict(state["model"])
        self.averaged = {key: value.to(self.device) for key, value in state["averaged"].items()}
        self.adam.load_state_dict(state["adam"])
        self.codes.load_state_dict(state["codes"])
        if self.critic is not None:
            self.critic.load_state_dict(state["critic"])
            self.critic_adam.load_state_dict(state["critic_adam"])

    def _batch(self, step: int) -> Tensor:
        batch = self.pictures.batch(self.settings.batch, self.settings.seed, step, rank())
        return batch.to(self.device, memory_format=torch.channels_last)

    def _calm(self, made: Tensor, codes: Tensor, step: int) -> Tensor:
        """How far the latents of what is drawn are from the `codes` `(b, c, h, w)` that it was drawn from, a scalar.

        A picture whose latents lie by its codes comes out as it is when it is read again: the very same tokens. The
        gradient reaches the decoder too, which learns to draw what its encoder can read. `made` is what `codes` look
        like; mixtures, which no picture was encoded to, are nearer to what a renderer finds.
        """
        some = self.settings.calm_batch or len(codes)
        made, codes, others = made[:some], codes[:some], codes.roll(1, dims=0)[:some]
        if self.settings.calm_mixed:
            chance = generator(self.settings.seed, rank(), step, "mixtures")
            coarse = torch.rand(len(codes), 1, 4, 4, generator=chance).to(self.device) < 0.5
            codes = torch.where(F.interpolate(coarse.float(), size=codes.shape[-2:]) > 0.5, codes, others)
            made = self.model.decode(codes)
        calm = F.mse_loss(self.model.encode(made.clamp(0, 1)), codes)
        return calm + self._calm_moved(made, step) if self.settings.calm_moved else calm

    def _calm_moved(self, made: Tensor, step: int) -> Tensor:
        """How far what is drawn, moved as a camera moves it, is from itself when it is read and drawn again, a scalar.
        All of `made` `(b, 3, side, side)` moves by one motion, of chance."""
        chance = generator(self.settings.seed, rank(), step, "moves")
        zoom, angle, right, down = (2 * torch.rand(4, generator=chance, dtype=torch.float64) - 1).tolist()
        side = made.shape[-1]
        motion = Homography.of(1 + 0.03 * zoom, 2 * angle, 0.02 * side * right, 0.02 * side * down)
        warp = warp_of(motion, made[:1])
        moved, weight = warp.move(made.detach()).clamp(0, 1), warp.coverage(side, side)
        again = self.model.decode(self.model.quantise(self.model.encode(moved)))
        return ((again - moved).square() * weight).mean()

    def _crop(self, whole: int, step: int) -> tuple[int, int, int]:
        """Top, left and side of what the perceptual loss looks at in pictures of `whole` px, at random places of the
        codes' grid."""
        side, grid = self.settings.perceptual_side, self.model.config.downsampling
        if not side or side >= whole:
            return 0, 0, whole
        chance = generator(self.settings.seed, rank(), step, "perceptual crop")
        top, left = (torch.randint((whole - side) // grid + 1, (2,), generator=chance) * grid).tolist()
        return top, left, side

    @torch.no_grad()
    def _many_latents(self, step: int) -> Tensor:
        """At least two latents for every code, `(m, c)`, from batches of their own."""
        found: list[Tensor] = []
        while sum(map(len, found)) < 2 * len(self.codes.codes):
            # batches far beyond the last step, which no step will see.
            latents = self.model.encode(self._batch(10**9 + step + len(found)))
            found.append(latents.permute(0, 2, 3, 1).reshape(-1, latents.shape[1]))
        return torch.cat(found)

    def _teach_critic(self, made: Tensor, real: Tensor) -> Tensor:
        """One step of the discriminator's hinge loss (Esser et al. 2021, equation 5, in taming's form)."""
        assert self.critic is not None
        verdicts = self.critic(torch.cat([made, real]) * 2 - 1)
        fake, true = verdicts.chunk(2)
        loss = 0.5 * (F.relu(1 - true).mean() + F.relu(1 + fake).mean())
        learn(loss, self.critic.parameters(), self.critic_adam, clip=None)
        return loss.detach()


def _spread(flat: Tensor) -> Tensor:
    """How far latents `(m, c)` are from unit variance, no covariance and zero mean, a scalar."""
    centred = flat - flat.mean(dim=0)
    covariance = centred.T @ centred / len(flat)
    deviation = (covariance.diagonal() + 1e-4).sqrt()
    off = covariance - torch.diag(covariance.diagonal())
    outside = F.relu(1 - deviation).mean() + F.relu(deviation - 1.2).mean()
    return outside + 0.5 * (off**2).sum() / flat.shape[1] + 0.05 * flat.mean(dim=0).pow(2).mean()


def train_vqgan(
    training: VQGANTraining,
    run: TrainingRun,
    *,
    held_out: Tensor | None = None,
    on_progress: Callable[[TrainingProgress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> VQGAN:
    """Train to the end, or go on with what `run`'s folder holds; gives the averaged model.

    `held_out` `(m, 3, side, side)` are pictures to measure PSNR on: before the first step, and along the way.

    Raises:
        TrainingBroken: the loss became non-finite, or the folder's checkpoint is no good.
        Stopped: `should_stop` said so; the last checkpoint is kept, and the next call goes on.
    """

    def measure() -> dict[str, float]:
        assert held_out is not None
        model = training.result().to(training.device)
        return {
            "psnr": float(psnr(reconstruct(model, held_out).cpu(), held_out).mean()),
            "redrawn": float(redrawn(model, held_out).mean()),
            "codes_used": float((training.codes.counts > training.codes.dead).float().mean()),
        }

    train(
        training,
        run,
        measure=None if held_out is None else measure,
        on_progress=on_progress,
        should_stop=should_stop,
    )
    return training.result()
