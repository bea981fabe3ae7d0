"""The frame loop: from where a frame starts to its finished picture, step by step.

The step is nerdyrodent/VQGAN-CLIP's (after Crowson, 2021): snap the latent to the codebook with a straight-through
gradient, decode, clamp, cut, embed, spherical distance to every prompt, Adam on the latent, clamp the latent to the
codebook's range. What departs from it says so where it does.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version

import torch
import torch.nn.functional as F
from torch import Tensor

from renderers.camera import camera_matrix, coverage, move
from renderers.cutouts import cut, draw_cutouts
from renderers.errors import NonFiniteLoss, Stopped
from renderers.frame_object import FrameObject
from renderers.frame_plan import FramePlan, Leg
from renderers.frame_state import FrameState, Moments
from renderers.guidance import Guide, Target
from renderers.init_picture import read_picture
from renderers.losses import ClampWithGradient, total_variation
from renderers.memory import in_parts, memory_errors, send
from renderers.models import Models
from renderers.optimiser import LatentAdam
from renderers.plan import ALGORITHM, VideoPlan, json_safe
from renderers.randomness import address, generator

__all__ = ["FrameRenderer", "RenderedFrame", "StepProgress"]

# Weight of the distance between the picture and what it is drawn to, at the end of the way there.
PULL = 20.0


@dataclass(frozen=True)
class StepProgress:
    """One step done: `step` of `steps` (from 1), its `loss`, and `seconds` since the frame began."""

    step: int
    steps: int
    loss: float
    seconds: float


@dataclass(frozen=True)
class RenderedFrame:
    """A finished frame, the `losses` of its steps, and the `seconds` it took."""

    frame: FrameObject
    losses: tuple[float, ...]
    seconds: float


class FrameRenderer:
    """Renders frames with models that stay loaded. Not thread-safe: one renderer, one thread."""

    def __init__(self, models: Models) -> None:
        self.models = models
        codebook = models.vqgan.codebook
        self._low, self._high = (bound.view(1, -1, 1, 1) for bound in torch.aminmax(codebook, dim=0))
        self._code_std = float(codebook.std())
        self._guides = [Guide(perceptor, models.entry.concepts, models.device) for perceptor in models.perceptors]

    def render(
        self,
        plan: VideoPlan,
        frame: FramePlan,
        parent: FrameState | None,
        images: Mapping[str, bytes],
        *,
        towards: FrameState | None = None,
        cutouts_at_once: int | None = None,
        reseeded: bool = False,
        on_step: Callable[[StepProgress], None] | None = None,
        should_stop: Callable[[], bool] | None = None,
    ) -> RenderedFrame:
        """Render `frame` of `plan`, starting from the state of its `parent` (None for the first frame), drawn to the
        keyframe whose state is `towards` if it has a pull.

        `images` holds the bytes of every picture that the row names, by URI. `should_stop` is asked between steps.
        `cutouts_at_once` go through a perceptor together (None: all of a step): fewer need less memory and more time,
        and sums that round otherwise. `reseeded` draws all chance from another seed, itself decided by the row's.

        Raises:
            BadInput: a picture that the row names can't be read.
            NonFiniteLoss: the loss left the realm of numbers.
            OutOfMemory: the frame does not fit into the device's memory.
            Stopped: `should_stop` said so.
        """
        at_once = cutouts_at_once or plan.row.cutouts.number
        what = f"frame {frame.index} of video '{plan.video_id}' ({plan.row.width}x{plan.row.height}, {at_once} cutouts)"
        with memory_errors(what, self.models.device):
            return self._render(plan, frame, parent, towards, images, cutouts_at_once, reseeded, on_step, should_stop)

    def _render(
        self,
        plan: VideoPlan,
        frame: FramePlan,
        parent: FrameState | None,
        towards: FrameState | None,
        images: Mapping[str, bytes],
        cutouts_at_once: int | None,
        reseeded: bool,
        on_step: Callable[[StepProgress], None] | None,
        should_stop: Callable[[], bool] | None,
    ) -> RenderedFrame:
        if (parent is None) != (frame.parent is None):
            raise ValueError(f"frame {frame.index} {'needs' if parent is None else 'takes no'} parent state")
        if (towards is None) != (frame.towards is None):
            raise ValueError(f"frame {frame.index} {'needs' if towards is None else 'takes no'} state to be drawn to")
        began = time.perf_counter()
        # torch keeps this number per thread: one that used torch before the models were loaded has another one, and
        # sums split over another number of threads round differently
        torch.set_num_threads(self.models.threads)
        row, vqgan, device = plan.row, self.models.vqgan, self.models.device
        seed = row.seed if frame.seed is None else frame.seed
        if reseeded:
            seed = address(seed, frame.index, 0, "another seed")
        targets = [guide.targets(plan.row, frame.prompts, images) for guide in self._guides]
        settings, state = row.optimiser, parent
        losses: list[Tensor] = []
        for leg in frame.legs or (Leg(frame.camera),):
            cold = state is None
            goal = None
            with torch.no_grad():
                if state is None:
                    latent, moments = self._cold_start(plan, images, seed)
                else:
                    latent, moments, goal = self._warm_start(plan, leg, state, towards)
            latent.requires_grad_(True)
            adam = LatentAdam(latent, beta1=settings.beta1, beta2=settings.beta2, even=settings.even)
            if moments is not None:
                adam.resume(*moments)
            for of_leg in range(frame.steps):
                step = len(losses)
                if should_stop is not None and should_stop():
                    raise Stopped(f"stopped in frame {frame.index} of video '{plan.video_id}' before step {step + 1}")
                left = 1 - of_leg / frame.steps
                if cold:
                    # a long first search cools down: smaller steps, less noise; warm frames follow at the final rate.
                    lr = settings.lr * (settings.lr_final + (1 - settings.lr_final) * left)
                else:
                    lr = settings.lr * settings.lr_final
                noisy = latent
                if cold and settings.latent_noise:
                    noise = torch.randn(latent.shape, generator=generator(seed, frame.index, step, "latent"))
                    noisy = latent + send(noise, device) * (settings.latent_noise * self._code_std * left)
                loss = self._loss(plan, frame, step, noisy, latent, targets, seed, cutouts_at_once, leg, goal)
                (gradient,) = torch.autograd.grad(loss, latent)
                adam.step(gradient, lr)
                with torch.no_grad():
                    latent.clamp_(self._low, self._high)
                losses.append(loss.detach())
                done, steps = len(losses), frame.all_steps
                if on_step is not None and (device.type == "cpu" or done % 10 == 0 or done == steps):
                    on_step(StepProgress(done, steps, float(losses[-1]), time.perf_counter() - began))
            history = tuple(torch.stack(losses).tolist())
            self._check_finite(plan, frame, history, latent, seed)
            with torch.no_grad():
                tokens = vqgan.tokenise(latent)
            kept = Moments.of(adam.first, adam.second, adam.steps)
            state = FrameState.of(tokens, latent.detach(), self._low, self._high, kept)

        assert state is not None
        with torch.no_grad():
            picture = vqgan.decode(vqgan.look_up(tokens)).clamp(0, 1)
        pixels = (picture[0] * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().cpu().numpy()
        finished = FrameObject(pixels, state, self._provenance(plan, frame, history, seed))
        return RenderedFrame(finished, history, time.perf_counter() - began)

    def _check_finite(
        self, plan: VideoPlan, frame: FramePlan, history: tuple[float, ...], latent: Tensor, seed: int
    ) -> None:
        if all(map(math.isfinite, history)) and bool(latent.isfinite().all()):
            return
        # a finite loss can still have a gradient that is not: the last step's would show in no loss.
        bad = next((i for i, value in enumerate(history) if not math.isfinite(value)), None)
        what = (
            "latent became not finite at the last step"
            if bad is None
            else f"loss became {history[bad]} at step {bad + 1}"
        )
        raise NonFiniteLoss(
            f"frame {frame.index} of video '{plan.video_id}': the {what}: "
            f"try a smaller optimiser.lr (now {plan.row.optimiser.lr:g}) or another seed (now {seed})"
        )

    # -- where a frame starts ------------------------------------------------------------------------------------

    def _cold_start(self, plan: VideoPlan, images: Mapping[str, bytes], seed: int) -> tuple[Tensor, None]:
        """The latent of a first frame, by the row's `init`. `seed` covers it (the peers draw it before seeding)."""
        row, vqgan, device = plan.row, self.models.vqgan, self.models.device
        chance = generator(seed, 0, 0, "init")
        unit = self.models.entry.downsampling
        if row.init == "tokens":
            shape = (1, row.height // unit, row.width // unit)
            return vqgan.look_up(torch.randint(len(vqgan.codebook), shape, generator=chance).to(device)), None
        if row.init == "noise":
            picture = torch.rand(1, 3, row.height, row.width, generator=chance)
        elif row.init == "blank":
            # near-white with a faint low-frequency stain: an even sheet has no gradient to start from.
            stain = torch.randn(1, 3, 8, 8, generator=chance)
            stain = F.interpolate(stain, size=(row.height, row.width), mode="bilinear", align_corners=False)
            picture = (0.9 + 0.1 * stain).clamp(0, 1)
        else:
            assert row.init_image is not None  # the schema sees to it
            picture = read_picture(images, row.init_image, row.width, row.height)
        return vqgan.encode(picture.to(device)).contiguous(), None

    def _warm_start(
        self, plan: VideoPlan, leg: Leg, parent: FrameState, towards: FrameState | None = None
    ) -> tuple[Tensor, tuple[Tensor, Tensor, int], Tensor | None]:
        """The latent and Adam's memory of a leg that starts from `parent`, moved by the camera, all in float; and the
        picture `(1, 3, h, w)` that it is held to, if it is drawn to the keyframe whose state is `towards`: a cross-fade
        of what it starts from into that keyframe, moved back to its own time.

        The peers go through an 8-bit picture and a new optimiser here.
        """
        vqgan, device, row = self.models.vqgan, self.models.device, plan.row
        latent = parent.expand(self._low, self._high)
        first, second = parent.moments.expand(device)
        goal = None
        if not leg.camera.still or towards is not None:
            matrix = camera_matrix(leg.camera, row.width, row.height).to(device)
            picture = move(vqgan.decode(latent).clamp(0, 1), matrix).clamp(0, 1)
            if towards is not None:
                assert leg.back is not None
                back = camera_matrix(leg.back, row.width, row.height).to(device)
                ahead = vqgan.decode(towards.expand(self._low, self._high)).clamp(0, 1)
                weight = leg.share * coverage(picture.shape, back)
                picture = goal = picture + weight * (move(ahead, back).clamp(0, 1) - picture)
            latent = vqgan.encode(picture).contiguous()
            first = move(first, matrix, mode="bilinear")
        return latent, (first, second, parent.moments.steps), goal

    def _loss(
        self,
        plan: VideoPlan,
        frame: FramePlan,
        step: int,
        noisy: Tensor,
        latent: Tensor,
        targets: list[tuple[Target, ...]],
        seed: int,
        cutouts_at_once: int | None,
        leg: Leg,
        goal: Tensor | None,
    ) -> Tensor:
        """The loss of one step, a scalar: prompts over all perceptors, regularisers, and the distance to `goal`."""
        row, vqgan, device = plan.row, self.models.vqgan, self.models.device
        picture = ClampWithGradient.apply(vqgan.decode(vqgan.quantise(noisy)))
        total = picture.new_zeros(())
        for which, (guide, wanted) in enumerate(zip(self._guides, targets, strict=True)):
            draw = draw_cutouts(
                row.cutouts, row.width, row.height, generator(seed, frame.index, step, f"cutouts {which}")
            )
            grain = generator(seed, frame.index, step, f"grain {which}", device)
            cutouts = cut(picture, draw.to(device), guide.perceptor.side, grain)
            pull = partial(guide.pull, row.loss, wanted, len(frame.prompts))
            if cutouts_at_once is None or cutouts_at_once >= len(cutouts):
                total = total + pull(cutouts) / len(targets)
            else:
                total = total + in_parts(cutouts, cutouts_at_once, pull) / len(targets)
        if row.loss.tv:
            total = total + row.loss.tv * total_variation(picture)
        if row.loss.z_decay:
            # nerdyrodent's -iw: the pull of z to 0 fades with the steps.
            total = total + row.loss.z_decay / (2 * (2 * step + 1)) * (latent**2).mean()
        if goal is not None:
            total = total + PULL * leg.share * F.mse_loss(picture, goal)
        return total

    def _provenance(self, plan: VideoPlan, frame: FramePlan, losses: tuple[float, ...], seed: int) -> dict[str, object]:
        """What made this frame: enough to make it again."""
        return {
            "digest": frame.digest,
            "parent": frame.parent,
            **({"towards": frame.towards_digest} if frame.towards_digest else {}),
            "video_id": plan.video_id,
            "frame": frame.index,
            "frames": plan.frames,
            "steps": frame.all_steps,
            "loss": losses[-1],
            "losses": [round(loss, 5) for loss in losses[:: max(1, len(losses) // 100)]],
            "row": json_safe(plan.row.model_dump(mode="json", exclude_none=True)),
            # of a retake, or after a loss that was no number; the row's otherwise
            **({"seed": seed} if seed != plan.row.seed else {}),
            "images": dict(plan.images),
            "model": {"name": plan.entry.name, "digest": plan.entry.digest},
            "device": self.models.device.type,
            "precision": str(self.models.vqgan.dtype).removeprefix("torch."),
            "software": {"nightreel": version("nightreel"), "algorithm": ALGORITHM, "torch": torch.__version__},
        }
